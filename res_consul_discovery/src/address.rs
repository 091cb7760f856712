// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The address the node has in Consul. That of an interface is looked up each time anew, for it may
//! change or come later.

use std::net::IpAddr;

use crate::config::Ip;

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAddress {
    #[error("interface '{0}' does not exist")]
    NoInterface(String),
    #[error("interface '{0}' has no address that others could reach")]
    Unset(String),
    #[error("the addresses of the interfaces cannot be read: {0}")]
    System(String),
}

/// The address now.
pub(crate) fn now(ip: &Ip) -> Result<String, NoAddress> {
    let interface = match ip {
        Ip::Given(address) => return Ok(address.clone()),
        Ip::Interface(interface) => interface,
    };
    let all = if_addrs::get_if_addrs().map_err(|error| NoAddress::System(error.to_string()))?;
    let addresses: Vec<IpAddr> =
        all.iter().filter(|one| one.name == *interface).map(if_addrs::Interface::ip).collect();
    match best(&addresses) {
        Some(address) => Ok(address.to_string()),
        // One that is down and has no address is not listed; it is told apart by the kernel's list.
        None if !addresses.is_empty() || exists(interface) => {
            Err(NoAddress::Unset(interface.clone()))
        }
        None => Err(NoAddress::NoInterface(interface.clone())),
    }
}

fn exists(interface: &str) -> bool {
    !interface.contains('/')
        && std::path::Path::new("/sys/class/net").join(interface).symlink_metadata().is_ok()
}

/// IPv4 first, then IPv6; of each the first, as the kernel orders them. Link-local IPv4 is a last
/// resort, and link-local IPv6 says nothing without its interface.
fn best(addresses: &[IpAddr]) -> Option<IpAddr> {
    let rank = |address: &IpAddr| match address {
        IpAddr::V4(address) if address.is_unspecified() => None,
        IpAddr::V4(address) if address.is_link_local() => Some(2),
        IpAddr::V4(_) => Some(0),
        IpAddr::V6(address) if address.is_unicast_link_local() => None,
        IpAddr::V6(_) => Some(1),
    };
    let ranked = addresses.iter().filter_map(|address| Some((rank(address)?, *address)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, address)| address)
}

/// As it stands in a URL.
pub(crate) fn in_url(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best_of(addresses: &[&str]) -> Option<String> {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        best(&addresses).map(|address| address.to_string())
    }

    #[test]
    fn ipv4_goes_before_ipv6_and_the_first_before_the_second() {
        assert_eq!(
            best_of(&["fe80::1", "2001:db8::1", "10.0.0.2", "10.0.0.3"]).as_deref(),
            Some("10.0.0.2")
        );
        assert_eq!(
            best_of(&["fe80::1", "2001:db8::1", "2001:db8::2"]).as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(best_of(&["169.254.1.1", "fd00::1"]).as_deref(), Some("fd00::1"));
        assert_eq!(best_of(&["169.254.1.1"]).as_deref(), Some("169.254.1.1"));
        assert_eq!(best_of(&["fe80::1"]), None);
        assert_eq!(best_of(&[]), None);
    }

    #[test]
    fn an_interface_of_this_machine_has_its_address() {
        assert_eq!(now(&Ip::Interface("lo".to_owned())).as_deref(), Ok("127.0.0.1"));
        let none = now(&Ip::Interface("nosuch0".to_owned())).unwrap_err();
        assert_eq!(none.to_string(), "interface 'nosuch0' does not exist");
        assert_eq!(now(&Ip::Given("sip.example.org".to_owned())).as_deref(), Ok("sip.example.org"));
    }

    #[test]
    fn ipv6_stands_in_brackets() {
        assert_eq!(in_url("2001:db8::1"), "[2001:db8::1]");
        assert_eq!(in_url("10.0.0.1"), "10.0.0.1");
    }
}
