// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What an operator installs and reads: `make install`, the sample and the help inside Asterisk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use rig::folder::Folder;
use rig::root::checkout;
use rig::{Asterisk, Version};
use serde_json::Value;

use crate::fleet::{
    AMQP, APPS, CONSUL, ConsulConf, DISCOVERY, MODULES, load_all, node, unload_all,
};

on_each_version!(
    the_help_of_every_option_is_shown_inside_asterisk,
    actions_and_events_are_documented_inside_asterisk,
    make_install_puts_every_file_in_its_place_and_uninstall_takes_it_away,
    what_make_installs_into_an_asterisk_works_there,
);

/// The values of an attribute, or the texts of an element, in the order of the file.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts.filter_map(|part| part.split_once(after).map(|(value, _)| value)).collect()
}

/// A file of ours.
fn source(path: &str) -> String {
    let path = checkout().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A text of XML, as it is read.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn the_help_of_every_option_is_shown_inside_asterisk(version: Version) {
    let asterisk = node(version, "", &ConsulConf::new(1)).start();
    assert_eq!(asterisk.complaints(), [""; 0]);
    let printed = asterisk.process().output();
    assert!(!printed.contains("documentation"), "{printed}");
    for (module, sections) in [
        (AMQP, ["general", "connection", "stasis"].as_slice()),
        (CONSUL, &["general", "consul"]),
        (DISCOVERY, &["discovery"]),
        (APPS, &["stasis_app"]),
    ] {
        let text = source(&format!("{module}/documentation.xml"));
        let named = between(&text, "<configObject name=\"", "\"");
        assert_eq!(named, sections, "{module}");
        assert_every_option_is_shown(&asterisk, module, &text);
    }

    let help = |what: &str| plain(&asterisk.cli(&format!("config show help {what}")));
    let whole = help(AMQP);
    assert!(whole.contains("Stasis, channel and AMI events to RabbitMQ"), "{whole}");
    // No blanks of the file's own indentation.
    assert!(whole.contains("to an exchange of a RabbitMQ broker"), "{whole}");
    assert!(help("res_stasis_amqp stasis overflow").contains("(Default: drop_oldest)"));
    let url = help("res_stasis_amqp connection url");
    assert!(url.contains("Several, comma separated, are tried in turn."), "{url}");
    assert!(help("res_consul consul request_timeout").contains("(Default: 10s)"));
    assert!(help("res_consul_discovery discovery check_type").contains("(Default: ttl)"));
    assert!(help("res_consul_stasis_app stasis_app app_prefix").contains("applications/"));
}

#[track_caller]
fn assert_every_option_is_shown(asterisk: &Asterisk, module: &str, text: &str) {
    let help = |what: &str| plain(&asterisk.cli(&format!("config show help {module} {what}")));
    let whole = help("");
    for kind in between(text, "<configObject name=\"", "</configObject>") {
        let (name, _) = kind.split_once('"').expect("a name ends");
        let shown = help(name);
        let options = between(kind, "<configOption name=\"", "\"").into_iter().map(unescaped);
        let options: Vec<String> = options.collect();
        let synopses = between(kind, "<synopsis>", "</synopsis>").into_iter().map(unescaped);
        let synopses: Vec<String> = synopses.collect();
        assert_eq!(
            synopses.len(),
            options.len() + 1,
            "{module} [{name}]: one for each, and its own"
        );
        assert!(whole.contains(&synopses[0]) && shown.contains(&synopses[0]), "{whole}\n{shown}");
        for (option, synopsis) in options.iter().zip(&synopses[1..]) {
            // Whole: 16 cuts them after 65 characters.
            let line = format!("{option:<25} -- {synopsis}");
            let squeezed = squeezed(&shown);
            assert!(squeezed.contains(&self::squeezed(&line)), "no {line:?} in:\n{shown}");
            let own = help(&format!("{name} {option}"));
            assert!(own.contains(synopsis), "{own}");
        }
    }
}

fn actions_and_events_are_documented_inside_asterisk(version: Version) {
    let asterisk = node(version, "", &ConsulConf::new(1)).start();
    load_all(&asterisk);
    let actions = [
        (AMQP, "AMQPStatus", ["EventsMax"].as_slice()),
        (DISCOVERY, "DiscoverySetMaintenance", &["Enable", "Reason"]),
        (DISCOVERY, "DiscoveryDrain", &["Enable", "Stop"]),
    ];
    let events = [
        ("DiscoveryRegister", ["ServiceID", "ServiceName", "Address", "Port"].as_slice()),
        ("DiscoveryDeregister", &["ServiceID", "ServiceName", "Address", "Port"]),
        ("DiscoverySetMaintenance", &["ServiceID", "Enable", "Reason"]),
    ];
    for (module, action, words) in actions {
        let shown = plain(&asterisk.cli(&format!("manager show command {action}")));
        let text = source(&format!("{module}/documentation.xml"));
        let own = between(&text, &format!("<manager name=\"{action}\""), "</manager>");
        let synopsis = between(own[0], "<synopsis>", "</synopsis>")[0];
        assert!(shown.contains(synopsis), "{shown}");
        assert!(shown.contains("ActionID"), "its syntax is not shown: {shown}");
        for word in words {
            assert!(shown.contains(word), "no {word} in {shown}");
        }
    }
    for (event, fields) in events {
        let shown = plain(&asterisk.cli(&format!("manager show event {event}")));
        assert!(shown.contains(&format!("Event: {event}")), "{shown}");
        for field in fields {
            assert!(shown.contains(field), "no {field} in {shown}");
        }
    }
    unload_all(&asterisk);
}

/// Without the colours of the terminal, and in one line.
fn plain(shown: &str) -> String {
    let mut parts = shown.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text));
    squeezed(&(first + &rest.collect::<String>()))
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs `make` as an operator does after `make`, with what was built for that Asterisk.
fn make(version: Version, arguments: &[&str], paths: &[(&str, &Path)]) -> String {
    let built = version.artefact("res_stasis_amqp");
    let built = built.parent().expect("a folder");
    let made = Command::new("make")
        .arg("-C")
        .arg(checkout())
        .args(arguments)
        .arg(format!("BUILT={}", built.display()))
        .args(paths.iter().map(|(name, path)| format!("{name}={}", path.display())))
        .env_remove("MAKEFLAGS")
        .output()
        .expect("make starts");
    let printed = String::from_utf8_lossy(&made.stdout) + String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "make {arguments:?}: {printed}");
    printed.into_owned()
}

