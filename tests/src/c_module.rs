// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Modules, and other libraries, in C: compiled for a version's root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Version;
use crate::folder::Folder;
use crate::root::{Root, checkout};

/// Compiles the module `name` with the headers of that Asterisk, and ours.
///
/// # Panics
///
/// With what the compiler says, when it fails.
#[track_caller]
pub fn compile(version: Version, folder: &Folder, name: &str, source: &str) -> PathBuf {
    let ours = folder.sub("include/asterisk");
    for header in ["consul.h", "stasis_amqp.h"] {
        let from = checkout().join("include/asterisk").join(header);
        fs::copy(&from, ours.join(header))
            .unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    let names = [
        format!("-DAST_MODULE=\"{name}\""),
        format!("-DAST_MODULE_SELF_SYM=__internal_{name}_self"),
    ];
    compile_library(version, folder, name, source, &names)
}

/// Compiles any shared library, `flags` added.
///
/// # Panics
///
/// With what the compiler says, when it fails.
#[track_caller]
pub fn compile_library(
    version: Version,
    folder: &Folder,
    name: &str,
    source: &str,
    flags: &[String],
) -> PathBuf {
    let source = folder.write(&format!("{name}.c"), source);
    let include = folder.sub("include");
    let library = folder.path().join(format!("lib{name}.so"));
    let common = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-D_GNU_SOURCE"];
    let paths = [Path::new("-I"), &include, &source, Path::new("-o"), &library];
    match version {
        Version::V22 => {
            let mut gcc = Command::new("gcc");
            // After the host's own headers: it is the host's C library that this compiles for.
            gcc.arg("-idirafter").arg(Root::Testing.path().join("usr/include"));
            let made = gcc.args(common).args(flags).args(paths).output();
            let made = made.unwrap_or_else(|error| panic!("gcc does not start: {error}"));
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        // There, for its older C library.
        Version::V16 => {
            let gcc = Root::Bullseye.command("gcc").bind(folder.path());
            let made = gcc.args(common).args(flags).args(paths).run();
            made.unwrap_or_else(|error| panic!("{error}"));
        }
    }
    library
}
