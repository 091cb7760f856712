// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Free ports on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

// Below the range from which Linux takes the local ports of outgoing connections (32768), so that
// no connection steals a port between its choice and the server's bind.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that is free for TCP and UDP, and that this process has not given out lately.
pub fn free() -> u16 {
    block(1)
}

/// The first of `count` ports in a row that are free for TCP and UDP; it is even, as RTP wants.
///
/// # Panics
///
/// When there is none.
pub fn block(count: u16) -> u16 {
    // Processes that run side by side begin at different places.
    let start = (std::process::id() % 199) as u16 * 100;
    for _ in 0..COUNT {
        let taken = count.next_multiple_of(2);
        let offset = NEXT.fetch_add(taken, Ordering::Relaxed) % (COUNT - taken);
        let first = (FIRST + (start + offset) % (COUNT - taken)) & !1;
        if (first..first + count).all(is_free) {
            return first;
        }
    }
    panic!("no {count} free ports between {FIRST} and {}", FIRST + COUNT);
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
