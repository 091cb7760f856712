// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `[discovery]` as operators write it, rightly and wrongly.

use std::time::Duration;

use asterisk::config::{Entry, Report, Section};

use super::*;

/// The lines of a file, numbered from 1, as Asterisk would hand them over.
fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (line, text) in (1..).zip(text.trim().lines()) {
        if let Some(name) = text.strip_prefix('[') {
            sections.push(Section {
                name: name.trim_end_matches(']').to_owned(),
                file: "consul.conf".to_owned(),
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

fn read(text: &str) -> (Settings, Report) {
    parse(&sections(text))
}

fn good(options: &str) -> Settings {
    let (settings, report) = read(&format!("[discovery]\n{options}"));
    assert_eq!(report, Report::default());
    settings
}

/// The one error of an option.
fn error(option: &str) -> String {
    let (_, report) = read(&format!("[discovery]\n{option}"));
    assert_eq!(report.warnings, [""; 0], "{option}");
    assert_eq!(report.errors.len(), 1, "{option}: {:?}", report.errors);
    report.errors[0].clone()
}

#[test]
fn a_section_that_is_there_twice_is_refused() {
    for (name, option) in [("discovery", "discovery_port = 1"), ("general", "enabled = no")] {
        let (_, report) = read(&format!("[{name}]\n{option}\n[consul]\n[{name}]"));
        assert_eq!(report.errors, [format!("consul.conf: [{name}]: the section is there twice")]);
    }
}

#[test]
fn without_a_file_the_defaults_apply() {
    let (settings, report) = parse(&[]);
    assert_eq!(report, Report::default());
    let wanted = Settings {
        enabled: true,
        id: Id::Entity,
        name: Name::Given("asterisk".to_owned()),
        tags: vec!["asterisk".to_owned()],
        ip: Ip::Interface("eth0".to_owned()),
        port: 5060,
        weights: Weights { passing: 1, warning: 1 },
        check: Some(CheckSettings {
            way: CheckWay::Ttl,
            interval: Duration::from_secs(15),
            deregister_after: None,
        }),
        maintenance_on_shutdown: true,
        meta: BTreeMap::new(),
    };
    assert_eq!(settings, wanted);
    assert_eq!(Settings::default(), wanted);
}

#[test]
fn everything_can_be_said() {
    let settings = good(
        "id = pbx one/1\nname = auto\ntags = a, b ,,c\ndiscovery_ip = [2001:DB8::1]\n\
         discovery_port = 5080\nweight_passing = 10\nweight_warning = 65535\ncheck_type = HTTP\n\
         check_http_port = 8089\ncheck_interval = 30s\ncheck_timeout = 500ms\n\
         deregister_after = 2m\nmaintenance_on_shutdown = no\nmeta_Zone = a b\n\
         meta_ari_port = 443\n",
    );
    assert_eq!(settings.id, Id::Given("pbx one/1".to_owned()));
    assert_eq!(settings.name, Name::Host);
    assert_eq!(settings.tags, ["a", "b", "c"]);
    assert_eq!(settings.ip, Ip::Given("2001:db8::1".to_owned()));
    assert_eq!(settings.port, 5080);
    assert_eq!(settings.weights, Weights { passing: 10, warning: 65535 });
    let check = settings.check.unwrap();
    let timeout = Duration::from_millis(500);
    assert_eq!(check.way, CheckWay::Http { port: 8089, timeout });
    assert_eq!(check.interval, Duration::from_secs(30));
    assert_eq!(check.deregister_after, Some(Duration::from_secs(120)));
    assert!(!settings.maintenance_on_shutdown);
    let meta: Vec<_> = settings.meta.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(meta, [("Zone", "a b"), ("ari_port", "443")]);
}

#[test]
fn either_section_turns_it_off() {
    assert!(!read("[general]\nenabled = no\n[discovery]\nenabled = yes").0.enabled);
    assert!(!read("[general]\nenabled = yes\n[discovery]\nenabled = no").0.enabled);
    assert!(read("[general]\nenabled = maybe").1.errors[0].contains("enabled = 'maybe'"));
    // `res_consul` warns of it, once for all.
    assert_eq!(read("[general]\nenabeld = no\n[elsewhere]\nx = y").1, Report::default());
}

#[test]
fn words_that_are_no_words_are_taken_as_they_are() {
    assert_eq!(good("id = AUTO").id, Id::Random);
    assert_eq!(good("id = Asterisk").id, Id::Entity);
    assert_eq!(good("name = asterisk").name, Name::Given("asterisk".to_owned()));
    assert_eq!(good("tags =").tags, [""; 0]);
    assert_eq!(good("check = no").check, None);
    assert_eq!(good("deregister_after = 0").check.unwrap().deregister_after, None);
    assert_eq!(good("discovery_ip = sip-1.example.org").ip, Ip::Given("sip-1.example.org".into()));
}

#[test]
fn what_consul_could_not_take_is_an_error_that_names_it() {
    let at = |text: &str| format!("consul.conf: [discovery] line 2: {text}");
    assert_eq!(error("id ="), at("id = '': must not be empty"));
    for bad in ["a//b", "/a", "a/", "a/../b", ".", ".."] {
        assert!(error(&format!("id = {bad}")).contains("slashes"), "{bad}");
        assert!(error(&format!("name = {bad}")).contains("slashes"), "{bad}");
    }
    for bad in ["0.0.0.0", "::", "224.0.0.1", "10.0.0.300", "1234", "a b", "-a", "a..b", "::g"] {
        assert!(error(&format!("discovery_ip = {bad}")).contains(bad), "{bad}");
    }
    assert!(error("discovery_interface =").contains("discovery_ip = auto"));
    for option in ["discovery_port", "check_http_port", "weight_passing", "weight_warning"] {
        for bad in ["0", "65536", "-1", "sip"] {
            assert!(error(&format!("{option} = {bad}")).contains(option));
        }
    }
    assert_eq!(
        error("deregister_after = 59s"),
        at("deregister_after = '59s': must be at least 1m")
    );
    assert!(error("check_interval = 500ms").contains("between 1s and 5m"));
    assert!(error("check_interval = 15").contains("unit"));
    assert!(error("check_type = tcp").contains("ttl, http"));
}

#[test]
fn an_unknown_option_is_warned_of() {
    let (_, report) = read("[discovery]\ndiscovery_prot = 5060");
    assert_eq!(report.errors, [""; 0]);
    assert!(report.warnings[0].contains("did you mean 'discovery_port'?"));
}

#[test]
fn meta_is_held_to_what_consul_takes() {
    for (option, part) in [
        ("meta_a b = x".to_owned(), "letters, digits"),
        (format!("meta_{} = x", "k".repeat(129)), "128 bytes"),
        (format!("meta_k = {}", "v".repeat(513)), "512 bytes"),
        ("meta_consul-x = y".to_owned(), "Consul's own"),
    ] {
        assert!(error(&option).contains(part), "{option}");
    }
    let many = |count: usize| (0..count).map(|n| format!("meta_k{n:02} = v\n")).collect::<String>();
    assert_eq!(good(&many(59)).meta.len(), 59);
    assert!(error(&many(60)).contains("meta_k59 is one too many"));
}

#[test]
fn the_modules_own_meta_is_not_the_files() {
    let (settings, report) = read("[discovery]\nmeta_eid = x\nmeta_version = 1\nmeta_conflict = y");
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(report.warnings.len(), 3);
    assert!(report.warnings[0].contains("line 2: meta_eid is ignored"));
    assert_eq!(settings.meta, BTreeMap::new());
}

#[test]
fn an_empty_meta_takes_back_a_templates() {
    assert_eq!(good("meta_zone = a\nmeta_zone =").meta, BTreeMap::new());
}
