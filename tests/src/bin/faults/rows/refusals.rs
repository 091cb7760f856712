// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A broker that answers, and refuses.

use rig::{eventually, seconds};
use serde_json::json;

use crate::fault::{Balance, Fault, Sees};
use crate::load::Load;
use crate::module::wait_counter;
use crate::scene::{EXCHANGE, KEPT, Scene, keep_all};

/// So little that a broker that answers each event twice is no bottleneck.
const LITTLE: Load = Load { steady: 100, burst: 0, burst_rate: 0, before: 100 };

pub(super) const FAULTS: [Fault; 7] = [
    Fault {
        name: "channel-closed",
        what: "exchange deleted: the broker closes the channel (404), five times",
        inject: |scene| {
            for _ in 0..5 {
                let errors = closed_channels(scene);
                scene.tenant().delete_exchange(EXCHANGE);
                eventually("the exchange to be declared again", seconds(30), || {
                    let is_there = scene.tenant().exchange(EXCHANGE).is_some();
                    let closed = closed_channels(scene);
                    if is_there && closed >= errors { Ok(()) } else { Err("it is not there") }
                });
                scene.wait_state(&["connected"], seconds(30));
            }
        },
        sees: Sees::Unasked,
        ..Fault::COMMON
    },
    Fault {
        name: "exchange-other",
        what: "exchange deleted and declared again with other type and arguments",
        short: true,
        inject: |scene| {
            let path = format!("/exchanges/{}/{EXCHANGE}", scene.tenant().vhost());
            let other = json!({
                "type": "direct", "durable": true, "arguments": {"alternate-exchange": "unrouted"},
            });
            eventually("the other exchange", seconds(30), || {
                // The module is quick to declare it.
                scene.broker().api("DELETE", &path, None);
                match scene.broker().api("PUT", &path, Some(&other)).status {
                    200..300 => Ok(()),
                    status => Err(status),
                }
            });
            scene.proxy().cut();
        },
        sees: Sees::Words(&["exchange refused"]),
        heal: |scene| scene.tenant().delete_exchange(EXCHANGE),
        ..Fault::COMMON
    },
    Fault {
        name: "permission",
        what: "the user's permission revoked and given back",
        inject: |scene| {
            scene.tenant().set_permissions("^$", "^$", ".*");
            // On a channel that is open, RabbitMQ remembers what it permitted.
            scene.proxy().cut();
        },
        sees: Sees::Words(&["exchange refused"]),
        heal: |scene| scene.tenant().set_permissions(".*", ".*", ".*"),
        ..Fault::COMMON
    },
    Fault {
        name: "password",
        what: "the user's password changed, and changed back",
        inject: |scene| {
            scene.tenant().set_password("another-secret");
            scene.proxy().cut();
        },
        sees: Sees::Words(&["login refused"]),
        heal: |scene| scene.tenant().set_password(scene.tenant().password()),
        check: |scene| {
            let shown = scene.asterisk.log() + &scene.asterisk.cli("amqp show status");
            match shown.contains(scene.tenant().password()) {
                true => Err("the password is in the log, or in amqp show status".to_owned()),
                false => Ok(()),
            }
        },
        ..Fault::COMMON
    },
    Fault {
        name: "vhost-gone",
        what: "the vhost deleted, and made again",
        load: Load { steady: 200, burst: 0, burst_rate: 0, before: 300 },
        inject: |scene| {
            // With it goes what its queues hold.
            scene.pause();
            scene.tenant().delete_vhost();
            scene.go_on();
        },
        sees: Sees::Words(&["vhost refused"]),
        heal: |scene| {
            let path = format!("/vhosts/{}", scene.tenant().vhost());
            scene.broker().api("PUT", &path, Some(&json!({}))).ok();
            keep_all(scene.broker(), scene.tenant().vhost());
            scene.tenant().set_permissions(".*", ".*", ".*");
        },
        calls: 0,
        ..Fault::COMMON
    },
    Fault {
        name: "nack",
        what: "a full queue refuses events (reject-publish) for longer than they are tried",
        short: true,
        load: LITTLE,
        calls: 0,
        inject: |scene| {
            // A queue that holds more than it may drops it.
            scene.pause();
            let limits = json!({
                "pattern": "^kept$", "apply-to": "queues",
                "definition": {"max-length": 1, "overflow": "reject-publish"},
            });
            let path = format!("/policies/{}/full", scene.tenant().vhost());
            scene.broker().api("PUT", &path, Some(&limits)).ok();
            scene.go_on();
            wait_counter(&scene.asterisk, "dropped_refused", 50, seconds(60));
        },
        heal: |scene| {
            let path = format!("/policies/{}/full", scene.tenant().vhost());
            scene.broker().api("DELETE", &path, None).ok();
        },
        ledger: Balance::Refused,
        lines: 0,
        ..Fault::COMMON
    },
    Fault {
        name: "unroutable",
        what: "no queue is bound (mandatory = yes)",
        conf: |conf, _| conf.stasis("mandatory", "yes"),
        load: LITTLE,
        inject: |scene| {
            let vhost = scene.tenant().vhost();
            for path in [
                format!("/policies/{vhost}/unrouted"),
                format!("/bindings/{vhost}/e/{EXCHANGE}/q/{KEPT}/%23"),
            ] {
                scene.broker().api("DELETE", &path, None).ok();
            }
            wait_counter(&scene.asterisk, "returned", 50, seconds(60));
        },
        heal: |scene| keep_all(scene.broker(), scene.tenant().vhost()),
        ledger: Balance::Returned,
        lines: 0,
        ..Fault::COMMON
    },
];

/// How often the broker has closed a channel of ours.
fn closed_channels(scene: &Scene<'_>) -> usize {
    scene.broker().log().matches("no exchange 'asterisk'").count()
}
