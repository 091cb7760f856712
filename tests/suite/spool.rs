// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What memory cannot hold, and what is to outlive Asterisk, is on disk and comes back in order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use rig::folder::Folder;
use rig::{Asterisk, Broker, Consumer, Message, Tenant, Version, eventually, seconds};

use crate::gate::Gate;
use crate::pair::{AmqpConf, counter, load, node, wait_for_counter, wait_for_state};
use crate::traffic::{Arrived, count_fast, count_slowly, hang_up, keep_all, set, settle, spool};
use crate::unloading::unload_in_time;

on_each_version!(
    what_memory_cannot_hold_is_on_disk_while_the_broker_is_away_and_comes_back_in_order,
    fifty_thousand_events_survive_a_kill_and_come_before_those_of_the_next_run,
    what_is_left_at_a_stop_is_delivered_by_the_next_run,
    a_full_spool_drops_its_oldest_and_tells_of_it,
    a_full_spool_takes_no_newer_ones_if_told_so,
    a_reload_to_another_directory_or_none_delivers_what_is_in_the_old_one,
);

/// A spool, and the way to a broker that can be closed.
pub(crate) struct Scene {
    pub(crate) tenant: Tenant<'static>,
    pub(crate) gate: Gate,
    pub(crate) shared: Folder,
    pub(crate) version: Version,
}

impl Scene {
    /// The way is closed.
    pub(crate) fn new(version: Version) -> Self {
        let tenant = Broker::shared().tenant();
        keep_all(&tenant, "asterisk", "kept", "classic");
        let gate = Gate::to(tenant.broker().port());
        Self { tenant, gate, shared: Folder::new("spool"), version }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.shared.path().join("events")
    }

    pub(crate) fn conf(&self) -> AmqpConf {
        let url = self.gate.url(&self.tenant.url());
        let dir = self.dir();
        AmqpConf::new(&url)
            .stasis("publish_ami_events", "no")
            .stasis("spool_dir", dir.to_str().expect("a plain path"))
    }

    /// A run of Asterisk, with the module loaded.
    pub(crate) fn run(&self, conf: &AmqpConf) -> Asterisk {
        let asterisk = node(self.version, &conf.text()).share(self.shared.path()).start();
        load(&asterisk);
        asterisk
    }

    /// The files of the spool that have events.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir()).expect("the spool's directory");
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|kind| kind == "spool"));
        files.sort();
        files
    }

    pub(crate) fn consumer(&self) -> Consumer {
        Consumer::queue(&self.tenant.url(), "kept")
    }
}

/// The word for its state.
pub(crate) fn state(asterisk: &Asterisk) -> String {
    let status = asterisk.ari().get("/amqp").ok();
    status["spool"]["state"].as_str().expect("a state").to_owned()
}

#[track_caller]
pub(crate) fn wait_for_spool(asterisk: &Asterisk, word: &str) {
    eventually(&format!("the spool to be {word}"), seconds(40), || match state(asterisk) {
        state if state == word => Ok(()),
        _ => Err(asterisk.cli("amqp show status")),
    });
}

/// Waits until nothing is in memory only, and gives the number of events so far.
#[track_caller]
pub(crate) fn wait_until_on_disk(asterisk: &Asterisk, at_least: u64) -> u64 {
    eventually("all events to be on disk", seconds(60), || {
        let queued = counter(asterisk, "queued");
        let unsaved = asterisk.ari().get("/amqp").ok()["queue"]["unsaved_events"].as_u64();
        match unsaved == Some(0) && queued >= at_least && counter(asterisk, "queued") == queued {
            true => Ok(queued),
            false => Err(format!("{unsaved:?} of {queued} are in memory only")),
        }
    })
}

fn boot(message: &Message) -> u64 {
    let boot = message.message_id().rsplit('/').nth(1).and_then(|boot| boot.parse().ok());
    boot.unwrap_or_else(|| panic!("no run in {}", message.message_id()))
}

/// What has arrived of several runs.
#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) by_boot: BTreeMap<u64, Arrived>,
    order: Vec<u64>,
}

