// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `amqp.conf` as Asterisk reads it: what is wrong is said exactly, and never costs what runs.

use std::os::unix::fs::symlink;

use rig::{Asterisk, Broker, Version, seconds};
use serde_json::json;

use crate::clients::{Clients, messages_until};
use crate::pair::{AmqpConf, Pair, load, node, unload, wait_for_counter, wait_for_state};

on_each_version!(
    every_error_declines_the_module_and_is_told_exactly,
    the_same_errors_at_reload_leave_what_runs,
    slips_are_warned_of_and_the_rest_applies,
    a_file_that_is_missing_or_broken_declines_the_module,
    templates_includes_and_comments_are_as_everywhere_in_asterisk,
    no_password_is_shown_anywhere,
);

/// A wrong configuration, and the messages it earns. `#` stands for the line's number.
struct Fault {
    conf: AmqpConf,
    messages: Vec<String>,
}

fn fault(conf: AmqpConf, message: &str) -> Fault {
    Fault { conf, messages: vec![message.to_owned()] }
}

impl Fault {
    /// What comes first in the line that a message is about stands before its colon or equals sign.
    fn expected(&self) -> Vec<String> {
        let text = self.conf.text();
        let with_line = |message: &String| {
            let (before, after) = message.split_once("line #: ")?;
            let about = after.split([' ', '=']).find(|word| !word.is_empty())?;
            let section = before.split(['[', ']']).nth(1)?;
            let mut lines =
                text.lines().zip(1..).skip_while(|(line, _)| *line != format!("[{section}]"));
            let (_, line) = lines.find(|(line, _)| line.split(' ').next() == Some(about))?;
            Some(format!("{before}line {line}: {after}"))
        };
        let lines = self.messages.iter();
        lines.map(|message| with_line(message).unwrap_or_else(|| message.clone())).collect()
    }
}

fn faults(conf: &AmqpConf, asterisk: &Asterisk) -> Vec<Fault> {
    let etc = asterisk.folder().join("etc");
    let empty = etc.join("empty").display().to_string();
    let full = etc.join("asterisk.conf").display().to_string();
    asterisk.write_conf("empty", "");
    let connection = |name: &str, value: &str, message: &str| {
        let message = message.replace("VALUE", value);
        fault(
            conf.clone().connection(name, value),
            &format!("amqp.conf: [bunny] line #: {message}"),
        )
    };
    let stasis = |name: &str, value: &str, message: &str| {
        let message = message.replace("VALUE", value);
        fault(conf.clone().stasis(name, value), &format!("amqp.conf: [stasis] line #: {message}"))
    };
    let amqps = |name: &str, value: &str, message: &str| {
        let message = format!("amqp.conf: [bunny] line #: {}", message.replace("VALUE", value));
        fault(conf.clone().connection("url", "amqps://h/").connection(name, value), &message)
    };
    let yes_no = "must be yes or no";
    let duration = "must be a number with a unit, such as 250ms, 5s, 2m or 1h";
    let size = "must be a number of bytes, or one with a unit, such as 64k, 16m or 1g";
    let mut faults = vec![
        connection("url", "", "url is missing"),
        connection("url", "http://h/", "url = 'VALUE': must begin with amqp:// or amqps://"),
        connection("url", "amqp://h:0/", "url = 'VALUE': has port 0"),
        connection("max_frame_bytes", "1", "max_frame_bytes = 'VALUE': must be between 8k and 1m"),
        connection(
            "heartbeat_seconds",
            "0",
            "heartbeat_seconds = 'VALUE': must be between 1 and 3600",
        ),
        connection("connection_timeout", "5", &format!("connection_timeout = 'VALUE': {duration}")),
        connection("verify", "perhaps", &format!("verify = 'VALUE': {yes_no}")),
        connection(
            "password_file",
            "/nowhere/password",
            "password_file = 'VALUE': cannot be read: No such file or directory (os error 2)",
        ),
        connection("password_file", &empty, "password_file = 'VALUE': its first line is empty"),
        amqps("cert_file", &full, "cert_file is given without key_file"),
        amqps("key_file", &full, "key_file is given without cert_file"),
        amqps("ca_file", &empty, "ca_file = 'VALUE': is empty"),
        stasis("connection", "buny", "connection = 'VALUE': is not defined; there are bunny"),
        stasis("queue_max_bytes", "lots", &format!("queue_max_bytes = 'VALUE': {size}")),
        stasis(
            "queue_max_events",
            "0",
            "queue_max_events = 'VALUE': must be between 1 and 100000000",
        ),
        stasis("declare_exchange", "maybe", &format!("declare_exchange = 'VALUE': {yes_no}")),
        stasis(
            "publish_ami_events",
            "some",
            "publish_ami_events = 'VALUE': must be yes, no or all",
        ),
        stasis("overflow", "block", "overflow = 'VALUE': must be one of drop_oldest, drop_newest"),
        stasis(
            "exchange_type",
            "tpoic",
            "exchange_type = 'VALUE': must be one of topic, headers, fanout, direct",
        ),
        stasis(
            "exchange",
            "",
            "exchange = '': the default exchange cannot be declared; name another, or set \
             declare_exchange = no",
        ),
        fault(
            conf.clone().more("[more]\ntype = stasis\nconnection = bunny\n"),
            "amqp.conf: [more]: only one section may have type 'stasis', and [stasis] has it already",
        ),
        fault(
            conf.clone().more("[bunny]\ntype = connection\nurl = amqp://h\n"),
            "amqp.conf: [bunny]: a connection of this name is defined above already",
        ),
    ];
    faults.push(Fault {
        conf: conf.clone().connection("connection_timeout", "1h").stasis("persistent", "x"),
        messages: vec![
            "amqp.conf: [bunny] line #: connection_timeout = '1h': must be between 100ms and 5m"
                .to_owned(),
            format!("amqp.conf: [stasis] line #: persistent = 'x': {yes_no}"),
        ],
    });
    faults
}

