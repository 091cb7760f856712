// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What networks do to a connection.

use rig::asterisk::hosts_with;
use rig::{Builder, Network, Towards, eventually, seconds};

use crate::fault::{Fault, Sees, Stand};
use crate::load::Load;
use crate::module::{Status, wait_counter};
use crate::scene::{Scene, Stage};

const LOST: Sees = Sees::Words(&["connection lost", "unreachable"]);

/// A name that only the node's own hosts file knows.
const NAME: &str = "broker.faults.test";

const COMMON: Fault = Fault { heal: |scene| scene.proxy().pass(), ..Fault::COMMON };

pub(super) const FAULTS: [Fault; 15] = [
    Fault {
        name: "black-hole",
        what: "packets vanish, no reset",
        short: true,
        inject: |scene| scene.proxy().black_hole(),
        sees: LOST,
        lasts: seconds(15),
        ..COMMON
    },
    Fault {
        name: "deaf",
        what: "heartbeat lost: nothing of the broker's arrives",
        inject: |scene| scene.proxy().be(Network::good().cut(Towards::Client)),
        sees: LOST,
        lasts: seconds(15),
        ..COMMON
    },
    Fault {
        name: "mute",
        what: "heartbeat lost: nothing of ours arrives",
        inject: |scene| scene.proxy().be(Network::good().cut(Towards::Server)),
        sees: LOST,
        lasts: seconds(15),
        ..COMMON
    },
    Fault {
        name: "confirms-lost",
        what: "confirms are thrown away, then a reset",
        inject: |scene| scene.proxy().swallow(),
        sees: LOST,
        lasts: seconds(12),
        ..COMMON
    },
    Fault {
        name: "throttle",
        what: "10 kB/s in each direction",
        load: Load { steady: 20, burst: 600, burst_rate: 2000, before: 50 },
        calls: 1,
        inject: |scene| scene.proxy().be(Network::good().throttle(10_000)),
        lasts: seconds(45),
        check: no_reconnect,
        lines: 0,
        ..COMMON
    },
    Fault {
        name: "slow",
        what: "2 s of latency, and single bytes",
        load: Load { steady: 50, burst: 400, burst_rate: 2000, before: 50 },
        inject: |scene| scene.proxy().be(Network::good().delay(seconds(2)).slice(1)),
        lasts: seconds(20),
        check: no_reconnect,
        lines: 0,
        ..COMMON
    },
    Fault {
        name: "reset-each-second",
        what: "connection reset every second for a minute",
        inject: |scene| scene.proxy().be(Network::good().reset_every(seconds(1))),
        sees: Sees::Unasked,
        lasts: seconds(60),
        lines: 160,
        ..COMMON
    },
    Fault {
        name: "reset-each-byte",
        what: "reset after each byte of a publish",
        load: Load { steady: 0, burst: 0, burst_rate: 0, before: 0 },
        inject: sweep,
        sees: Sees::Unasked,
        lasts: seconds(0),
        lines: 20_000,
        ..COMMON
    },
    Fault {
        name: "corrupt",
        what: "bytes become others, with TLS, in both directions",
        stand: Stand::Tls,
        conf: |conf, stage| conf.connection("ca_file", &authority(stage)),
        furnish: with_certificates,
        inject: corrupt,
        sees: Sees::Unasked,
        lines: 40,
        ..COMMON
    },
    Fault {
        name: "forged",
        what: "bytes that the broker never sent: other frames, huge frames, no AMQP",
        inject: forge,
        sees: Sees::Unasked,
        lines: 60,
        ..COMMON
    },
    Fault {
        name: "half-close",
        what: "half-closed (FIN) towards us, and then towards the broker",
        short: true,
        inject: |scene| {
            for (round, towards) in [(1, Towards::Client), (2, Towards::Server)] {
                scene.proxy().half_close(towards);
                wait_counter(&scene.asterisk, "reconnects", round, seconds(30));
                scene.wait_state(&["connected"], seconds(30));
            }
        },
        sees: Sees::Unasked,
        ..COMMON
    },
    Fault {
        name: "first-url-dead",
        what: "the first host of the url list dies",
        conf: |conf, stage| {
            let second = stage.tenant.url();
            let port = format!(":{}/", stage.broker.port());
            let first = second.replace(&port, &format!(":{}/", stage.proxy.port()));
            conf.connection("url", &format!("{first}, {second}"))
        },
        inject: |scene| {
            scene.proxy().refuse();
            scene.proxy().cut();
        },
        sees: Sees::Cure,
        ..COMMON
    },
    Fault {
        name: "dns",
        what: "the broker's name stops resolving",
        conf: |conf, stage| {
            let url = stage.tenant.url().replace("127.0.0.1", NAME);
            let port = format!(":{}/", stage.broker.port());
            conf.connection("url", &url.replace(&port, &format!(":{}/", stage.proxy.port())))
        },
        furnish: |builder, _| {
            builder.hosts(&format!("127.0.0.1 {NAME}\n")).name_server(std::net::Ipv4Addr::LOCALHOST)
        },
        inject: |scene| {
            scene.asterisk.write_conf("hosts", &hosts_with(""));
            scene.proxy().cut();
        },
        sees: Sees::Words(&["unreachable"]),
        heal: |scene| {
            scene.asterisk.write_conf("hosts", &hosts_with(&format!("127.0.0.1 {NAME}\n")));
        },
        ..COMMON
    },
    Fault {
        name: "certificate-expired",
        what: "the broker's TLS certificate has expired",
        stand: Stand::Tls,
        conf: |conf, stage| conf.connection("ca_file", &authority(stage)),
        furnish: with_certificates,
        inject: |scene| {
            scene.broker().certificates().expire();
            use_certificate(scene);
        },
        sees: Sees::Words(&["TLS failed"]),
        heal: renew,
        ..COMMON
    },
    Fault {
        name: "certificate-foreign",
        what: "the broker's TLS certificate is of another CA",
        stand: Stand::Tls,
        conf: |conf, stage| conf.connection("ca_file", &authority(stage)),
        furnish: with_certificates,
        inject: |scene| {
            scene.broker().certificates().be_foreign();
            use_certificate(scene);
        },
        sees: Sees::Words(&["TLS failed"]),
        heal: renew,
        ..COMMON
    },
];

