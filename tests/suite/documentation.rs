// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What an operator installs and reads: `make install`, the sample and the help inside Asterisk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rig::folder::Folder;
use rig::root::checkout;
use rig::{Asterisk, Version};
use serde_json::Value;

use crate::pair::{load, node};

on_each_version!(
    the_help_is_shown_inside_asterisk,
    make_install_puts_every_file_in_its_place_and_uninstall_takes_it_away,
    what_make_installs_into_an_asterisk_works_there,
);

const HELP: &str = include_str!("../../res_stasis_amqp/documentation.xml");

/// The values of an attribute, or the texts of an element, in the order of the file.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts.filter_map(|part| part.split_once(after).map(|(value, _)| value)).collect()
}

fn the_help_is_shown_inside_asterisk(version: Version) {
    let asterisk = node(version, "").start();
    assert_eq!(asterisk.complaints(), [""; 0]);
    let printed = asterisk.process().output();
    assert!(!printed.contains("documentation"), "{printed}");
    let help =
        |what: &str| plain(&asterisk.cli(&format!("config show help res_stasis_amqp {what}")));

    let whole = help("");
    assert!(whole.contains("Stasis, channel and AMI events to RabbitMQ"), "{whole}");
    // No blanks of the file's own indentation.
    assert!(whole.contains("to an exchange of a RabbitMQ broker"), "{whole}");
    for kind in HELP.split("<configObject name=\"").skip(1) {
        let (name, _) = kind.split_once('"').expect("a name ends");
        let shown = help(name);
        let options = between(kind, "<configOption name=\"", "\"");
        let synopses = between(kind, "<synopsis>", "</synopsis>");
        assert_eq!(synopses.len(), options.len() + 1, "[{name}]: one for each, and its own");
        assert!(whole.contains(synopses[0]) && shown.contains(synopses[0]), "{whole}\n{shown}");
        for (option, synopsis) in options.iter().zip(&synopses[1..]) {
            // Whole: 16 cuts them after 65 characters.
            let line = format!("{option:<25} -- {synopsis}");
            let squeezed = squeezed(&shown);
            assert!(squeezed.contains(&self::squeezed(&line)), "no {line:?} in:\n{shown}");
            let own = help(&format!("{name} {option}"));
            assert!(own.contains(synopsis), "{own}");
        }
    }
    assert!(help("stasis overflow").contains("(Default: drop_oldest)"));
    assert!(help("connection url").contains("Several, comma separated, are tried in turn."));
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

    run("install");
    run("samples");
    let installed = tree(destination);
    let source = |path: &str| fs::read(checkout().join(path)).expect("a file of ours");
    let module = fs::read(version.artefact("res_stasis_amqp")).expect("the module");
    let mut expected = BTreeMap::from(
        [
            ("etc/asterisk/amqp.conf", 0o640, source("res_stasis_amqp/amqp.conf.sample")),
            ("usr/include/asterisk/stasis_amqp.h", 0o644, source("include/asterisk/stasis_amqp.h")),
            ("usr/lib/asterisk/modules/res_stasis_amqp.so", 0o644, module),
            (
                "usr/share/asterisk/documentation/thirdparty/res_stasis_amqp-en_US.xml",
                0o644,
                source("res_stasis_amqp/documentation.xml"),
            ),
            (
                "usr/share/asterisk/rest-api/amqp.json",
                0o644,
                source("res_stasis_amqp/rest-api/amqp.json"),
            ),
        ]
        .map(|(name, mode, contents)| (name.to_owned(), (mode, contents))),
    );
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

    folder.write("etc/asterisk/amqp.conf", "; mine\n");
    assert!(run("samples").contains("left alone"));
    run("uninstall");
    let left = tree(destination);
    assert_eq!(left.keys().collect::<Vec<_>>(), ["etc/asterisk/amqp.conf", LIST]);
    assert_eq!(left["etc/asterisk/amqp.conf"].1, b"; mine\n");
    assert!(left[LIST].1 == original, "the list is as it was");
}

fn what_make_installs_into_an_asterisk_works_there(version: Version) {
    let asterisk = Asterisk::start(version);
    let folder = asterisk.folder();
    // Where its modules and data are is read from its asterisk.conf.
    let etc = folder.join("etc");
    let include = folder.join("include");
    make(version, &["install", "samples"], &[("ASTETCDIR", &etc), ("INCLUDEDIR", &include)]);

    load(&asterisk);
    asterisk.wait_log("connection 'bunny'");
    let mut complaints = asterisk.complaints();
    // Whatever answers at the sample's address, or nothing.
    complaints.retain(|line| !line.contains("connection 'bunny'"));
    assert_eq!(complaints, [""; 0]);
    let ari = asterisk.ari();
    assert_eq!(ari.get("/amqp").status, 200);
    assert_eq!(ari.get("/api-docs/amqp.json").ok()["resourcePath"], "/api-docs/amqp.{format}");
    let resources = ari.get("/api-docs/resources.json").ok().to_string();
    assert!(resources.contains("/api-docs/amqp.{format}"), "{resources}");
    assert!(include.join("stasis_amqp.h").is_file());
}
