// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The path of a request below `/ari`, taken apart and looked at before anything is made of it.

use super::Refusal;
use super::text::decode;

/// Longer names than any resource of Asterisk has.
const LONGEST: usize = 1024;
/// More parts than any operation has.
const MOST: usize = 8;

/// The parts of the path, decoded. A slash within a part was an encoded one, and will be again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(pub Vec<String>);

impl Path {
    /// Takes the path as it came, with `/ari` before it.
    pub(crate) fn parse(raw: &str) -> Result<Self, Refusal> {
        let rest = match raw.strip_prefix("/ari") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => return Err(Refusal::not_found("Resource not found")),
        };
        let mut parts = Vec::new();
        for part in rest.strip_prefix('/').unwrap_or_default().split('/') {
            let part = decode(part)?;
            check(&part)?;
            parts.push(part);
        }
        // Like Asterisk, which does not know a path with a slash at its end.
        if parts.len() > MOST || parts.iter().any(String::is_empty) {
            return Err(Refusal::not_found("Resource not found"));
        }
        Ok(Self(parts))
    }
}

fn check(part: &str) -> Result<(), Refusal> {
    if part.chars().any(char::is_control) {
        return Err(Refusal::bad("the path has control characters"));
    }
    if part.len() > LONGEST {
        return Err(Refusal::bad("a part of the path is too long"));
    }
    // Names of recordings are paths below a node's folder.
    if part.split(['/', '\\']).any(|step| step == ".." || step == ".") {
        return Err(Refusal::bad("the path leads elsewhere"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_decoded_each_for_itself() {
        let parts = |raw| Path::parse(raw).unwrap().0;
        assert_eq!(parts("/ari/channels"), ["channels"]);
        assert_eq!(
            parts("/ari/recordings/stored/a%2Fb/file"),
            ["recordings", "stored", "a/b", "file"]
        );
        assert_eq!(parts("/ari/channels/1732.5;2"), ["channels", "1732.5;2"]);
        assert_eq!(parts("/ari/channels/%252e%252e"), ["channels", "%2e%2e"]);
    }

    #[test]
    fn hostile_paths_are_refused() {
        for (raw, status) in [
            ("/", 404),
            ("/ariel/channels", 404),
            ("/ari", 404),
            ("/ari/", 404),
            ("/ari/channels/", 404),
            ("/ari//channels", 404),
            ("/ari/a/b/c/d/e/f/g/h/i", 404),
            ("/ari/../httpstatus", 400),
            ("/ari/./channels", 400),
            ("/ari/channels/%2e%2e", 400),
            ("/ari/recordings/stored/..%2F..%2Fetc", 400),
            ("/ari/recordings/stored/a%5C..%5Cb", 400),
            ("/ari/recordings/stored/a%2F%2e%2e", 400),
            ("/ari/channels/a%0d%0aX: y", 400),
            ("/ari/channels/a%00", 400),
            ("/ari/channels/%7f", 400),
            ("/ari/channels/%c2%85", 400),
            ("/ari/channels/%ff", 400),
            ("/ari/channels/%", 400),
        ] {
            assert_eq!(Path::parse(raw).unwrap_err().status, status, "{raw}");
        }
        let long = format!("/ari/channels/{}", "x".repeat(1025));
        assert_eq!(Path::parse(&long).unwrap_err().status, 400);
    }
}