/// The texts of the errors, or of the warnings, since a mark.
fn told(asterisk: &Asterisk, mark: usize, level: &str) -> Vec<String> {
    let log = asterisk.log();
    let ours = log[mark..].lines().filter(|line| line.contains(level));
    ours.map(|line| line.split_once(".rs: ").map_or(line, |(_, text)| text).to_owned()).collect()
}

fn every_error_declines_the_module_and_is_told_exactly(version: Version) {
    let asterisk = node(version, "").start();
    let conf = AmqpConf::new("amqp://bob@127.0.0.1:1/").connection("password", "x");
    for fault in faults(&conf, &asterisk) {
        asterisk.write_conf("amqp.conf", &fault.conf.text());
        let mark = asterisk.log_mark();
        let answer = asterisk.cli("module load res_stasis_amqp.so");
        assert!(answer.contains("Unable to load module res_stasis_amqp.so"), "{answer}");
        let summary = match fault.messages.len() {
            1 => "not loaded: an error in amqp.conf, see above".to_owned(),
            count => format!("not loaded: {count} errors in amqp.conf, see above"),
        };
        asterisk.wait_log_after(mark, &summary);
        let mut expected = fault.expected();
        expected.push(summary);
        let mut told = told(&asterisk, mark, "ERROR[");
        // On some versions the loader adds that the module was declined.
        told.retain(|text| !text.contains("loader.c"));
        assert_eq!(told, expected, "{}", fault.conf.text());
        let listed = asterisk.cli("module show like res_stasis_amqp");
        assert!(!listed.replace("Not Running", "").contains("Running"), "{listed}");
    }
    // The same, put right.
    asterisk.write_conf("amqp.conf", &conf.text());
    load(&asterisk);
}

fn the_same_errors_at_reload_leave_what_runs(version: Version) {
    let pair = Pair::with(version, |conf| conf.stasis("publish_ami_events", "no"));
    let asterisk = &pair.asterisk;
    let consumer = pair.consumer(&["stasis.channel.#"]);
    let clients = Clients::start(asterisk);
    messages_until(&consumer, &clients.mark());
    let before = asterisk.cli("amqp show connection bunny");
    for fault in faults(&pair.conf(), asterisk) {
        asterisk.write_conf("amqp.conf", &fault.conf.text());
        let mark = asterisk.log_mark();
        let answer = asterisk.cli("module reload res_stasis_amqp.so");
        assert!(answer.contains("reported a reload failure"), "{answer}");
        asterisk.wait_log_after(mark, "not reloaded, the configuration before stays");
        for message in fault.expected() {
            assert!(told(asterisk, mark, "ERROR[").contains(&message), "{message}");
        }
        let between = messages_until(&consumer, &clients.mark());
        assert_eq!(between, [], "after {}", fault.conf.text());
    }
    let settings = |shown: &str| shown.split_once("URL:").map(|(_, rest)| rest.to_owned());
    assert_eq!(settings(&asterisk.cli("amqp show connection bunny")), settings(&before));
    pair.reload(&pair.conf());
}

