// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make call`: a phone in the terminal, for who has none at hand.

use std::sync::OnceLock;
use std::time::Instant;

use rig::wait::poll;
use rig::{Phone, ground, seconds, tone};

use crate::background;

/// Looked for in what is heard: those of the demo's people, and what Asterisk makes itself.
const TONES: [u32; 8] = [350, 440, 480, 620, 830, 1010, 1230, 1400];

/// Where a signal finds it: a call whose phone is gone without a word would never end.
static PHONE: OnceLock<Phone> = OnceLock::new();

/// Hangs up, if there is a call.
pub(crate) fn hang_up() {
    if let Some(phone) = PHONE.get() {
        phone.hang_up();
        // Answered or not: then it is the node's to notice.
        let _ = poll(seconds(2), || if phone.is_up() { Err(()) } else { Ok(()) });
    }
}

pub(crate) fn run() -> bool {
    let Some(state) = background::state() else {
        eprintln!("demo: nothing is running to call (make up)");
        return false;
    };
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let number = set("NUMBER").unwrap_or_else(|| ground::CONFERENCE.to_owned());
    let (Some(own), Some(length)) = (figure(set("TONE"), 440), figure(set("SECONDS"), 30)) else {
        eprintln!("demo: TONE is a number of Hertz, SECONDS one of seconds");
        return false;
    };
    let port = state["sip"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
    let phone = PHONE.get_or_init(|| Phone::call(port, &number, own));
    let node = phone.wait_answered(seconds(60));
    println!(
        "{number} has answered, on the node with SIP port {node}. It hears {own} Hz; we hear:"
    );
    let until = Instant::now() + seconds(length.into());
    while Instant::now() < until && phone.is_up() {
        // Alone in a conference there is nothing to hear.
        let heard = phone.listen_for(seconds(1));
        println!("  {}", described(&heard));
    }
    if phone.is_up() {
        hang_up();
        println!("hung up after {length} s");
    } else {
        println!("the other side has hung up");
    }
    true
}

fn figure(set: Option<String>, usual: u32) -> Option<u32> {
    set.map_or(Some(usual), |text| text.parse().ok()).filter(|figure| (1..4000).contains(figure))
}

/// How loud it is, and which tones are in it.
fn described(samples: &[i16]) -> String {
    if samples.is_empty() {
        return "nothing".to_owned();
    }
    let squares: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    let loud = 20.0 * ((squares / samples.len() as f64).sqrt().max(1.0) / 32768.0).log10();
    let heard = tone::heard(samples, &TONES).into_iter().map(|tone| format!(", {tone} Hz"));
    format!("{loud:.0} dB{}", heard.collect::<String>())
}
