// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Urls of brokers: any list of them; and one with a password in it, which no message may show,
//! whatever stands around it.

#![no_main]

#[path = "../../res_stasis_amqp/src"]
mod module {
    pub(crate) mod endpoint;
}
mod hidden;

use hidden::SECRET;
use libfuzzer_sys::fuzz_target;
use module::*;

use crate::endpoint::Endpoint;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    for part in endpoint::split(&text) {
        assert!(text.contains(part));
        check(part);
    }
    // Before, after and beyond the password, three lines.
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (before, after, beyond) = (line(), line(), line());
    if beyond.contains('@') || [before, after, beyond].iter().any(|part| part.contains(SECRET)) {
        return;
    }
    let login = format!("amqp://user:{before}{SECRET}{after}@");
    let url = format!("{login}{beyond}");
    let parts = endpoint::split(&url);
    // A comma and a scheme in a password, as they are, cannot be told from the next url.
    if !format!("{}@", parts[0]).starts_with(&login) {
        return;
    }
    for part in parts {
        let mut shown = endpoint::masked(part);
        match endpoint::parse(part) {
            Err(reason) => shown.push_str(&reason),
            Ok(address) => {
                shown.push_str(&format!("{address:?}"));
                let user = address.user.unwrap_or_default();
                let password = address.password.unwrap_or_default();
                let endpoint::Address { tls, host, port, vhost, .. } = address;
                let made = Endpoint { tls, host, port, vhost, user, password };
                shown.push_str(&format!("{made} {made:?}"));
            }
        }
        assert!(!shown.contains(SECRET), "{part:?}: {shown}");
    }
});

fn check(url: &str) {
    endpoint::masked(url);
    let Ok(address) = endpoint::parse(url) else { return };
    assert!(address.port > 0 && !address.host.is_empty() && !address.vhost.is_empty());
}