fn slips_are_warned_of_and_the_rest_applies(version: Version) {
    let tenant = Broker::shared().tenant();
    let asterisk = node(version, "").start();
    let conf = AmqpConf::new(&tenant.url());
    let warned = |conf: AmqpConf, message: &str| fault(conf, &format!("amqp.conf: {message}"));
    for fault in [
        warned(
            conf.clone().more("[odd]\ntype = conection\n"),
            "[odd] line #: ignored, for its type 'conection' is unknown; did you mean 'connection'?",
        ),
        warned(
            conf.clone().more("[genral]\nenabled = no\n"),
            "[genral]: ignored, for it has no type; did you mean [general]?",
        ),
        warned(
            conf.clone().connection("heartbeat_second", "10"),
            "[bunny] line #: unknown option 'heartbeat_second'; did you mean 'heartbeat_seconds'?",
        ),
        warned(conf.clone().stasis("colour", "red"), "[stasis] line #: unknown option 'colour'"),
        warned(
            conf.clone().connection("password", tenant.password()),
            "[bunny] line #: there is a password in password, url; that in password applies",
        ),
        warned(
            conf.clone().connection("verify", "no"),
            "[bunny] line #: verify has no effect without an amqps:// url",
        ),
    ] {
        asterisk.write_conf("amqp.conf", &fault.conf.text());
        let mark = asterisk.log_mark();
        load(&asterisk);
        wait_for_state(&asterisk, "connected");
        asterisk.wait_log_after(mark, "connected to");
        let told: Vec<String> = told(&asterisk, mark, "WARNING[");
        let about = |message: &String| {
            let (before, after) = message.split_once("line #: ").unwrap_or((message, ""));
            told.iter().any(|one| one.starts_with(before) && one.ends_with(after))
        };
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(fault.messages.iter().all(about), "{told:?} is not {:?}", fault.messages);
        unload(&asterisk);
    }
}