fn no_reconnect(scene: &Scene<'_>) -> Result<(), String> {
    match scene.status().counter("reconnects") {
        0 => Ok(()),
        count => Err(format!("a slow network was taken for a dead one {count} times")),
    }
}

/// A reset after 0, 1, 2, … bytes of one publish, until a publish is whole.
fn sweep(scene: &Scene<'_>) {
    let channel = scene.channel();
    for cut_after in 0.. {
        // Other settings are another connection, made at once: no back-off holds up the sweep.
        let heartbeat = if cut_after % 2 == 0 { "20" } else { "21" };
        scene.reload(&scene.conf.clone().connection("heartbeat_seconds", heartbeat));
        let resets = scene.proxy().resets_after();
        let before = eventually("a new connection that has settled all", seconds(30), || {
            let status = Status::ask(&scene.asterisk).ok_or("no answer")?;
            let settled = status.state().0 == "connected" && status.waiting() == 0;
            let is_new = scene.proxy().open_connections() == 1;
            let accepted = status.accepted();
            if settled && is_new { Ok(accepted) } else { Err(status.state().1.to_owned()) }
        });
        scene.proxy().reset_after(cut_after);
        scene.set_variable(&channel, 20, "text");
        let is_whole = eventually("a reset, or a confirm", seconds(30), || {
            if scene.proxy().resets_after() > resets {
                return Ok(false);
            }
            let status = Status::ask(&scene.asterisk).ok_or("no answer")?;
            match status.accepted() > before && status.waiting() == 0 {
                true => Ok(true),
                false => Err(format!("after {cut_after} bytes: {} wait", status.waiting())),
            }
        });
        if is_whole {
            assert!(cut_after > 500, "a publish has {cut_after} bytes?");
            break;
        }
    }
    scene.proxy().pass();
    scene.reload(&scene.conf);
}

/// Several times a byte of ours, and of the broker's.
fn corrupt(scene: &Scene<'_>) {
    for round in 1..=6 {
        let towards = if round % 2 == 0 { Towards::Server } else { Towards::Client };
        scene.proxy().corrupt(towards);
        wait_counter(&scene.asterisk, "reconnects", round, seconds(60));
        scene.wait_state(&["connected"], seconds(60));
    }
}

/// What comes from a broker that is none, or hostile; each has the connection made anew.
fn forge(scene: &Scene<'_>) {
    let frame = |kind: u8, channel: u16, payload: &[u8]| {
        let mut frame = vec![kind];
        frame.extend(channel.to_be_bytes());
        frame.extend((payload.len() as u32).to_be_bytes());
        frame.extend(payload);
        frame.push(0xce);
        frame
    };
    // basic.ack of a tag that never was
    let ack = [&60u16.to_be_bytes()[..], &80u16.to_be_bytes(), &(1u64 << 40).to_be_bytes(), &[0]];
    // connection.close, code 320
    let close = [
        &10u16.to_be_bytes()[..],
        &50u16.to_be_bytes(),
        &320u16.to_be_bytes(),
        b"\x04gone",
        &[0; 4],
    ];
    let forgeries = [
        ("no AMQP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("a frame of 4 GiB", b"\x01\x00\x01\xff\xff\xff\xff".repeat(40)),
        ("a frame without its end", b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x50\x00".to_vec()),
        ("an ack of no publish", frame(1, 1, &ack.concat())),
        ("the end of the connection", frame(1, 0, &close.concat())),
        ("a method that is none", frame(1, 1, b"\xff\xff\xff\xff")),
    ];
    for (what, bytes) in forgeries {
        let before = scene.status().counter("reconnects");
        scene.proxy().forge(Towards::Client, &bytes);
        eventually(&format!("the connection to be left for {what}"), seconds(60), || {
            let now = Status::ask(&scene.asterisk).ok_or("no answer")?.counter("reconnects");
            if now > before { Ok(()) } else { Err(now.to_string()) }
        });
        scene.wait_state(&["connected"], seconds(60));
    }
}

fn authority(stage: &Stage<'_>) -> String {
    stage.broker.certificates().ca().display().to_string()
}

fn with_certificates(builder: Builder, stage: &Stage<'_>) -> Builder {
    builder.share(stage.broker.certificates().folder())
}

/// The broker reads its files again, and the connection is made again.
fn use_certificate(scene: &Scene<'_>) {
    scene.broker().ctl(&["eval", "ssl:clear_pem_cache()."]);
    scene.proxy().cut();
}

fn renew(scene: &Scene<'_>) {
    scene.broker().certificates().renew();
    scene.broker().ctl(&["eval", "ssl:clear_pem_cache()."]);
}
