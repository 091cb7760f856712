// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A disk that does not do its part: it is said clearly, and publishing goes on.

use std::path::Path;
use std::process::Command;

use rig::{Asterisk, Call, Version, eventually, seconds};

use crate::pair::{counter, wait_for_counter, wait_for_state};
use crate::spool::{Runs, Scene, assert_lost, state, wait_for_spool, wait_until_on_disk};
use crate::traffic::{Arrived, count_slowly, hang_up, set, settle};
use crate::unloading::unload_in_time;

on_each_version!(
    a_directory_of_another_user_is_refused_and_events_are_published,
    a_directory_that_another_asterisk_has_is_taken_when_it_ends,
    a_read_only_disk_holds_up_nothing_and_is_used_when_it_can_be_written,
    a_full_disk_costs_nothing_that_memory_can_hold,
    a_torn_end_and_a_damaged_file_cost_no_more_than_they_must,
);

/// A small file system of its own.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(path: &'a Path, options: &str) -> Self {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "spool-test"]).arg(path));
        Self(path)
    }

    fn remount(&self, option: &str) {
        run(Command::new("mount").arg("-o").arg(format!("remount,{option}")).arg(self.0));
    }

    /// Also in a node's own view of it.
    fn remount_for(&self, asterisk: &Asterisk, option: &str) {
        self.remount(option);
        let inside = self.0.strip_prefix("/").expect("an absolute path");
        let inside = asterisk.version().root().path().join(inside);
        let pid = asterisk.process().pid().to_string();
        let option = format!("remount,bind,{option}");
        let mut command = Command::new("nsenter");
        run(command.args(["-t", &pid, "-m", "mount", "-o", &option]).arg(inside));
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // Lazily: the node's own view of it ends with the node.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Events come through, in order and without a loss, whatever the spool does.
#[track_caller]
fn assert_publishes(scene: &Scene, asterisk: &Asterisk) {
    wait_for_state(asterisk, "connected");
    count_slowly(asterisk, 500).finish(seconds(30));
    let last = settle(asterisk);
    let arrived = Arrived::until(&scene.consumer(), last);
    arrived.assert_in_order();
    arrived.assert_counted_to(500);
    assert_eq!(counter(asterisk, "dropped"), 0);
}

/// One line of that kind, and no more of it.
#[track_caller]
fn assert_said_once(asterisk: &Asterisk, text: &str) {
    asterisk.wait_log(text);
    let lines = asterisk.complaints().into_iter().filter(|line| line.contains(text)).count();
    assert_eq!(lines, 1, "{:?}", asterisk.complaints());
}

fn a_directory_of_another_user_is_refused_and_events_are_published(version: Version) {
    let scene = Scene::new(version);
    std::fs::create_dir(scene.dir()).expect("a directory");
    std::os::unix::fs::chown(scene.dir(), Some(4711), None).expect("another owner");
    scene.gate.open();
    let asterisk = scene.run(&scene.conf());
    assert_publishes(&scene, &asterisk);
    wait_for_spool(&asterisk, "broken");
    assert_said_once(&asterisk, "belongs to user 4711, but Asterisk runs as user 0");

    std::os::unix::fs::chown(scene.dir(), Some(0), None).expect("the right owner");
    wait_for_spool(&asterisk, "idle");
    asterisk.wait_log("works again");
    std::fs::write(scene.shared.path().join("file"), "").expect("a file");
    let file = scene.shared.path().join("file");
    let conf = scene.conf().stasis("spool_dir", file.to_str().expect("a path"));
    asterisk.write_conf("amqp.conf", &conf.text());
    asterisk.cli("module reload res_stasis_amqp.so");
    asterisk.wait_log("is not a directory");
    set(&asterisk, "LIVE");
    settle(&asterisk);
    unload_in_time(&asterisk);
}

fn a_directory_that_another_asterisk_has_is_taken_when_it_ends(version: Version) {
    let scene = Scene::new(version);
    let conf = scene.conf();
    let first = scene.run(&conf);
    wait_for_spool(&first, "idle");
    count_slowly(&first, 300).finish(seconds(30));
    wait_until_on_disk(&first, 300);

    let second = scene.run(&conf);
    wait_for_spool(&second, "broken");
    assert_said_once(&second, "is in use by another process");
    scene.gate.open();
    wait_for_state(&second, "connected");
    set(&second, "OWN");
    settle(&second);
    settle(&first);
    assert!(first.stop_now().success());
    wait_for_spool(&second, "idle");
    let [dropped, recovered] = ["dropped", "recovered"].map(|name| counter(&second, name));
    assert_eq!((dropped, recovered), (0, 0));
    unload_in_time(&second);
}

fn a_read_only_disk_holds_up_nothing_and_is_used_when_it_can_be_written(version: Version) {
    let scene = Scene::new(version);
    let shared = scene.shared.path().to_owned();
    let disk = Mounted::new(&shared, "size=16m,mode=755");
    std::fs::create_dir(scene.dir()).expect("a directory");
    disk.remount("ro");
    scene.gate.open();
    let asterisk = scene.run(&scene.conf());
    assert_publishes(&scene, &asterisk);
    wait_for_spool(&asterisk, "broken");
    assert_said_once(&asterisk, "Read-only file system");

    disk.remount_for(&asterisk, "rw");
    wait_for_spool(&asterisk, "idle");
    scene.gate.shut();
    let before = counter(&asterisk, "queued");
    count_slowly(&asterisk, 300).finish(seconds(30));
    wait_until_on_disk(&asterisk, before + 300);
    unload_in_time(&asterisk);
}

fn a_full_disk_costs_nothing_that_memory_can_hold(version: Version) {
    let scene = Scene::new(version);
    let shared = scene.shared.path().to_owned();
    let _disk = Mounted::new(&shared, "size=512k,mode=755");
    let asterisk = scene.run(&scene.conf().stasis("queue_max_events", "20000"));
    wait_for_state(&asterisk, "unreachable");
    count_slowly(&asterisk, 8000).finish(seconds(60));
    wait_for_spool(&asterisk, "broken");
    assert_said_once(&asterisk, "No space left on device");
    // Calls are answered as before.
    Call::place(&asterisk, "call", seconds(0)).outcome(seconds(60)).expect("a call");
    hang_up(&asterisk);
    assert_eq!(counter(&asterisk, "dropped"), 0);

    scene.gate.open();
    wait_for_state(&asterisk, "connected");
    let last = settle(&asterisk);
    let arrived = Arrived::until(&scene.consumer(), last);
    arrived.assert_in_order();
    assert_eq!((arrived.repeats, counter(&asterisk, "dropped")), (0, 0));
    // The events that were delivered made room.
    eventually("the spool to be in order", seconds(40), || match state(&asterisk).as_str() {
        "idle" => Ok(()),
        other => Err(other.to_owned()),
    });
    scene.gate.shut();
    count_slowly(&asterisk, 8000).finish(seconds(60));
    wait_for_spool(&asterisk, "broken");
    // What cannot be kept is counted, and the end is not held up.
    unload_in_time(&asterisk);
    asterisk.wait_log("events are kept in the spool");
    asterisk.wait_log("events could not be delivered before the end");
}

fn a_torn_end_and_a_damaged_file_cost_no_more_than_they_must(version: Version) {
    let scene = Scene::new(version);
    let conf = scene.conf().stasis("spool_max_bytes", "4m");
    let first = scene.run(&conf);
    wait_for_state(&first, "unreachable");
    count_slowly(&first, 2500).finish(seconds(30));
    let said = wait_until_on_disk(&first, 2500);
    first.kill();

    let segments = scene.segments();
    assert!(segments.len() >= 4, "{segments:?}");
    let damaged = &segments[1];
    let mut bytes = std::fs::read(damaged).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(damaged, bytes).expect("a damaged segment");
    let torn = segments.last().expect("a segment");
    let mut bytes = std::fs::read(torn).expect("a segment");
    bytes.extend_from_slice(&[7, 0, 0, 0, 1, 2]);
    std::fs::write(torn, bytes).expect("a torn segment");

    scene.gate.open();
    let second = scene.run(&conf);
    second.wait_log("6 bytes at the end of");
    second.wait_log("is damaged at byte");
    wait_for_counter(&second, "recovered", seconds(20), said);
    let lost = counter(&second, "dropped_spool_corrupt");
    assert!(lost > 0 && lost < said / 2, "{lost} of {said}");
    set(&second, "LATER");
    settle(&second);
    let mut runs = Runs::default();
    runs.take_until(&scene.consumer(), |runs| {
        let later = |m: &rig::Message| m.json()["data"]["variable"] == "LATER";
        runs.count() == 2 && runs.last().messages().any(later)
    });
    let missing = runs.first().missing(said);
    assert_eq!(missing.len() as u64, lost);
    let run = *runs.by_boot.keys().next().expect("a run");
    let missing = missing.into_iter().collect();
    assert_lost(runs.last().messages(), run, &["spool_corrupt"], &missing);
    let aside = format!("{}.corrupt", damaged.display());
    eventually("the damaged file to be put aside", seconds(10), || {
        if Path::new(&aside).exists() { Ok(()) } else { Err(format!("{:?}", scene.segments())) }
    });
    unload_in_time(&second);
}