impl Runs {
    /// Takes until `enough`; no run comes between the events of another, and the older come first.
    #[track_caller]
    pub(crate) fn take_until(&mut self, consumer: &Consumer, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let message = consumer.receive(seconds(20)).unwrap_or_else(|| {
                let counts = self.by_boot.iter().map(|(boot, run)| (boot, run.messages().count()));
                panic!("nothing more arrives after {:?}", counts.collect::<Vec<_>>())
            });
            let boot = boot(&message);
            if self.order.last() != Some(&boot) {
                self.order.push(boot);
            }
            self.by_boot.entry(boot).or_default().take(message);
        }
        assert!(self.order.is_sorted(), "runs are mixed up: {:?}", self.order);
        self.by_boot.values().for_each(Arrived::assert_in_order);
    }

    pub(crate) fn count(&self) -> usize {
        self.by_boot.len()
    }

    #[track_caller]
    pub(crate) fn first(&self) -> &Arrived {
        self.by_boot.values().next().expect("a run")
    }

    #[track_caller]
    pub(crate) fn last(&self) -> &Arrived {
        self.by_boot.values().next_back().expect("a run")
    }
}

/// Each of the missing is told of by an EventsLost, for one of these reasons, that counts right. A range
/// that was joined of others spans events that are not missing, too.
#[track_caller]
pub(crate) fn assert_lost<'a>(
    messages: impl Iterator<Item = &'a Message>,
    boot: u64,
    reasons: &[&str],
    missing: &BTreeSet<u64>,
) {
    let mut told = BTreeSet::new();
    for message in messages.filter(|message| message.routing_key == "stasis.meta") {
        let data = &message.json()["data"];
        if data["boot"] != boot.to_string().as_str() {
            continue;
        }
        assert!(reasons.iter().any(|reason| data["reason"] == *reason), "{data}");
        let [first, last] =
            ["first_sequence", "last_sequence"].map(|name| data[name].as_u64().expect("a number"));
        let lost: BTreeSet<u64> = missing.range(first..=last).copied().collect();
        assert_eq!(data["count"], lost.len(), "{data}");
        assert!(data["reason"] == "several" || lost.len() as u64 == last - first + 1, "{data}");
        told.extend(lost);
    }
    assert_eq!(told, *missing);
}

fn what_memory_cannot_hold_is_on_disk_while_the_broker_is_away_and_comes_back_in_order(
    version: Version,
) {
    let scene = Scene::new(version);
    // Less than there will be, and enough for an fdatasync that takes a second.
    let asterisk = scene.run(&scene.conf().stasis("queue_max_events", "8000"));
    wait_for_state(&asterisk, "unreachable");
    wait_for_spool(&asterisk, "idle");
    count_slowly(&asterisk, 20_000).finish(seconds(60));
    let queued = wait_until_on_disk(&asterisk, 20_000);
    assert_eq!(counter(&asterisk, "dropped"), 0);
    assert_seen(&asterisk, &scene, queued);

    scene.gate.open();
    wait_for_state(&asterisk, "connected");
    let last = settle(&asterisk);
    let arrived = Arrived::until(&scene.consumer(), last);
    arrived.assert_in_order();
    arrived.assert_counted_to(20_000);
    assert_eq!((arrived.repeats, counter(&asterisk, "dropped")), (0, 0));
    assert!(counter(&asterisk, "replayed") >= queued);
    // The space comes back, and what comes now needs no disk.
    wait_for_spool(&asterisk, "idle");
    eventually("the files to be gone", seconds(10), || match scene.segments() {
        files if files.is_empty() => Ok(()),
        files => Err(format!("{files:?}")),
    });
    let spooled = counter(&asterisk, "spooled");
    set(&asterisk, "LIVE");
    settle(&asterisk);
    assert_eq!(counter(&asterisk, "spooled"), spooled);
    unload_in_time(&asterisk);
}