fn a_file_that_is_missing_or_broken_declines_the_module(version: Version) {
    let asterisk = node(version, "[bunny\ntype = connection\n").start();
    let decline = |reason: &str| {
        let mark = asterisk.log_mark();
        let answer = asterisk.cli("module load res_stasis_amqp.so");
        assert!(answer.contains("Unable to load module res_stasis_amqp.so"), "{answer}");
        asterisk.wait_log_after(mark, &format!("not loaded: amqp.conf: {reason}"));
    };
    decline("it cannot be parsed, see the lines above");
    let file = asterisk.folder().join("etc/amqp.conf");
    std::fs::remove_file(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    decline("there is no such file");
    asterisk.write_conf("amqp.conf", "");
    load(&asterisk);

    unreadable(&asterisk, "amqp.conf");
    let reason = format!(
        "amqp.conf: {} cannot be opened: Too many levels of symbolic links (os error 40)",
        file.display()
    );
    let answer = asterisk.cli("module reload res_stasis_amqp.so");
    assert!(answer.contains("reported a reload failure"), "{answer}");
    asterisk.wait_log(&format!("not reloaded, the configuration before stays: {reason}"));
    unload(&asterisk);
    decline(reason.strip_prefix("amqp.conf: ").expect("the file"));
}

/// Has a file of the configuration be there but not to be opened, which no mode of it does to root.
pub(crate) fn unreadable(asterisk: &Asterisk, name: &str) {
    let file = asterisk.folder().join("etc").join(name);
    std::fs::remove_file(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    symlink(name, &file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

fn templates_includes_and_comments_are_as_everywhere_in_asterisk(version: Version) {
    let tenant = Broker::shared().tenant();
    let conf = "\
        ; a comment\n\
        [general] ; another\n\
        ;--\n\
        enabled = no\n\
        --;\n\
        [base](!)\n\
        type = connection\n\
        heartbeat_seconds = 60   ; seconds\n\
        connection_timeout = 3s\n\
        [bunny](base)\n\
        connection_timeout = 4s\n\
        #include \"amqp_url.conf\"\n\
        [stasis]\n\
        type = stasis\n\
        connection => bunny\n\
        exchange = from-file\n";
    let url = format!("url = {}\n", tenant.url());
    let asterisk = node(version, conf).conf("amqp_url.conf", url).start();
    load(&asterisk);
    wait_for_state(&asterisk, "connected");
    asterisk.wait_log("connected to");
    assert_eq!(told(&asterisk, 0, "WARNING["), [""; 0]);
    let shown = asterisk.cli("amqp show connection bunny");
    for line in ["Heartbeat:    60 s", "Timeout:      4s"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert_eq!(tenant.exchange("from-file").expect("it is declared")["type"], "topic");
}

fn no_password_is_shown_anywhere(version: Version) {
    const PASSWORD: &str = "hunter2";
    let tenant = Broker::shared().tenant();
    tenant.set_password(PASSWORD);
    tenant.declare_queue("all", &json!({}));
    let port = tenant.broker().port();
    let (user, vhost) = (tenant.user(), tenant.vhost());
    let without = format!("amqp://{user}@127.0.0.1:{port}/{vhost}");
    let within = format!("amqp://{user}:{PASSWORD}@127.0.0.1:{port}/{vhost}");
    let asterisk = node(version, "").debug(9).start();
    let file = asterisk.folder().join("etc/secret").display().to_string();
    asterisk.write_conf("secret", &format!("{PASSWORD}\n"));
    let in_url = AmqpConf::new(&within);
    let in_option = AmqpConf::new(&without).connection("password", PASSWORD);
    let in_file = AmqpConf::new(&without).connection("password_file", &file);

    let mut shown = String::new();
    for conf in [in_url, in_option, in_file] {
        asterisk.write_conf("amqp.conf", &conf.text());
        tenant.set_password(PASSWORD);
        load(&asterisk);
        wait_for_state(&asterisk, "connected");
        tenant.bind("asterisk", "all", "#");
        for command in [
            "amqp show status",
            "amqp show connection bunny",
            "amqp show connection other",
            "amqp test send connection bunny queue all message hello",
            "amqp test send connection bunny queue none message hello",
            "module show like amqp",
            "core show threads",
        ] {
            shown += &asterisk.cli(command);
        }
        assert_eq!(asterisk.ari().post("/amqp/Demo").status, 204);
        shown += &asterisk.ari().get("/amqp").ok().to_string();
        drop(Clients::start(&asterisk));
        wait_for_counter(&asterisk, "confirmed", seconds(10), 5);

        tenant.set_password("another");
        // A changed setting is a reason to connect anew.
        let changed = conf.clone().connection("heartbeat_seconds", "11");
        asterisk.write_conf("amqp.conf", &changed.text());
        shown += &asterisk.cli("module reload res_stasis_amqp.so");
        wait_for_state(&asterisk, "login refused");
        shown += &asterisk.cli("amqp show status");
        for (name, value) in [
            ("url", format!("amqp://{user}:{PASSWORD}@h:port/")),
            ("url", format!("amqp://{user}:{PASSWORD}/x@h/")),
            ("url", format!("amqp://{user}@h/?password={PASSWORD}")),
            ("pasword", PASSWORD.to_owned()),
        ] {
            asterisk.write_conf("amqp.conf", &conf.clone().connection(name, &value).text());
            shown += &asterisk.cli("module reload res_stasis_amqp.so");
        }
        shown += &asterisk.ari().get("/amqp").ok().to_string();
        unload(&asterisk);
    }
    let events = tenant.take("all", 10_000);
    assert!(events.len() >= 15, "only {} events", events.len());
    for text in [shown, asterisk.log(), json!(events).to_string()] {
        let line = text.lines().find(|line| line.contains(PASSWORD));
        assert_eq!(line, None);
    }
    assert!(asterisk.log().contains("***"), "the wrong urls are in the log");
}