/// Each file below a folder, with its mode and contents.
fn tree(folder: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("below it").display().to_string();
            let mode = entry.metadata().expect("a file").permissions().mode() & 0o777;
            files.insert(name, (mode, fs::read(&path).expect("readable")));
        }
    }
    files
}

fn make_install_puts_every_file_in_its_place_and_uninstall_takes_it_away(version: Version) {
    const LIST: &str = "usr/share/asterisk/rest-api/resources.json";
    let folder = Folder::new("install");
    let destination = folder.path();
    let original = fs::read(version.root().path().join(LIST)).expect("Asterisk's own list");
    folder.sub("usr/share/asterisk/rest-api");
    folder.write(LIST, &original);
    let run = |what: &str| {
        make(
            version,
            &[what],
            &[
                ("DESTDIR", destination),
                ("ASTMODDIR", Path::new("/usr/lib/asterisk/modules")),
                ("ASTDATADIR", Path::new("/usr/share/asterisk")),
                ("ASTETCDIR", Path::new("/etc/asterisk")),
            ],
        )
    };

    // As Debian's, where Asterisk is a user of its own.
    let etc = destination.join("etc/asterisk");
    fs::create_dir_all(&etc).expect("a folder");
    chown(&etc, Some(4321), Some(4322)).expect("its owner");
    run("install");
    run("samples");
    for name in ["amqp.conf", "consul.conf"] {
        let of = fs::metadata(etc.join(name)).expect("installed");
        assert_eq!((of.uid(), of.gid()), (4321, 4322), "{name}");
    }
    let installed = tree(destination);
    let source = |path: &str| fs::read(checkout().join(path)).expect("a file of ours");
    let mut expected = BTreeMap::from(
        [
            ("etc/asterisk/amqp.conf", 0o640, "res_stasis_amqp/amqp.conf.sample"),
            ("etc/asterisk/consul.conf", 0o640, "res_consul/consul.conf.sample"),
            ("usr/include/asterisk/consul.h", 0o644, "include/asterisk/consul.h"),
            ("usr/include/asterisk/stasis_amqp.h", 0o644, "include/asterisk/stasis_amqp.h"),
            ("usr/share/asterisk/rest-api/amqp.json", 0o644, "res_stasis_amqp/rest-api/amqp.json"),
        ]
        .map(|(name, mode, path)| (name.to_owned(), (mode, source(path)))),
    );
    for module in MODULES {
        let file = fs::read(version.artefact(module)).expect("the module");
        expected.insert(format!("usr/lib/asterisk/modules/{module}.so"), (0o644, file));
        expected.insert(
            format!("usr/share/asterisk/documentation/thirdparty/{module}-en_US.xml"),
            (0o644, source(&format!("{module}/documentation.xml"))),
        );
    }
    expected.insert(LIST.to_owned(), installed[LIST].clone());
    assert_eq!(installed.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, file) in &expected {
        assert!(installed[name] == *file, "{name} is another, or has another mode");
    }
    let paths = |list: &[u8]| -> Vec<String> {
        let list: Value = serde_json::from_slice(list).expect("JSON");
        let apis = list["apis"].as_array().expect("a list").iter();
        apis.map(|api| api["path"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let mut listed = paths(&installed[LIST].1);
    listed.retain(|path| path != "/api-docs/amqp.{format}");
    assert_eq!(listed, paths(&original));
    assert_eq!(paths(&installed[LIST].1).len(), listed.len() + 1);

    run("install");
    run("samples");
    assert!(tree(destination) == installed, "a second time changes nothing");

    let samples = ["etc/asterisk/amqp.conf", "etc/asterisk/consul.conf"];
    for sample in samples {
        folder.write(sample, "; mine\n");
    }
    assert_eq!(run("samples").matches("left alone").count(), samples.len());
    run("uninstall");
    let left = tree(destination);
    assert_eq!(left.keys().collect::<Vec<_>>(), [samples[0], samples[1], LIST]);
    for sample in samples {
        assert_eq!(left[sample].1, b"; mine\n");
    }
    assert!(left[LIST].1 == original, "the list is as it was");
}

fn what_make_installs_into_an_asterisk_works_there(version: Version) {
    let asterisk = Asterisk::start(version);
    let folder = asterisk.folder();
    // Where its modules and data are is read from its asterisk.conf.
    let etc = folder.join("etc");
    let include = folder.join("include");
    make(version, &["install", "samples"], &[("ASTETCDIR", &etc), ("INCLUDEDIR", &include)]);

    load_all(&asterisk);
    asterisk.wait_log("connection 'bunny'");
    // Whatever answers at the samples' addresses, or nothing; and eth0 need not be there.
    let mut complaints = asterisk.complaints();
    let elsewhere = ["connection 'bunny'", "127.0.0.1:8500", "'eth0'"];
    complaints.retain(|line| !elsewhere.iter().any(|what| line.contains(what)));
    assert_eq!(complaints, [""; 0]);
    let ari = asterisk.ari();
    assert_eq!(ari.get("/amqp").status, 200);
    assert_eq!(ari.get("/api-docs/amqp.json").ok()["resourcePath"], "/api-docs/amqp.{format}");
    let resources = ari.get("/api-docs/resources.json").ok().to_string();
    assert!(resources.contains("/api-docs/amqp.{format}"), "{resources}");
    for header in ["stasis_amqp.h", "consul.h"] {
        assert!(include.join(header).is_file(), "no {header}");
    }
    unload_all(&asterisk);
}