/// What is in the spool, by each way to look at it.
fn assert_seen(asterisk: &Asterisk, scene: &Scene, queued: u64) {
    let (events, bytes) = spool(asterisk);
    // An eighth of what memory may hold is read ahead.
    assert!(events > queued - 2000 && bytes > 0, "{events} events, {bytes} bytes");
    let shown = asterisk.cli("amqp show status");
    assert!(shown.contains("  Spool:        holding: "), "{shown}");

    let shown = asterisk.cli("amqp spool show 3");
    let dir = scene.dir();
    let first = format!("{}/", asterisk.entity_id());
    for part in [dir.to_str().expect("a path"), "holding", "ChannelVarset", first.as_str()] {
        assert!(shown.contains(part), "no {part} in:\n{shown}");
    }
    let ids: Vec<_> = shown.lines().filter(|line| line.starts_with(&first)).collect();
    assert_eq!(ids.len(), 3, "{shown}");
    assert!(ids[0].split("  ").next().is_some_and(|id| id.ends_with("/1")), "{shown}");
    let usage = asterisk.cli("amqp spool show all");
    assert!(usage.contains("Usage: amqp spool show"), "{usage}");

    let answer = asterisk.ami().action("AMQPStatus", &[]);
    assert_eq!(answer.field("SpoolState"), "holding", "{answer:?}");
    assert_ne!((answer.field("SpoolEvents"), answer.field("SpoolBytesMax")), ("", ""));
}

fn fifty_thousand_events_survive_a_kill_and_come_before_those_of_the_next_run(version: Version) {
    let scene = Scene::new(version);
    let conf = scene.conf();
    let first = scene.run(&conf);
    wait_for_state(&first, "unreachable");
    let channels: Vec<_> = (0..2).map(|_| count_fast(&first, 25_000)).collect();
    channels.iter().for_each(|channel| channel.finish(seconds(120)));
    let said = wait_until_on_disk(&first, 50_000);
    first.kill();

    scene.gate.open();
    let since = Instant::now();
    let second = scene.run(&conf);
    wait_for_state(&second, "connected");
    set(&second, "LATER");
    let mut runs = Runs::default();
    let consumer = scene.consumer();
    runs.take_until(&consumer, |runs| {
        let later = |m: &Message| m.json()["data"]["variable"] == "LATER";
        runs.count() == 2 && runs.last().messages().any(later)
    });
    let took = since.elapsed();
    assert_eq!(runs.first().missing(said), Vec::<u64>::new());
    assert_eq!(runs.first().repeats, 0);
    assert!(counter(&second, "recovered") >= said);
    assert_eq!(counter(&second, "dropped"), 0);
    second.wait_log(&format!("{said} events of before are in it"));
    println!("{said} events arrived {took:?} after the start of the next run");
    settle(&second);
    unload_in_time(&second);
}

fn what_is_left_at_a_stop_is_delivered_by_the_next_run(version: Version) {
    let scene = Scene::new(version);
    let conf = scene.conf();
    let mut said = Vec::new();
    for gracefully in [true, false] {
        let asterisk = scene.run(&conf);
        wait_for_state(&asterisk, "unreachable");
        count_slowly(&asterisk, 500).finish(seconds(30));
        hang_up(&asterisk);
        wait_until_on_disk(&asterisk, 500);
        let since = Instant::now();
        let status = if gracefully { asterisk.stop_gracefully() } else { asterisk.stop_now() };
        assert!(status.success(), "{status}");
        assert!(since.elapsed() < seconds(15), "the stop took {:?}", since.elapsed());
        let line = asterisk.wait_log("events are kept in the spool for the next start");
        let kept = line.split(": ").nth(1).and_then(|said| said.split(' ').next()?.parse().ok());
        said.push(kept.unwrap_or_else(|| panic!("no number: {line}")));
        assert!(!asterisk.log().contains("could not be delivered"), "{}", asterisk.log());
    }
    let (first, both): (u64, u64) = (said[0], said[1]);
    assert!(first >= 500 && both >= first + 500, "{said:?}");

    scene.gate.open();
    let asterisk = scene.run(&conf);
    let mut runs = Runs::default();
    runs.take_until(&scene.consumer(), |runs| {
        let all = runs.by_boot.values().take(2).map(|run| run.messages().count() as u64);
        all.sum::<u64>() >= both
    });
    assert_eq!(runs.first().missing(first), Vec::<u64>::new());
    assert_eq!(counter(&asterisk, "recovered"), both);
    settle(&asterisk);
    unload_in_time(&asterisk);
}

