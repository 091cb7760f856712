// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `amqp.conf` as operators write it, rightly and wrongly.

use std::io;
use std::time::Duration;

use asterisk::config::{Entry, Report, Section};

use super::publishing::SpoolSettings;
use super::*;
use crate::filter::Filter;
use crate::limits::{Limits, Overflow};

const GOOD: &str = "
[general]
[bunny]
type = connection
url = amqp://bob:pw@rabbit
[stasis]
type = stasis
connection = bunny
";

/// The lines of a file, numbered from 1, as Asterisk would hand them over.
fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (line, text) in (1..).zip(text.trim().lines()) {
        if let Some(name) = text.strip_prefix('[') {
            sections.push(Section {
                name: name.trim_end_matches(']').to_owned(),
                file: "amqp.conf".to_owned(),
                entries: Vec::new(),
            });
        } else if let Some((name, value)) = text.split_once('=') {
            sections.last_mut().unwrap().entries.push(Entry {
                name: name.trim().to_owned(),
                value: value.trim().to_owned(),
                line,
            });
        }
    }
    sections
}

fn files(path: &str) -> io::Result<String> {
    match path {
        "/password" => Ok("from file\r\nsecond\n".to_owned()),
        "/no-newline" => Ok("bare".to_owned()),
        "/empty" => Ok(String::new()),
        "/blank-line" => Ok("\nsecond\n".to_owned()),
        "/ca" | "/cert" | "/key" => Ok(format!("-----BEGIN {path}-----\n")),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    }
}

fn read(text: &str) -> (Settings, Report) {
    parse(&sections(text), &files)
}

/// `GOOD` with more lines in `[bunny]`, and in `[stasis]`.
fn with(connection: &str, stasis: &str) -> (Settings, Report) {
    let text = GOOD.replace("[stasis]", &format!("{connection}\n[stasis]"));
    read(&format!("{text}{stasis}\n"))
}

fn clean(connection: &str, stasis: &str) -> Settings {
    let (settings, report) = with(connection, stasis);
    assert_eq!(report, Report::default());
    settings
}

fn error(connection: &str, stasis: &str) -> String {
    let (_, report) = with(connection, stasis);
    assert_eq!(report.errors.len(), 1, "{report:?}");
    report.errors[0].clone()
}

fn warning(connection: &str, stasis: &str) -> (Settings, String) {
    let (settings, report) = with(connection, stasis);
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(report.warnings.len(), 1, "{report:?}");
    (settings, report.warnings[0].clone())
}

fn bunny(settings: &Settings) -> &ConnectionSettings {
    &settings.connections[0]
}

fn login(connection: &str) -> (String, String) {
    let settings = clean(connection, "");
    let endpoint = &bunny(&settings).endpoints[0];
    (endpoint.user.clone(), endpoint.password.reveal().to_owned())
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let settings = clean("", "");
    assert!(settings.enabled);
    let connection = bunny(&settings);
    assert_eq!(connection.name, "bunny");
    assert_eq!(connection.endpoints.len(), 1);
    assert_eq!(connection.endpoints[0].to_string(), "amqp://bob@rabbit:5672/");
    assert_eq!((connection.max_frame_bytes, connection.heartbeat), (131_072, 10));
    assert_eq!(connection.connection_timeout, Duration::from_secs(5));
    assert!(connection.tls.verify);
    let expected = StasisSettings {
        connection: "bunny".into(),
        exchange: "asterisk".into(),
        exchange_type: ExchangeType::Topic,
        declare_exchange: true,
        publish_ami: PublishAmi::Yes,
        publish_channel_events: true,
        filter: Filter::default(),
        persistent: true,
        confirms: true,
        mandatory: false,
        limits: Limits { events: 100_000, bytes: 256 << 20, overflow: Overflow::DropOldest },
        spool: None,
    };
    assert_eq!(settings.stasis, Some(expected));
}

