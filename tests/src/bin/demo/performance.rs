// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make demo`: one call, from the phone to the events at the broker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rig::{Ari, Call, Message, seconds};
use serde_json::Value;

use crate::print::{self, say, step};
use crate::stage::{APP, STASIS, Stage, broker};

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
    // Where it has to be made, that shows its own progress.
    let _ = rig::root::Root::Testing.path();
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
    say("amqp show status");
    for line in stage.asterisk.cli("amqp show status").lines() {
        println!("{}", format!("    {line}").trim_end());
    }
    let worked = seen.report();
    step("Ending Asterisk, RabbitMQ and the consumer", || {
        drop(stage);
        broker.kill();
        ("done".to_owned(), ())
    });
    say(&format!(
        "{:.0} s in all. `make up` leaves the servers running.",
        begun.elapsed().as_secs_f64()
    ));
    worked
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
