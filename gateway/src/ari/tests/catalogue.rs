// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What Asterisk's own description of its REST interface says, in the rig's roots.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use super::super::catalogue::OPERATIONS;
use super::super::operation::Does;
use super::super::*;

/// Method and path, with the names of all parameters.
type Described = BTreeMap<(String, String), BTreeSet<String>>;

/// `None` where the rig's root is not there: `make rig` provides it.
fn described(root: &str) -> Option<Described> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    let folder = cache.join("constellation").join(root).join("usr/share/asterisk/rest-api");
    let mut described = Described::new();
    for file in std::fs::read_dir(folder).ok()?.flatten() {
        let text = std::fs::read(file.path()).unwrap();
        let read: Value = serde_json::from_slice(&text).unwrap();
        for api in read["apis"].as_array().unwrap() {
            for operation in api["operations"].as_array().into_iter().flatten() {
                let names = operation["parameters"].as_array().cloned().unwrap_or_default();
                let names = names.iter().map(|one| one["name"].as_str().unwrap().to_owned());
                let path = api["path"].as_str().unwrap().trim_start_matches('/');
                let method = operation["httpMethod"].as_str().unwrap();
                described.insert((method.to_owned(), path.to_owned()), names.collect());
            }
        }
    }
    Some(described)
}

fn ours(major: u8) -> BTreeSet<(String, String)> {
    let there = OPERATIONS.iter().filter(|operation| operation.since <= major);
    there.map(|operation| (operation.method.to_owned(), operation.path.to_owned())).collect()
}

#[test]
fn it_has_every_operation_of_both_versions_and_no_other() {
    for (root, major) in [("bullseye", 16), ("testing", 22)] {
        let Some(described) = described(root) else { continue };
        let wanted: BTreeSet<_> = described.keys().cloned().collect();
        assert!(wanted.len() > 90, "{root}: {}", wanted.len());
        assert_eq!(ours(major), wanted, "{root}");
    }
    assert_eq!((ours(16).len(), ours(22).len()), (98, 109));
}

#[test]
fn the_parameters_that_decide_are_asterisks() {
    for (root, major) in [("bullseye", 16), ("testing", 22)] {
        let Some(described) = described(root) else { continue };
        for operation in OPERATIONS.iter().filter(|operation| operation.since <= major) {
            let key = (operation.method.to_owned(), operation.path.to_owned());
            let names = ["app", "application"].map(|name| described[&key].contains(name));
            let is_long = matches!(operation.does, Does::Notifies | Does::Claims);
            assert!(names == [false; 2] || names == [!is_long, is_long], "{operation:?}");
            let decides = match operation.does {
                Does::Creates(makes) | Does::OwnedMakes(_, makes) => makes.id,
                Does::Joins | Does::Leaves => "channel",
                Does::Subscribes => "eventSource",
                Does::Notifies => "source",
                Does::Claims => "channelId",
                _ => continue,
            };
            assert!(described[&key].contains(decides), "{operation:?}");
        }
    }
}

#[test]
fn a_fixed_part_goes_before_a_parameter() {
    let find = |method: &str, raw: &str| find(method, &Path::parse(raw).unwrap());
    let path = |found: &Found| match found {
        Found::Operation(operation, _) => operation.path,
        other => panic!("{other:?}"),
    };
    assert_eq!(path(&find("POST", "/ari/channels/create")), "channels/create");
    assert_eq!(path(&find("POST", "/ari/channels/externalMedia")), "channels/externalMedia");
    assert_eq!(path(&find("POST", "/ari/channels/x")), "channels/{channelId}");
    assert_eq!(path(&find("PUT", "/ari/endpoints/sendMessage")), "endpoints/sendMessage");
    let Found::Operation(_, names) = find("POST", "/ari/channels/a%2Fb/play/c") else { panic!() };
    assert_eq!(names, [("channelId", "a/b".to_owned()), ("playbackId", "c".to_owned())]);
    assert_eq!(find("PATCH", "/ari/channels"), Found::OtherMethods(vec!["GET", "POST"]));
    // As in Asterisk: what is named is found before what is a parameter.
    assert_eq!(find("GET", "/ari/channels/create"), Found::OtherMethods(vec!["POST"]));
    for nothing in ["/ari/nothing", "/ari/channels/a/b/c", "/ari/channels/a/nothing"] {
        assert_eq!(find("GET", nothing), Found::Nothing, "{nothing}");
    }
}

#[test]
fn every_operation_is_found_by_its_own_path() {
    for operation in OPERATIONS {
        let parts: Vec<&str> = operation
            .path
            .split('/')
            .map(|part| if part.starts_with('{') { "x-1.5" } else { part })
            .collect();
        let path = Path::parse(&format!("/ari/{}", parts.join("/"))).unwrap();
        let Found::Operation(found, names) = find(operation.method, &path) else {
            panic!("{operation:?} is not found");
        };
        assert_eq!(found, operation);
        assert_eq!(names.len(), operation.path.matches('{').count());
    }
}