#[test]
fn every_option_can_be_set() {
    let settings = clean(
        "url = amqps://h1/a, amqp://[::1]:5673\nmax_frame_bytes = 8k\nheartbeat_seconds = 5\n\
         connection_timeout = 100ms\nca_file = /ca\ncert_file = /cert\nkey_file = /key",
        "exchange = wazo-headers\nexchange_type = HEADERS\ndeclare_exchange = no\n\
         publish_ami_events = All\npublish_channel_events = off\nexclude_events = Dial, RTCP*\n\
         include_channelvarset_events = A,B*\npersistent = no\nconfirms = no\nmandatory = yes\n\
         queue_max_events = 100000000\nqueue_max_bytes = 64k\noverflow = drop_newest\n\
         spool_max_bytes = 2g",
    );
    let connection = bunny(&settings);
    let shown: Vec<String> = connection.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["amqps://guest@h1:5671/a", "amqp://guest@[::1]:5673/"]);
    assert_eq!(connection.endpoints[0].password.reveal(), "guest");
    assert_eq!((connection.max_frame_bytes, connection.heartbeat), (8192, 5));
    assert_eq!(connection.connection_timeout, Duration::from_millis(100));
    let key = connection.tls.key_file.as_ref().unwrap();
    assert_eq!((key.path.as_str(), key.text.reveal()), ("/key", "-----BEGIN /key-----\n"));
    let stasis = settings.stasis.as_ref().unwrap();
    assert_eq!(stasis.exchange, "wazo-headers");
    assert_eq!(stasis.exchange_type.as_str(), "headers");
    assert_eq!(stasis.publish_ami, PublishAmi::All);
    assert_eq!(
        [
            stasis.declare_exchange,
            stasis.publish_channel_events,
            stasis.persistent,
            stasis.confirms,
            stasis.mandatory
        ],
        [false, false, false, false, true]
    );
    assert!(stasis.filter.excludes("rtcpsent") && stasis.filter.includes_variable("Bx"));
    assert_eq!((stasis.limits.events, stasis.limits.bytes), (100_000_000, 65_536));
    assert_eq!(stasis.limits.overflow, Overflow::DropNewest);
}

#[test]
fn general_can_switch_all_off() {
    assert!(!read(&GOOD.replace("[general]", "[General]\nenabled = no")).0.enabled);
}

#[test]
fn slips_are_warned_of_and_the_rest_applies() {
    let (settings, report) = read(
        "[genral]\nenabled = no\n[bunny]\ntype = connectoin\n[stasis]\nfoo = 1\n[odd]\ntype = x\n\
         [strange]\n[rabbit]\ntype = Connection\nurl = amqp://h\nheartbeat = 5\n[events]\n\
         type = stasis\nconnection = rabbit\nexchang = x",
    );
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(
        report.warnings,
        [
            "amqp.conf: [genral]: ignored, for it has no type; did you mean [general]?",
            "amqp.conf: [bunny] line 4: ignored, for its type 'connectoin' is unknown; did you \
             mean 'connection'?",
            "amqp.conf: [stasis]: ignored, for it has no type; did you mean 'type = stasis'?",
            "amqp.conf: [odd] line 8: ignored, for its type 'x' is unknown; known are connection \
             and stasis",
            "amqp.conf: [strange]: ignored, for it has no type; known are 'type = connection' and \
             'type = stasis'",
            "amqp.conf: [rabbit] line 13: unknown option 'heartbeat'",
            "amqp.conf: [events] line 17: unknown option 'exchang'; did you mean 'exchange'?",
        ]
    );
    assert_eq!(settings.connections.len(), 1);
    assert_eq!(settings.stasis.unwrap().connection, "rabbit");
}

