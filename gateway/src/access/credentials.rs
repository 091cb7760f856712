// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a request shows, in the three ways it can.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::config::Secret;

/// Name and password, or a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    Login {
        name: String,
        password: Secret,
    },
    Token(Secret),
    /// None, or nothing that could be some.
    Missing,
}

impl Credentials {
    /// `header` is that of `Authorization`; `api_key` the parameter that ARI has for clients which
    /// cannot set a header. The header goes first, as in Asterisk.
    pub(crate) fn of(header: Option<&str>, api_key: Option<&str>) -> Self {
        match (header, api_key) {
            (Some(header), _) => Self::of_header(header),
            (None, Some(key)) => Self::login(key),
            (None, None) => Self::Missing,
        }
    }

    fn of_header(header: &str) -> Self {
        let Some((scheme, rest)) = header.split_once(' ') else { return Self::Missing };
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Token(Secret::new(rest));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Self::Missing;
        }
        let decoded = BASE64_STANDARD.decode(rest).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        text.map_or(Self::Missing, |text| Self::login(&text))
    }

    fn login(text: &str) -> Self {
        match text.split_once(':') {
            Some((name, password)) => {
                Self::Login { name: name.to_owned(), password: Secret::new(password) }
            }
            None => Self::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ways_and_none() {
        let login = |name: &str, password: &str| Credentials::Login {
            name: name.to_owned(),
            password: Secret::new(password),
        };
        assert_eq!(Credentials::of(Some("Basic dTpwOncgeA=="), Some("x:y")), login("u", "p:w x"));
        assert_eq!(Credentials::of(None, Some("u:p")), login("u", "p"));
        assert_eq!(Credentials::of(Some("bearer  t"), None), Credentials::Token(Secret::new("t")));
        for wrong in ["", "Basic", "Basic %", "Basic dQ==", "Digest x", "Basic /w=="] {
            assert_eq!(Credentials::of(Some(wrong), Some("u:p")), Credentials::Missing, "{wrong}");
        }
        assert_eq!(Credentials::of(None, Some("nothing")), Credentials::Missing);
        assert_eq!(Credentials::of(None, None), Credentials::Missing);
    }
}
