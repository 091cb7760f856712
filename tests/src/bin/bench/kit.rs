// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The C modules of the bench, compiled once a run.

use std::fs;
use std::path::{Path, PathBuf};

use rig::Version;
use rig::c_module::compile_library;
use rig::folder::Folder;
use rig::root::Root;

pub(crate) const GENERATOR: &str = "res_bench_generator";
pub(crate) const SYNCHRONOUS: &str = "res_bench_synchronous";

/// The client library that the C module is linked with.
const LIBRABBITMQ: &str = "usr/lib/x86_64-linux-gnu/librabbitmq.so.4";

pub(crate) struct Kit {
    pub(crate) generator: PathBuf,
    pub(crate) synchronous: PathBuf,
    folder: Folder,
}

impl Kit {
    pub(crate) fn make() -> Self {
        let folder = Folder::new("made");
        let root = Root::Bench.path();
        let library = folder.path().join("librabbitmq.so.4");
        fs::copy(root.join(LIBRABBITMQ), &library)
            .unwrap_or_else(|error| panic!("{LIBRABBITMQ} in {}: {error}", root.display()));
        let client = [
            "-idirafter".to_owned(),
            root.join("usr/include").display().to_string(),
            // It comes before the source that needs it.
            "-Wl,--no-as-needed".to_owned(),
            library.display().to_string(),
            format!("-Wl,-rpath,{}", folder.path().display()),
        ];
        let compile = |name: &str, source: &str, more: &[String]| {
            let flags = [
                "-O2".to_owned(),
                format!("-DAST_MODULE=\"{name}\""),
                format!("-DAST_MODULE_SELF_SYM=__internal_{name}_self"),
            ];
            let flags = [&flags, more].concat();
            compile_library(Version::V22, &folder, name, source, &flags)
        };
        Self {
            generator: compile(GENERATOR, include_str!("../../../bench/generator.c"), &[]),
            synchronous: compile(
                SYNCHRONOUS,
                include_str!("../../../bench/synchronous.c"),
                &client,
            ),
            folder,
        }
    }

    /// Where they and the library are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
