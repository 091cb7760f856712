// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A node under valgrind's memcheck, and what that finds.

use std::fmt;
use std::path::Path;

use crate::root::{Inside, Root, checkout};

const REPORT: &str = "log/valgrind.xml";
/// What is known of Asterisk and its libraries, each with its reason.
const KNOWN: &str = "tests/rig/valgrind.supp";

/// Something wrong with memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryFault {
    /// memcheck's word: `InvalidRead`, `Leak_DefinitelyLost`, …
    pub kind: String,
    /// What happened, in a sentence.
    pub what: String,
    /// The stack, innermost first.
    pub frames: Vec<Frame>,
}

/// One function of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The file the code was mapped from.
    pub object: String,
    /// The function, or its address.
    pub function: String,
    /// Where in the source, if that is known.
    pub place: String,
}

impl MemoryFault {
    /// Whether it is memory that nothing points to any more.
    pub fn is_leak(&self) -> bool {
        self.kind.starts_with("Leak_")
    }

    /// Whether a module of this name took part.
    pub fn is_of(&self, module: &str) -> bool {
        let file = format!("/{module}.so");
        self.frames.iter().any(|frame| frame.object.ends_with(&file))
    }
}

impl fmt::Display for MemoryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.kind, self.what)?;
        for Frame { object, function, place } in &self.frames {
            let file = object.rsplit('/').next().unwrap_or_default();
            writeln!(f, "    {function} ({file}) {place}")?;
        }
        Ok(())
    }
}

/// The server under valgrind, without its arguments.
pub(crate) fn program(folder: &Path) -> Inside {
    let known = checkout().join(KNOWN);
    Root::Memory
        .command("valgrind")
        .bind(&known)
        .args(["--tool=memcheck", "--xml=yes", "--num-callers=40", "--fair-sched=yes"])
        // Only memory that is lost for sure; what is pointed to at the end is Asterisk's to keep.
        .args(["--leak-check=full", "--show-leak-kinds=definite"])
        // A module is unmapped when leaks are looked for.
        .arg("--keep-debuginfo=yes")
        .arg(format!("--xml-file={}", folder.join(REPORT).display()))
        .arg(format!("--suppressions={}", known.display()))
        .arg("asterisk")
}

#[track_caller]
pub(crate) fn faults(folder: &Path) -> Vec<MemoryFault> {
    let file = folder.join(REPORT);
    let report = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let report = String::from_utf8_lossy(&report);
    assert!(report.contains("<state>FINISHED</state>"), "valgrind has not come to its end");
    parse(&report)
}

fn parse(report: &str) -> Vec<MemoryFault> {
    let errors = report.split("<error>").skip(1).filter_map(|error| error.split("</error>").next());
    errors
        .map(|error| {
            let what = element(error, "what").or_else(|| element(error, "text"));
            // The first stack is where it happened; others say where the block is from.
            let stacks = error.split("<stack>").skip(1);
            let frames = stacks.flat_map(|stack| stack.split("<frame>").skip(1)).map(frame);
            MemoryFault {
                kind: element(error, "kind").unwrap_or_default(),
                what: what.unwrap_or_default(),
                frames: frames.collect(),
            }
        })
        .collect()
}

fn frame(text: &str) -> Frame {
    let text = text.split("</frame>").next().unwrap_or_default();
    let part = |name| element(text, name);
    let place = part("file").map(|file| format!("{file}:{}", part("line").unwrap_or_default()));
    Frame {
        object: part("obj").unwrap_or_default(),
        function: part("fn").or_else(|| part("ip")).unwrap_or_default(),
        place: place.unwrap_or_default(),
    }
}

/// The text of the first element of this name.
fn element(text: &str, name: &str) -> Option<String> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = after.split_once(&format!("</{name}>"))?;
    let plain = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    Some(plain.replace("&apos;", "'").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_with_their_stacks() {
        let report = "<valgrindoutput><error>\n  <unique>0x1</unique><kind>InvalidRead</kind>\
            <what>Invalid read of size 8</what><stack><frame><ip>0x1</ip><obj>/m/res_x.so</obj>\
            <fn>a&lt;b&gt;</fn><file>x.rs</file><line>7</line></frame><frame><ip>0x2</ip></frame>\
            </stack><auxwhat>Address 0x0 is not stack'd</auxwhat></error><error>\
            <kind>Leak_DefinitelyLost</kind><xwhat><text>5 bytes</text><leakedbytes>5</leakedbytes>\
            </xwhat><stack></stack></error></valgrindoutput>";
        let faults = parse(report);
        assert_eq!(faults.len(), 2);
        assert!(!faults[0].is_leak() && faults[0].is_of("res_x") && !faults[0].is_of("x"));
        assert_eq!(
            faults[0].to_string(),
            "InvalidRead: Invalid read of size 8\n    a<b> (res_x.so) x.rs:7\n    0x2 () \n"
        );
        assert!(faults[1].is_leak() && faults[1].what == "5 bytes");
    }
}