#[test]
fn bad_values_are_errors_that_name_their_bounds() {
    for (connection, stasis, text) in [
        (
            "heartbeat_seconds = 99999",
            "",
            "[bunny] line 5: heartbeat_seconds = '99999': must be between 1 and 3600",
        ),
        ("heartbeat_seconds = 0", "", "between 1 and 3600"),
        ("max_frame_bytes = 2m", "", "max_frame_bytes = '2m': must be between 8k and 1m"),
        ("max_frame_bytes = 8191", "", "between 8k and 1m"),
        ("connection_timeout = 99ms", "", "between 100ms and 5m"),
        ("connection_timeout = 301s", "", "between 100ms and 5m"),
        ("connection_timeout = 5", "", "with a unit"),
        ("verify = perhaps", "", "verify = 'perhaps': must be yes or no"),
        ("", "exchange_type = tpoic", "must be one of topic, headers, fanout, direct"),
        ("", "publish_ami_events = some", "must be yes, no or all"),
        ("", "queue_max_events = 0", "between 1 and 100000000"),
        ("", "queue_max_bytes = 63k", "must be at least 64k"),
        ("", "overflow = block", "must be one of drop_oldest, drop_newest"),
        ("", "spool_max_bytes = x", "number of bytes"),
        ("", "spool_dir = spool", "must be an absolute path"),
        ("", "exchange =", "exchange = '': the default exchange cannot be declared"),
        ("", "exchange = amq.topic", "set declare_exchange = no"),
    ] {
        let error = error(connection, stasis);
        assert!(error.starts_with("amqp.conf: [") && error.contains(text), "{error}");
    }
    let long = "x".repeat(256);
    assert!(error("", &format!("exchange = {long}\ndeclare_exchange = no")).contains("255"));
}

#[test]
fn exchanges_of_the_broker_may_be_used_undeclared() {
    for exchange in ["", "amq.topic"] {
        let settings = clean("", &format!("exchange = {exchange}\ndeclare_exchange = no"));
        assert_eq!(settings.stasis.unwrap().exchange, exchange);
    }
}

#[test]
fn publishing_needs_one_connection_that_exists() {
    let error = |text: &str| {
        let errors = read(text).1.errors;
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors[0].clone()
    };
    let other = GOOD.replace("connection = bunny", "connection = buny");
    assert_eq!(
        error(&other),
        "amqp.conf: [stasis] line 7: connection = 'buny': is not defined; there are bunny"
    );
    let none = GOOD.replace("connection = bunny", "");
    assert_eq!(error(&none), "amqp.conf: [stasis]: connection is missing; there are bunny");
    assert_eq!(
        error("[s]\ntype = stasis\nconnection = bunny"),
        "amqp.conf: [s] line 3: connection = 'bunny': is not defined; there is no section with \
         'type = connection'"
    );
    assert_eq!(
        error(&format!("{GOOD}[more]\ntype = stasis\nconnection = bunny")),
        "amqp.conf: [more]: only one section may have type 'stasis', and [stasis] has it already"
    );
    assert_eq!(
        error(&format!("{GOOD}[bunny]\ntype = connection\nurl = amqp://h")),
        "amqp.conf: [bunny]: a connection of this name is defined above already"
    );
    assert_eq!(
        error(&format!("[general]\nenabled = no\n{GOOD}[General]\nenabled = yes")),
        "amqp.conf: [general]: the section is there twice"
    );
}

#[test]
fn without_publishing_connections_still_are() {
    let (settings, report) = read("[b]\ntype = connection\nurl = amqp://h");
    assert_eq!(report, Report::default());
    assert_eq!((settings.connections.len(), settings.stasis), (1, None));
    assert_eq!(read("").1, Report::default());
}

#[test]
fn the_login_comes_from_the_best_source() {
    let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
    assert_eq!(login(""), pair("bob", "pw"));
    assert_eq!(login("url = amqp://h"), pair("guest", "guest"));
    assert_eq!(login("url = amqp://guest@h"), pair("guest", "guest"));
    assert_eq!(login("url = amqp://u@h\npassword = p w"), pair("u", "p w"));
    assert_eq!(login("url = amqp://u@h\npassword_file = /password"), pair("u", "from file"));
    assert_eq!(login("url = amqp://h\npassword_file = /no-newline"), pair("guest", "bare"));
}

