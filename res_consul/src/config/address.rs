// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `CONSUL_HTTP_ADDR`, as Consul's own command takes it.

use std::net::Ipv6Addr;

use super::Scheme;

/// What the variable says; what it leaves out is for the options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) scheme: Option<Scheme>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// `host:port`, `host`, `http://…`, `https://…`, an IPv6 address in brackets. An error is what is
/// wrong with it, to follow "CONSUL_HTTP_ADDR = 'text': ".
pub(super) fn parse(text: &str) -> Result<Address, String> {
    let (scheme, rest) = match text.split_once("://") {
        Some(("http", rest)) => (Some(Scheme::Http), rest),
        Some(("https", rest)) => (Some(Scheme::Https), rest),
        Some(("unix", _)) => {
            return Err("Consul's unix socket cannot be used; give host and port".to_owned());
        }
        Some((scheme, _)) => return Err(format!("'{scheme}' is neither http nor https")),
        None => (None, text),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = if let Some(inside) = rest.strip_prefix('[') {
        let (host, after) = inside.split_once(']').ok_or("a bracket is not closed")?;
        host.parse::<Ipv6Addr>().map_err(|_| "there is no IPv6 address in the brackets")?;
        match after {
            "" => (host, None),
            _ => (host, Some(after.strip_prefix(':').ok_or("no port follows the bracket")?)),
        }
    } else {
        match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        }
    };
    check_host(host)?;
    let port = match port {
        None => None,
        Some(port) => {
            let number = port.parse::<u16>().ok().filter(|number| *number > 0);
            Some(number.ok_or_else(|| format!("'{port}' is no port"))?)
        }
    };
    Ok(Address { scheme, host: host.to_owned(), port })
}

/// Whether `host` is an address, or could be a name.
pub(super) fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("there is no host".to_owned());
    }
    if host.parse::<Ipv6Addr>().is_ok() {
        return Ok(());
    }
    if host.starts_with('[') {
        return Err("an IPv6 address stands here without brackets".to_owned());
    }
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if host.len() > 253 || !host.bytes().all(of_name) {
        return Err("must be a name or an address, without scheme, port and path".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_consuls_own_command_are_taken() {
        let parts = |text: &str| parse(text).map(|a| (a.scheme, a.host, a.port));
        let host = |host: &str| host.to_owned();
        assert_eq!(parts("10.0.0.1:8501"), Ok((None, host("10.0.0.1"), Some(8501))));
        assert_eq!(parts("consul.example"), Ok((None, host("consul.example"), None)));
        assert_eq!(
            parts("https://consul:443/"),
            Ok((Some(Scheme::Https), host("consul"), Some(443)))
        );
        assert_eq!(parts("http://[::1]:8500"), Ok((Some(Scheme::Http), host("::1"), Some(8500))));
        assert_eq!(parts("[fd00::1]"), Ok((None, host("fd00::1"), None)));
    }

    #[test]
    fn the_rest_is_refused_with_the_reason() {
        for (text, reason) in [
            ("unix:///run/consul.sock", "unix socket"),
            ("ftp://consul", "'ftp'"),
            ("", "no host"),
            ("http://", "no host"),
            ("consul:0", "'0' is no port"),
            ("consul:http", "'http' is no port"),
            ("::1:8500", "no host"),
            ("[::1", "not closed"),
            ("[consul]:8500", "IPv6"),
            ("[::1]8500", "no port follows"),
            ("http://user:secret@consul:8500", "is no port"),
            ("consul/path", "name or an address"),
        ] {
            let refusal = parse(text).unwrap_err();
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for host in ["consul", "consul-1.dc_1.example.", "127.0.0.1", "::1", "fe80::1"] {
            assert_eq!(check_host(host), Ok(()), "{host}");
        }
        for host in ["", "[::1]", "a b", "consul:8500", "http://consul", "consul/v1", "a@b", "ü"] {
            assert!(check_host(host).is_err(), "{host}");
        }
    }
}
