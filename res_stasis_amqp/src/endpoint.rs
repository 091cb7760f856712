// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The addresses of brokers: from a url to host, port, vhost and login.
//!
//! Parsed here and not by the AMQP library, which takes an IPv6 address for `localhost` and ignores
//! query keys it does not know. A url without path, or with the path `/`, means the vhost `/`: by
//! the letter of the AMQP URI specification `/` is the vhost with the empty name, which no broker
//! has and nobody who writes it means.

use std::fmt;

use asterisk::secret::Secret;
use url::{Host, Url};

/// One broker to log in to. Shown without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// A name or an address, an IPv6 one without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The virtual host.
    pub vhost: String,
    /// The user to log in as.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "amqps" } else { "amqp" };
        let vhost = if self.vhost == "/" { "" } else { &self.vhost };
        let Self { user, host, port, .. } = self;
        if host.contains(':') {
            write!(f, "{scheme}://{user}@[{host}]:{port}/{vhost}")
        } else {
            write!(f, "{scheme}://{user}@{host}:{port}/{vhost}")
        }
    }
}

/// What one url says. The login may come from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// As in [`Endpoint`].
    pub tls: bool,
    /// As in [`Endpoint`].
    pub host: String,
    /// As in [`Endpoint`].
    pub port: u16,
    /// As in [`Endpoint`].
    pub vhost: String,
    /// The user, if the url names one.
    pub user: Option<String>,
    /// The password, if the url has one.
    pub password: Option<Secret>,
}

/// The urls of a comma separated list. Only a comma before another `scheme://` separates, so that a
/// password may have one.
pub(crate) fn split(list: &str) -> Vec<&str> {
    let mut urls = Vec::new();
    let mut rest = list.trim().trim_end_matches([',', ' ', '\t']);
    while let Some(comma) = rest.match_indices(',').find_map(|(at, _)| {
        let (scheme, _) = rest.get(at + 1..)?.split_once("://")?;
        is_scheme(scheme.trim_start()).then_some(at)
    }) {
        let (url, after) = rest.split_at(comma);
        urls.push(url.trim_end_matches([',', ' ', '\t']));
        rest = after.trim_start_matches([',', ' ', '\t']);
    }
    urls.push(rest);
    urls
}

/// Reads one url.
///
/// # Errors
///
/// What is wrong with it, without any part of it that could be a password.
pub(crate) fn parse(text: &str) -> Result<Address, String> {
    if text.is_empty() {
        return Err("must be an amqp:// or amqps:// url".into());
    }
    if has_stray_at(text) {
        return Err("has an '@' after the host; in a user or password, write '/' as %2F, '?' as \
                    %3F and '#' as %23"
            .into());
    }
    let url = Url::parse(text).map_err(|error| format!("is no url: {error}"))?;
    let tls = match url.scheme() {
        "amqp" => false,
        "amqps" => true,
        _ => return Err("must begin with amqp:// or amqps://".into()),
    };
    if let Some((key, _)) = url.query_pairs().next() {
        return Err(query_hint(&key));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must end after the vhost, without '?' and '#'".into());
    }
    let path = url.path();
    let vhost = decoded(path.strip_prefix('/').unwrap_or(path), "vhost")?;
    Ok(Address {
        tls,
        host: host(&url)?,
        port: match url.port() {
            Some(0) => return Err("has port 0".into()),
            Some(port) => port,
            None if tls => 5671,
            None => 5672,
        },
        vhost: if vhost.is_empty() { "/".into() } else { vhost },
        user: match url.username() {
            "" => None,
            user => Some(decoded(user, "user")?),
        },
        password: match url.password() {
            None => None,
            Some(password) => Some(Secret::new(decoded(password, "password")?)),
        },
    })
}

