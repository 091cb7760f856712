// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Paths of Consul's HTTP API.

use asterisk::consul::encoded;

/// Whether a caller's path, with its query, can be asked for as it is.
pub(crate) fn check(path: &str) -> Result<(), String> {
    if !path.starts_with("/v1/") {
        return Err("the path must begin with /v1/".to_owned());
    }
    match path.bytes().find(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
        None => Ok(()),
        Some(b' ') => Err("the path has a blank; it must be percent-encoded".to_owned()),
        Some(byte) => {
            Err(format!("the path has a character that must be percent-encoded (0x{byte:02x})"))
        }
    }
}

/// The path without its query, which may have secrets: as messages name a request.
pub(crate) fn named(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or_default()
}

/// Whether Consul's agent answers this by itself: it needs no leader and has no datacenter.
pub(crate) fn is_of_agent(path: &str) -> bool {
    path.starts_with("/v1/agent/")
}

/// Whether a path can end with `text`, decoded. Consul redirects what has an empty segment or one
/// of dots to a path without, and so never sees the name that was meant.
pub(crate) fn can_carry(text: &str) -> bool {
    let mut segments = text.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if segment == "." || segment == ".." || (segment.is_empty() && !is_last) {
            return false;
        }
    }
    true
}

/// `text` for the end of a path, its slashes kept.
pub(crate) fn encoded_path(text: &str) -> String {
    text.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_consuls_and_percent_encoded() {
        for path in ["/v1/kv/a%20b?recurse&x=1", "/v1/agent/self", "/v1/"] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
        for path in
            ["", "/v2/kv", "v1/kv", "http://x/v1/", "/v1/a b", "/v1/a\nb", "/v1/ü", "/v1/a#b"]
        {
            assert!(check(path).is_err(), "{path}");
        }
        assert_eq!(named("/v1/kv/a?token=hunter2"), "/v1/kv/a");
    }

    #[test]
    fn what_consul_would_redirect_is_known() {
        for text in ["", "a", "a/", "applications/", "a/b.c/...", ".a", "a../b"] {
            assert!(can_carry(text), "{text}");
        }
        for text in ["/", "/a", "a//b", "a//", ".", "..", "./a", "a/./b", "a/../b", "a/.."] {
            assert!(!can_carry(text), "{text}");
        }
    }

    #[test]
    fn slashes_stay_and_all_else_is_encoded() {
        assert_eq!(encoded_path("applications/a b?#%/ü/"), "applications/a%20b%3F%23%25/%C3%BC/");
    }
}
