// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where Asterisk's HTTP server is, and ARI with it: what `http.conf` says.

use asterisk::config::{Section, value};

/// The ports that apply where the file names none (`main/http.c`, `main/tcptls.c`).
const PLAIN: u16 = 8088;
const TLS: u16 = 8089;

/// What others reach ARI by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ari {
    /// http or https.
    pub scheme: &'static str,
    /// The port of it.
    pub port: u16,
    /// What every path begins with: empty, or with a slash before and none after.
    pub prefix: String,
    /// Whether there is a server at all.
    pub is_served: bool,
}

/// Reads `http.conf`; none is an empty one. Its faults are for Asterisk to tell. The plain server
/// goes before that with TLS.
pub(crate) fn read(sections: &[Section]) -> Ari {
    let general = sections.iter().find(|section| section.name.eq_ignore_ascii_case("general"));
    let option = |name: &str| {
        let entry = general.and_then(|section| section.entry(name));
        entry.map(|entry| entry.value.trim()).filter(|value| !value.is_empty())
    };
    let yes = |name| option(name).is_some_and(|text| value::yes_no(text) == Ok(true));
    let number = |name| option(name).and_then(|text| text.parse().ok());
    let prefix = option("prefix").unwrap_or_default().trim_matches('/');
    let (plain, tls) = (yes("enabled"), yes("tlsenable") || yes("sslenable"));
    let (scheme, port) = if tls && !plain {
        let address = option("tlsbindaddr").or_else(|| option("sslbindaddr"));
        let port = address.and_then(port_of).or_else(|| number("tlsbindport"));
        ("https", port.unwrap_or(TLS))
    } else {
        ("http", number("bindport").unwrap_or(PLAIN))
    };
    Ari {
        scheme,
        port,
        prefix: if prefix.is_empty() { String::new() } else { format!("/{prefix}") },
        is_served: plain || tls,
    }
}

/// The port of `host:port` or `[address]:port`.
fn port_of(address: &str) -> Option<u16> {
    let (host, port) = address.rsplit_once(':')?;
    let has_port = !host.contains(':') || host.ends_with(']');
    port.parse().ok().filter(|port| has_port && *port > 0)
}

#[cfg(test)]
mod tests {
    use asterisk::config::{Entry, Section};

    use super::*;

    fn of(options: &[(&str, &str)]) -> Ari {
        let entry = |(name, value): &(&str, &str)| Entry {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            line: 0,
        };
        read(&[Section {
            name: "general".to_owned(),
            file: "http.conf".to_owned(),
            entries: options.iter().map(entry).collect(),
        }])
    }

    fn ari(scheme: &'static str, port: u16, prefix: &str, is_served: bool) -> Ari {
        Ari { scheme, port, prefix: prefix.to_owned(), is_served }
    }

    #[test]
    fn the_plain_server_goes_first() {
        assert_eq!(of(&[("enabled", "yes")]), ari("http", 8088, "", true));
        let both = [("enabled", "1"), ("bindport", "8080"), ("tlsenable", "yes")];
        assert_eq!(of(&both), ari("http", 8080, "", true));
    }

    #[test]
    fn tls_alone_is_taken() {
        for (address, port) in [
            ("0.0.0.0:8443", 8443),
            ("[::]:8444", 8444),
            ("0.0.0.0", 8089),
            ("::", 8089),
            ("[::1]", 8089),
            ("fe80::1:2", 8089),
        ] {
            let options = [("enabled", "no"), ("tlsenable", "yes"), ("tlsbindaddr", address)];
            assert_eq!(of(&options), ari("https", port, "", true), "{address}");
        }
        assert_eq!(of(&[("tlsenable", "yes"), ("tlsbindport", "9")]), ari("https", 9, "", true));
    }

    #[test]
    fn without_a_server_it_says_so() {
        assert_eq!(read(&[]), ari("http", 8088, "", false));
        assert_eq!(of(&[("enabled", "no"), ("bindport", "80")]), ari("http", 80, "", false));
        assert_eq!(of(&[("enabled", "what"), ("bindport", "x")]), ari("http", 8088, "", false));
    }

    #[test]
    fn a_prefix_has_one_slash_before_it() {
        for prefix in ["asterisk", "/asterisk", "asterisk/"] {
            assert_eq!(of(&[("prefix", prefix)]).prefix, "/asterisk");
        }
        assert_eq!(of(&[("prefix", "/")]).prefix, "");
    }
}