/// Much more than a small spool and a small memory hold, and what comes of it.
fn overflow(version: Version, policy: &str) -> (Arrived, u64, Asterisk, Scene) {
    let scene = Scene::new(version);
    let conf = scene
        .conf()
        .stasis("queue_max_events", "400")
        .stasis("spool_max_bytes", "256k")
        .stasis("overflow", policy);
    let asterisk = scene.run(&conf);
    wait_for_state(&asterisk, "unreachable");
    count_slowly(&asterisk, 5000).finish(seconds(60));
    wait_for_counter(&asterisk, "dropped", seconds(20), 1000);
    wait_for_spool(&asterisk, "full");
    let (_, bytes) = spool(&asterisk);
    assert!(bytes <= 256 << 10, "{bytes}");
    asterisk.wait_log("what is too much is dropped");

    scene.gate.open();
    wait_for_state(&asterisk, "connected");
    let last = settle(&asterisk);
    let mut arrived = Arrived::default();
    arrived.take_until(&scene.consumer(), |arrived| arrived.has(last));
    arrived.assert_in_order();
    (arrived, last, asterisk, scene)
}

/// How many of the missing were told of, all of them for one of these reasons, and are counted.
#[track_caller]
fn assert_told(arrived: &Arrived, last: u64, asterisk: &Asterisk, reasons: &[&str]) -> usize {
    let run = boot(arrived.messages().next().expect("a message"));
    let missing: BTreeSet<u64> = arrived.missing(last).into_iter().collect();
    assert_lost(arrived.messages(), run, reasons, &missing);
    assert_eq!(counter(asterisk, "dropped"), missing.len() as u64);
    missing.len()
}

fn a_full_spool_drops_its_oldest_and_tells_of_it(version: Version) {
    let (arrived, last, asterisk, _scene) = overflow(version, "drop_oldest");
    // On a machine without time for the spool's thread, memory overflows too.
    let missing = assert_told(&arrived, last, &asterisk, &["spool_full", "several", "queue_full"]);
    let [spool, queue] =
        ["spool", "queue"].map(|what| counter(&asterisk, &format!("dropped_{what}_full")));
    assert!(spool > 0 && spool + queue == missing as u64, "{spool} and {queue} of {missing}");
    let value = |m: &Message| m.json()["data"]["value"] == "5000";
    assert!(arrived.messages().any(value), "the newest is missing");
}

fn a_full_spool_takes_no_newer_ones_if_told_so(version: Version) {
    let (arrived, last, asterisk, _scene) = overflow(version, "drop_newest");
    let missing = assert_told(&arrived, last, &asterisk, &["queue_full"]);
    assert_eq!(counter(&asterisk, "dropped_queue_full"), missing as u64);
    assert!((1..=300).all(|sequence| arrived.has(sequence)));
}

fn a_reload_to_another_directory_or_none_delivers_what_is_in_the_old_one(version: Version) {
    let scene = Scene::new(version);
    let asterisk = scene.run(&scene.conf());
    wait_for_state(&asterisk, "unreachable");
    let reload = |conf: &AmqpConf| {
        asterisk.write_conf("amqp.conf", &conf.text());
        asterisk.cli("module reload res_stasis_amqp.so");
    };
    count_slowly(&asterisk, 500).finish(seconds(30));
    wait_until_on_disk(&asterisk, 500);
    let other = scene.shared.path().join("other");
    reload(&scene.conf().stasis("spool_dir", other.to_str().expect("a path")));
    wait_for_spool(&asterisk, "draining");
    count_slowly(&asterisk, 500).finish(seconds(30));
    assert!(!other.exists(), "the old one is not empty yet");

    scene.gate.open();
    wait_for_state(&asterisk, "connected");
    wait_for_spool(&asterisk, "idle");
    assert!(other.join("lock").exists());
    settle(&asterisk);
    scene.gate.shut();
    wait_for_state(&asterisk, "unreachable");
    let before = counter(&asterisk, "spooled");
    count_slowly(&asterisk, 500).finish(seconds(30));
    wait_for_counter(&asterisk, "spooled", seconds(20), before + 500);
    reload(&scene.conf().stasis("spool_dir", ""));
    wait_for_spool(&asterisk, "draining");
    scene.gate.open();
    wait_for_state(&asterisk, "connected");
    wait_for_spool(&asterisk, "off");

    let last = settle(&asterisk);
    let arrived = Arrived::until(&scene.consumer(), last);
    arrived.assert_in_order();
    assert_eq!((arrived.repeats, counter(&asterisk, "dropped")), (0, 0));
    unload_in_time(&asterisk);
}
