// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Consul, by the C functions of `include/asterisk/consul.h`.
//!
//! [`Client`] and [`Watch`] call them, for modules that require `res_consul`. [`provide`] writes
//! them, for `res_consul` itself.

mod client;
pub mod provide;
mod watch;

use std::fmt::Write;

pub use client::{Client, Method, NoAnswer, logins};
pub use watch::Watch;

/// An answer of Consul, of any status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP's status.
    pub status: u16,
    /// `X-Consul-Index`; 0 if there was none.
    pub index: u64,
    /// The body; U+FFFD stands for what is not UTF-8.
    pub body: String,
}

impl Response {
    /// Whether the status is one of success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A key of Consul's and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The whole key, the prefix included.
    pub key: &'a str,
    /// Its value, any bytes; empty where Consul has none.
    pub value: &'a [u8],
    /// What whoever set the key has put there.
    pub flags: u64,
    /// Changes with each change of the value.
    pub modify_index: u64,
}

/// `text` as one segment of a path, or as a value of a query: everything but the unreserved
/// characters of RFC 3986 is percent-encoded.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn only_unreserved_characters_stay_as_they_are() {
        assert_eq!(encoded("aZ09-._~"), "aZ09-._~");
        assert_eq!(encoded("a b/c?d#e%f+ü"), "a%20b%2Fc%3Fd%23e%25f%2B%C3%BC");
    }
}
