// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Monitoring jobs that ask all the time, while a module goes and comes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rig::{Ami, Asterisk, Broker, Network, Towards, Version, eventually, seconds};

use crate::commands::completed;
use crate::fleet::{AMQP, APPS, DISCOVERY, Fleet, assert_all_gone, load, unload_all};
use crate::gate::Gate;
use crate::member::{Member, unregister};
use crate::pair::{AmqpConf, wait_for_state};
use crate::traffic::set;
use crate::unloading::assert_gone;

on_each_version!(
    commands_and_an_unload_do_not_wait_for_each_other,
    actions_end_before_the_module_does,
    a_status_is_told_while_an_unload_drains,
);

/// What an answer, or an unload, may take. One that waits for the other never comes.
const LIMIT: Duration = seconds(20);

const LIVES: usize = 20;

/// Such lives take milliseconds.
const SHORT_LIVES: usize = 100;

/// Asks a node something on a connection of its own, and gives the answer.
type Ask<'a> = &'a (dyn Fn() -> String + Sync);

/// Does `work` while each of `asks` is asked again and again, and gives all of the answers, each
/// with the time it took.
fn while_asked(asks: &[Ask<'_>], work: impl FnOnce()) -> Vec<Vec<(Duration, String)>> {
    /// Also when `work` fails.
    struct Over<'a>(&'a AtomicBool);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = Over(&is_over);
        let is_over = &is_over;
        let ask_on = |ask: Ask<'_>| {
            let mut answers = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let since = Instant::now();
                let answer = ask();
                answers.push((since.elapsed(), answer));
            }
            answers
        };
        let askers: Vec<_> = asks.iter().map(|ask| scope.spawn(move || ask_on(*ask))).collect();
        work();
        drop(over);
        askers.into_iter().map(|asker| asker.join().expect("answers")).collect()
    })
}

fn command(asterisk: &Asterisk, command: &str) -> String {
    let answer = asterisk.try_cli(command, LIMIT);
    answer.unwrap_or_else(|error| panic!("{command}: {error}"))
}

/// A manager session, made anew when Asterisk ends it: so it does when an action has gone that it had
/// found.
struct Session<'a> {
    asterisk: &'a Asterisk,
    ami: Mutex<Ami>,
}

impl<'a> Session<'a> {
    fn of(asterisk: &'a Asterisk) -> Self {
        Self { asterisk, ami: Mutex::new(asterisk.ami()) }
    }

    fn action(&self, name: &str, fields: &[(&str, &str)]) -> String {
        let mut ami = self.ami.lock().unwrap_or_else(PoisonError::into_inner);
        match ami.try_action(name, fields) {
            Ok(answer) => format!("{}: {}", answer.field("Response"), answer.field("Message")),
            Err(error) => {
                *ami = self.asterisk.ami();
                error.to_string()
            }
        }
    }
}

/// Unloads a module. Where somebody asks it something at that moment, Asterisk refuses.
#[track_caller]
fn unload(asterisk: &Asterisk, module: &str) -> Duration {
    eventually(&format!("the unload of {module}"), LIMIT, || {
        let since = Instant::now();
        let answer = command(asterisk, &format!("module unload {module}.so"));
        if answer.contains("Unloaded") { Ok(since.elapsed()) } else { Err(answer) }
    })
}

#[track_caller]
fn assert_some(answers: &[(Duration, String)], text: &str) {
    let found = answers.iter().any(|(_, answer)| answer.contains(text));
    assert!(found, "{text:?} is in none of {} answers", answers.len());
}

fn commands_and_an_unload_do_not_wait_for_each_other(version: Version) {
    let fleet = Fleet::start(version);
    let asterisk = &fleet.asterisk;
    fleet.consul.kv_put("applications/demo", "");
    fleet.wait_app("demo");

    let applications = || command(asterisk, "consul show applications");
    let names = || completed(asterisk, "consul show applications ").join(" ");
    let answers = while_asked(&[&applications, &applications, &names], || {
        // The applications are to be deregistered, for as long as an unload waits for that.
        fleet.consul.freeze();
        unload(asterisk, APPS);
        fleet.consul.thaw();
        for _ in 0..LIVES {
            load(asterisk, APPS);
            unload(asterisk, APPS);
        }
    });
    assert_some(&answers[0], "below 'applications/'");
    assert_some(&answers[0], "No such command");
    assert_some(&answers[2], "demo");

    let status = || command(asterisk, "amqp show status");
    let connection = || command(asterisk, "amqp show connection bunny");
    let names = || completed(asterisk, "amqp show connection ").join(" ");
    let answers = while_asked(&[&status, &connection, &names], || {
        for _ in 0..LIVES {
            unload(asterisk, AMQP);
            load(asterisk, AMQP);
        }
    });
    assert_some(&answers[0], "Publishing to exchange");
    assert_some(&answers[0], "No such command");
    assert_some(&answers[1], "Heartbeat:");
    assert_some(&answers[2], "bunny");
    load(asterisk, APPS);
    fleet.wait_app("demo");
    unload_all(asterisk);
    assert_all_gone(asterisk);
}

fn actions_end_before_the_module_does(version: Version) {
    let member = Member::start(version);
    let asterisk = &member.asterisk;
    let sessions = [(); 8].map(|()| Session::of(asterisk));
    let asks = sessions
        .each_ref()
        .map(|session| || session.action("DiscoverySetMaintenance", &[("Enable", "false")]));
    let answers = while_asked(&asks.each_ref().map(|ask| ask as Ask<'_>), || {
        for _ in 0..SHORT_LIVES {
            // An action runs nearly always, with which nothing but force begins an unload.
            let answer = command(asterisk, &format!("module unload -f {DISCOVERY}.so"));
            assert!(answer.contains("Unloaded"), "{answer}");
            load(asterisk, DISCOVERY);
        }
    });
    let answers = answers.concat();
    assert_some(&answers, "Success: ");
    assert_some(&answers, "Error: ");
    member.wait("passing");
    // A life that ended in use would keep the module that it needs for ever.
    unregister(asterisk);
    asterisk.assert_alive();
}

fn a_status_is_told_while_an_unload_drains(version: Version) {
    // What an answer may take on a machine that is busy with other scenarios; the drain takes three
    // seconds.
    const PROMPT: Duration = seconds(2);

    let tenant = Broker::shared().tenant();
    let gate = Gate::to(tenant.broker().port());
    gate.open();
    let conf = AmqpConf::new(&gate.url(&tenant.url()));
    let asterisk = crate::pair::node(version, &conf.text()).start();
    let asterisk = &asterisk;
    load(asterisk, AMQP);
    wait_for_state(asterisk, "connected");
    gate.be(Network::good().cut(Towards::Server).cut(Towards::Client));
    set(asterisk, "UNDELIVERED");

    let status = || command(asterisk, "amqp show status");
    let names = || completed(asterisk, "amqp show connection ").join(" ");
    let sessions = [(); 8].map(|()| Session::of(asterisk));
    let actions = sessions.each_ref().map(|session| || session.action("AMQPStatus", &[]));
    let asks: Vec<Ask<'_>> = [&status as Ask<'_>, &names]
        .into_iter()
        .chain(actions.iter().map(|ask| ask as Ask<'_>))
        .collect();
    let mut took = Duration::ZERO;
    let answers = while_asked(&asks, || took = unload(asterisk, AMQP));
    assert!(took > PROMPT, "there was nothing to wait for: {took:?}");
    let longest = answers.iter().flatten().max().expect("answers");
    assert!(longest.0 < PROMPT, "{longest:?}");
    assert_gone(asterisk);
    asterisk.assert_alive();
}