#[test]
fn of_several_passwords_one_wins_and_it_is_said_which() {
    let (settings, text) = warning("password = p1\npassword_file = /password", "");
    assert_eq!(bunny(&settings).endpoints[0].password.reveal(), "from file");
    assert_eq!(
        text,
        "amqp.conf: [bunny] line 6: there is a password in password_file, password, url; that in \
         password_file applies"
    );
    let (settings, text) = warning("password = p1", "");
    assert_eq!(bunny(&settings).endpoints[0].password.reveal(), "p1");
    assert!(text.contains("password, url; that in password applies"));
    let (_, text) = warning("url = amqp://u@h", "");
    assert_eq!(text, "amqp.conf: [bunny] line 5: user 'u' has no password");
}

#[test]
fn files_must_be_readable_and_have_something_in_them() {
    let url = "url = amqps://h\n";
    for (line, text) in [
        ("password_file = /none", "password_file = '/none': cannot be read: entity not found"),
        ("password_file = /empty", "password_file = '/empty': its first line is empty"),
        ("password_file = /blank-line", "its first line is empty"),
        ("ca_file = /none", "ca_file = '/none': cannot be read"),
        ("ca_file = /empty", "ca_file = '/empty': is empty"),
        ("cert_file = /cert", "cert_file is given without key_file"),
        ("key_file = /key", "key_file is given without cert_file"),
    ] {
        let error = error(&format!("{url}{line}"), "");
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn tls_options_are_warned_of_where_they_do_harm_or_nothing() {
    let (settings, text) = warning("url = amqps://h\nverify = no", "");
    assert!(!bunny(&settings).tls.verify);
    assert!(text.contains("line 6: verify = 'no': anyone"), "{text}");
    let (_, text) = warning("ca_file = /ca", "");
    assert!(text.contains("ca_file has no effect without an amqps:// url"));
    let (_, text) = warning("verify = no", "");
    assert!(text.contains("verify has no effect"));
    let (_, text) = warning("heartbeat_seconds = 4", "");
    assert!(text.contains("below 5"));
}

#[test]
fn a_spool_has_a_directory_a_bound_and_a_say_on_power_failures() {
    let settings = clean("", "spool_dir = /var/spool/x\nspool_max_bytes = 1m\nspool_sync = no");
    let spool = SpoolSettings { dir: "/var/spool/x".into(), max_bytes: 1 << 20, sync: false };
    assert_eq!(settings.stasis.unwrap().spool, Some(spool));
    let settings = clean("", "spool_dir = /var/spool/x");
    let spool = settings.stasis.unwrap().spool.unwrap();
    assert_eq!((spool.max_bytes, spool.sync), (1 << 30, true));
    let settings = clean("", "spool_max_bytes = 1m");
    assert_eq!(settings.stasis.unwrap().spool, None);
}

#[test]
fn every_bad_url_is_reported_and_none_shows_its_password() {
    let (settings, report) = with(
        "url = amqp://b:hunter2@h:x, http://b:hunter2@h, amqp://b:hunter2@ok, \
         amqp://b:hunter2@h?password=hunter2",
        "",
    );
    assert_eq!(
        report.errors,
        [
            "amqp.conf: [bunny] line 5: url = 'amqp://***@h': is no url: invalid port number",
            "amqp.conf: [bunny] line 5: url = 'http://b:***@h/': must begin with amqp:// or \
             amqps://",
            "amqp.conf: [bunny] line 5: url = 'amqp://b:***@h': 'password' is not set in the url \
             but by the option password",
        ]
    );
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert_eq!(
        read(&GOOD.replace("url =", "; url")).1.errors[0],
        "amqp.conf: [bunny]: url is missing"
    );
}

#[test]
fn a_reload_sees_what_changed() {
    assert_eq!(clean("", ""), clean("", ""));
    assert_ne!(clean("password_file =", ""), clean("connection_timeout = 6s", ""));
    let renewed = |path: &str| files(path).map(|text| text + "renewed");
    let text = GOOD.replace("amqp://", "amqps://")
        + "[x]\ntype = connection\nurl = amqps://h\nca_file = /ca";
    let (before, _) = parse(&sections(&text), &files);
    let (after, _) = parse(&sections(&text), &renewed);
    assert_ne!(before, after);
}
