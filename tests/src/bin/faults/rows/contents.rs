// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Events that are no ordinary ones.

use rig::seconds;

use crate::fault::{Balance, Fault};
use crate::load::Load;
use crate::module::wait_counter;
use crate::scene::Scene;

const LITTLE: Load = Load { steady: 100, burst: 0, burst_rate: 0, before: 100 };

pub(super) const FAULTS: [Fault; 2] = [
    Fault {
        name: "large-frames",
        what: "events larger than max_frame_bytes",
        conf: |conf, _| conf.connection("max_frame_bytes", "8192"),
        load: LITTLE,
        inject: |scene| {
            for bytes in [8_000, 8_192, 30_000, 100_000, 1_000_000] {
                set(scene, bytes, "text");
            }
        },
        lines: 0,
        ..Fault::COMMON
    },
    Fault {
        name: "odd-contents",
        what: "an event of 20 MB, a key of 300 bytes, text that is no UTF-8",
        conf: |conf, _| conf.connection("max_frame_bytes", "8192"),
        load: LITTLE,
        inject: |scene| {
            set(scene, 20_000_000, "text");
            wait_counter(&scene.asterisk, "dropped", 1, seconds(30));
            set(scene, 300, "odd");
            let name = "a".repeat(300);
            scene.asterisk.ari().post(&format!("/amqp/{name}")).ok();
            let path = format!("/channels?endpoint=Local/stay@default&app={name}");
            scene.asterisk.ari().post(&path).ok();
            scene.asterisk.ari().delete(&format!("/amqp/{name}")).ok();
        },
        ledger: Balance::Dropped,
        // Asterisk makes several copies of it.
        memory: 200 << 20,
        // To make the text of 20 MB takes what it takes, and there are few others.
        callback_p99_us: 5000,
        lines: 4,
        ..Fault::COMMON
    },
];

/// Publishes an event that is so large.
fn set(scene: &Scene<'_>, bytes: usize, kind: &str) {
    scene.set_variable(&scene.channel(), bytes, kind);
}