/// A url for a message: the password as `***`; of one that is no url only the scheme and what looks
/// like the host, since any of the rest may be the password.
pub(crate) fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://").filter(|(s, _)| is_scheme(s)) else {
        return "***".into();
    };
    if let Ok(url) = Url::parse(text)
        && !has_stray_at(text)
    {
        let user = url.username();
        let login = match url.password() {
            Some(_) => format!("{user}:***@"),
            None if user.is_empty() => String::new(),
            None => format!("{user}@"),
        };
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}"));
        let path = url.path();
        return format!("{scheme}://{login}{host}{}{path}", port.unwrap_or_default());
    }
    let (login, host) = match rest.rsplit_once('@') {
        Some((_, host)) => ("***@", host),
        None => ("", rest),
    };
    let end = host.find([':', '/', '?', '#']).unwrap_or(host.len());
    format!("{scheme}://{login}{}", host.get(..end).unwrap_or_default())
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// A `/`, `?` or `#` in a password that is not percent-encoded ends the host for a url parser, and
/// the rest of the password would be taken for port, vhost or query.
fn has_stray_at(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    let mut after_host = rest.split(['/', '?', '#']).skip(1);
    after_host.any(|part| part.contains('@'))
}

fn host(url: &Url) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match url.host() {
        None | Some(Host::Domain("")) => Err("names no host".into()),
        Some(Host::Domain(name)) if name.contains(',') => {
            Err("must have its amqp:// or amqps:// before each host".into())
        }
        Some(Host::Domain(name)) if name.bytes().all(plain) => Ok(name.to_owned()),
        Some(Host::Domain(_)) => Err("has a host that is neither a name nor an address".into()),
        Some(Host::Ipv4(address)) => Ok(address.to_string()),
        Some(Host::Ipv6(address)) => Ok(address.to_string()),
    }
}

/// The keys that RabbitMQ's clients take, and what to write instead. Only these are repeated in the
/// message.
fn query_hint(key: &str) -> String {
    let option = match key {
        "heartbeat" => "heartbeat_seconds",
        "frame_max" => "max_frame_bytes",
        "connection_timeout" => "connection_timeout",
        "cacertfile" => "ca_file",
        "certfile" => "cert_file",
        "keyfile" => "key_file",
        "verify" => "verify",
        "password" => "password",
        _ => return "must end after the vhost: each setting has its own option".into(),
    };
    format!("'{key}' is not set in the url but by the option {option}")
}

