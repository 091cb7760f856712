// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make demo`: a node in Consul, an application from a key, and one call, from the phone to the
//! events at the broker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rig::{Ari, Call, Message, seconds};
use serde_json::Value;

use crate::print::{self, say, step};
use crate::stage::{APP, STASIS, Stage, broker, provide_roots, text};

/// The call takes about five seconds.
const LONGEST: Duration = seconds(40);
/// No event for that long after the call: they have all come.
const QUIET: Duration = seconds(1);

/// What must have been seen for the demo to have worked.
#[derive(Default)]
struct Seen {
    started: bool,
    ended: bool,
    kinds: BTreeMap<&'static str, u32>,
    sequences: Vec<u64>,
    example: Option<Message>,
}

pub(crate) fn run() -> bool {
    let begun = Instant::now();
    provide_roots();
    let broker = broker();
    let stage = Stage::set(&broker);
    let ari = stage.asterisk.ari();

    say(&format!(
        "A phone (SIPp) calls {STASIS}, which is Stasis({APP}). The application answers, plays a \
         greeting and hangs up over ARI;\n    it hears of the call only through RabbitMQ:\n"
    ));
    print::head();
    let mut seen = Seen::default();
    let mut call = None;
    let deadline = Instant::now() + LONGEST;
    loop {
        let Some(message) = stage.consumer.receive(QUIET) else {
            // The events of Asterisk's start are over, or those of the call.
            match &call {
                None => call = Some(Call::place(&stage.asterisk, STASIS, LONGEST)),
                Some(_) if seen.ended => break,
                Some(_) => assert!(
                    Instant::now() < deadline,
                    "no StasisEnd within {LONGEST:?}; {}",
                    stage.asterisk.cli("amqp show status")
                ),
            }
            continue;
        };
        print::event(&message);
        seen.note(&message);
        play_the_application(&ari, &message);
    }
    println!();
    if let Some(call) = call {
        step("The phone", || {
            call.wait(seconds(10));
            ("was answered, heard the greeting and was hung up on".to_owned(), ())
        });
    }
    if let Some(message) = &seen.example {
        say("The StasisStart, with all its properties and headers:");
        print::whole(message);
    }
    for command in ["amqp show status", "consul show status", "consul show applications"] {
        show(&stage, command);
    }
    let worked = seen.report();
    let in_maintenance = maintain(&stage);
    step(&format!("consul kv delete applications/{APP}"), || {
        stage.consul.kv_delete(&format!("applications/{APP}"));
        stage.wait_no_application();
        ("the application has ended, and its service is deregistered".to_owned(), ())
    });
    let left = step("core stop gracefully", || {
        let status = stage.asterisk.stop_gracefully();
        let left: Vec<String> = stage.consul.services().into_keys().collect();
        (format!("{status}; services left in Consul: {}", left.len()), left)
    });
    step("Ending Consul, RabbitMQ and the consumer", || {
        drop(stage);
        broker.kill();
        ("done".to_owned(), ())
    });
    let worked = worked && in_maintenance && left.is_empty();
    say(&format!(
        "{:.0} s in all. `make up` leaves the servers running.",
        begun.elapsed().as_secs_f64()
    ));
    worked
}

/// What a command of Asterisk's prints.
fn show(stage: &Stage<'_>, command: &str) {
    say(command);
    for line in stage.asterisk.cli(command).lines() {
        println!("{}", format!("    {line}").trim_end());
    }
}

/// Takes the node out of service and back, as Consul sees it. Whether Consul did.
fn maintain(stage: &Stage<'_>) -> bool {
    let set = |state: &str, status: &str| {
        step(&format!("discovery set maintenance {state}"), || {
            stage.asterisk.cli(&format!("discovery set maintenance {state}"));
            let node = stage.wait_node(status, |node| node["AggregatedStatus"] == status);
            let reason = stage.consul.maintenance_of(stage.asterisk.entity_id());
            let why =
                reason.as_deref().map_or_else(String::new, |reason| format!(", \"{reason}\""));
            (format!("Consul: {}{why}", text(&node["AggregatedStatus"])), reason.is_some())
        })
    };
    let on = set("on", "maintenance");
    let off = !set("off", "passing");
    for (what, _) in
        [("maintenance on", on), ("maintenance off", off)].iter().filter(|(_, seen)| !seen)
    {
        eprintln!("demo: missing: {what}");
    }
    on && off
}

/// The application: all it knows it has from the broker.
fn play_the_application(ari: &Ari, message: &Message) {
    if message.routing_key != format!("stasis.app.{APP}") {
        return;
    }
    let body = message.json();
    let text =
        |pointer| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    match message.name() {
        "StasisStart" => {
            let channel = text("/data/channel/id");
            ari.post(&format!("/channels/{channel}/answer")).ok();
            ari.post(&format!("/channels/{channel}/play?media=sound:hello-world")).ok();
        }
        "PlaybackFinished" => {
            // target_uri is "channel:<id>"
            let target = text("/data/playback/target_uri");
            let channel = target.trim_start_matches("channel:");
            ari.delete(&format!("/channels/{channel}")).ok();
        }
        _ => {}
    }
}

impl Seen {
    fn note(&mut self, message: &Message) {
        let kind = match message.routing_key.as_str() {
            key if key.starts_with("stasis.app.") => "application",
            key if key.starts_with("stasis.channel.") => "channel",
            key if key.starts_with("ami.") => "AMI",
            _ => "other",
        };
        *self.kinds.entry(kind).or_default() += 1;
        self.sequences.extend(message.sequence());
        if kind == "application" {
            if message.name() == "StasisStart" {
                self.started = true;
                self.example = Some(message.clone());
            }
            self.ended |= message.name() == "StasisEnd";
        }
    }

    fn report(&self) -> bool {
        let kinds: Vec<_> = self.kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        let gaps = self.sequences.windows(2).filter(|pair| pair[0] + 1 != pair[1]).count();
        say(&format!(
            "Seen at the broker: {} events; sequence numbers {} to {}, {gaps} gaps",
            kinds.join(", "),
            self.sequences.first().unwrap_or(&0),
            self.sequences.last().unwrap_or(&0),
        ));
        let has = |kind| self.kinds.contains_key(kind);
        let wanted = [
            ("a StasisStart", self.started),
            ("a StasisEnd", self.ended),
            ("an AMI event", has("AMI")),
            ("a channel event", has("channel")),
            ("sequence numbers without gaps", gaps == 0 && !self.sequences.is_empty()),
        ];
        for (what, _) in wanted.iter().filter(|(_, seen)| !seen) {
            eprintln!("demo: missing: {what}");
        }
        wanted.iter().all(|(_, seen)| *seen)
    }
}
