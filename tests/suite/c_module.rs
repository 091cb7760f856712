// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Modules in C that use our headers, compiled here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rig::Version;
use rig::folder::Folder;
use rig::root::{Root, checkout};

/// Compiles the module `name` with the headers of that Asterisk, and ours.
#[track_caller]
pub(crate) fn compile(version: Version, folder: &Folder, name: &str, source: &str) -> PathBuf {
    let source = folder.write(&format!("{name}.c"), source);
    let ours = folder.sub("include/asterisk");
    for header in ["consul.h", "stasis_amqp.h"] {
        let from = checkout().join("include/asterisk").join(header);
        fs::copy(&from, ours.join(header))
            .unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    let module = folder.path().join(format!("lib{name}.so"));
    let flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-D_GNU_SOURCE"];
    let names = [
        format!("-DAST_MODULE=\"{name}\""),
        format!("-DAST_MODULE_SELF_SYM=__internal_{name}_self"),
    ];
    let include = folder.path().join("include");
    let paths = [Path::new("-I"), &include, &source, Path::new("-o"), &module];
    match version {
        Version::V22 => {
            let mut gcc = Command::new("gcc");
            // After the host's own headers: it is the host's C library that this compiles for.
            gcc.arg("-idirafter").arg(Root::Testing.path().join("usr/include"));
            let made = gcc.args(flags).args(names).args(paths).output().expect("gcc starts");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        // There, for its older C library.
        Version::V16 => {
            let gcc = Root::Bullseye.command("gcc").bind(folder.path());
            let made = gcc.args(flags).args(names).args(paths).run();
            made.unwrap_or_else(|error| panic!("{error}"));
        }
    }
    module
}