/// Undoes percent-encoding, strictly.
fn decoded(text: &str, what: &str) -> Result<String, String> {
    let wrong = || format!("has a wrong %-sequence in its {what}");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let value = |digit: &u8| char::from(*digit).to_digit(16);
        let byte = digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + value(digit)?));
        bytes.push(byte.and_then(|byte| u8::try_from(byte).ok()).ok_or_else(wrong)?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> (bool, String, u16, String, Option<String>, Option<String>) {
        let Address { tls, host, port, vhost, user, password } = parse(text).unwrap();
        let password = password.map(|password| password.reveal().to_owned());
        (tls, host, port, vhost, user, password)
    }

    fn vhost(text: &str) -> String {
        parse(text).unwrap().vhost
    }

    #[test]
    fn reads_every_part() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            address("amqp://bob:pw@rabbit.example:5673/wazo"),
            (false, "rabbit.example".into(), 5673, "wazo".into(), some("bob"), some("pw"))
        );
        assert_eq!(
            address("amqps://10.0.0.1"),
            (true, "10.0.0.1".into(), 5671, "/".into(), None, None)
        );
        assert_eq!(
            address("AMQP://b%40b:p%2Fw%3A%25%c3%a9@my_host/"),
            (false, "my_host".into(), 5672, "/".into(), some("b@b"), some("p/w:%é"))
        );
        assert_eq!(address("amqp://[::1]:5673/x").1, "::1");
        assert_eq!(address("amqp://u:@h/x").5, None);
    }

    #[test]
    fn no_path_is_the_default_vhost() {
        assert_eq!(vhost("amqp://h"), "/");
        assert_eq!(vhost("amqp://h/"), "/");
        assert_eq!(vhost("amqp://h/%2f"), "/");
        assert_eq!(vhost("amqp://h//x"), "/x");
        assert_eq!(vhost("amqp://h/a%20b"), "a b");
    }

    #[test]
    fn refuses_with_a_reason() {
        for (url, reason) in [
            ("", "amqp://"),
            ("http://h/", "must begin with"),
            ("h:5672", "must begin with"),
            ("localhost", "no url"),
            ("amqp:h", "names no host"),
            ("amqp://", "names no host"),
            ("amqp:///v", "names no host"),
            ("amqp://h:port/", "port"),
            ("amqp://h:0/", "port 0"),
            ("amqp://[::1/", "no url"),
            ("amqp://h1,h2/", "before each host"),
            ("amqp://h%41/", "neither a name"),
            ("amqp://h/v?heartbeat=5", "option heartbeat_seconds"),
            ("amqp://h/v?frame_max=5", "option max_frame_bytes"),
            ("amqp://h/v?cacertfile=/x", "option ca_file"),
            ("amqp://h/v?mystery=5", "its own option"),
            ("amqp://h/v?", "without '?'"),
            ("amqp://h/v#x", "without '?'"),
            ("amqp://u:p%2@h/", "wrong %-sequence in its password"),
            ("amqp://u:p%zz@h/", "wrong %-sequence in its password"),
            ("amqp://u%ff@h/", "wrong %-sequence in its user"),
            ("amqp://h/%+1", "wrong %-sequence in its vhost"),
            ("amqp://u:p/w@h/", "%2F"),
            ("amqp://u:1?w@h/", "%3F"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn a_list_is_split_before_each_scheme() {
        assert_eq!(
            split(" amqp://a/x , amqps://u:p,w@b, amqp://c ,"),
            ["amqp://a/x", "amqps://u:p,w@b", "amqp://c"]
        );
        assert_eq!(split(""), [""]);
        assert_eq!(split("amqp://a,b"), ["amqp://a,b"]);
        assert_eq!(split("amqp://a,,http://b"), ["amqp://a", "http://b"]);
    }

    #[test]
    fn no_password_in_any_message() {
        for url in [
            "amqp://bob:hunter2@h/v",
            "amqp://bob:hunter2@h:bad/v",
            "amqp://bob:hunter2/x@h/v",
            "amqp://bob:1?hunter2@h/v",
            "amqp://bob:x@y#hunter2@h/v",
            "amqp://bob:hunter2@[::1/v",
            "amqp://bob:hunter2%zz@h/v",
            "amqp://bob:hunter2@h1,h2/v",
            "amqp://bob:hunter2",
            "amqp://h/v?password=hunter2",
            "amqp://h/v?hunter2",
            "amqp://h/v#hunter2",
            "bob:hunter2@h/v",
            "amqp:bob:hunter2@h/v",
            "amqp//bob:hunter2@h/v",
            "http://bob:hunter2@h/v",
            "hunter2",
        ] {
            let error = parse(url).err().unwrap_or_default();
            let shown = format!("{} {error} {:?}", masked(url), parse(url));
            assert!(!shown.contains("hunter2"), "{url}: {shown}");
        }
        assert_eq!(masked("amqp://b:p@h:1/v?x=y"), "amqp://b:***@h:1/v");
        assert_eq!(masked("amqp://h"), "amqp://h");
        assert_eq!(masked("amqp://b:p@h:bad/v"), "amqp://***@h");
    }

    #[test]
    fn an_endpoint_is_shown_without_its_password() {
        let mut endpoint = Endpoint {
            tls: true,
            host: "::1".into(),
            port: 5671,
            vhost: "/".into(),
            user: "bob".into(),
            password: Secret::new("hunter2"),
        };
        assert_eq!(endpoint.to_string(), "amqps://bob@[::1]:5671/");
        endpoint.host = "h".into();
        endpoint.vhost = "wazo".into();
        assert_eq!(endpoint.to_string(), "amqps://bob@h:5671/wazo");
        assert!(!format!("{endpoint:?}").contains("hunter2"));
    }
}
