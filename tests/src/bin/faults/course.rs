// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The course of a row: load, fault, end of the fault, and the account.

use std::time::{Duration, Instant};

use rig::{Asterisk, Call, eventually, seconds};

use crate::fault::{Balance, Fault, Sees};
use crate::host::{self, Base};
use crate::load::{Burst, Load, Phones, hang_up, p99};
use crate::module::{Status, wait_counter};
use crate::scene::Scene;

/// Until the connection shows a fault: two heartbeats and a handshake that gets no answer.
const NOTICED: Duration = seconds(60);

/// Until all that waited at the end of the fault is delivered; a minute of it may be back-off.
const RECOVERED: Duration = seconds(240);

/// A message of Asterisk's with the snapshot of its channel.
const MESSAGE: u64 = 4096;

/// Events that may be unconfirmed on a connection.
const WINDOW: u64 = 2048;

/// Milliseconds that a call may be answered later, on a machine that does other things, before the
/// 20 % count.
const CALL_NOISE: u64 = 20;

/// Callbacks of which one in a hundred cannot be told from the slowest.
const FEW_CALLBACKS: u64 = 500;

/// What came of a row.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) published: u64,
    pub(crate) received: u64,
    pub(crate) repeated: u64,
    pub(crate) lost: u64,
    pub(crate) dropped: u64,
    pub(crate) callback_max_us: Option<u64>,
    pub(crate) memory_peak: u64,
    pub(crate) memory_base: u64,
    pub(crate) recover: Duration,
    pub(crate) calls: usize,
    pub(crate) call_p99_ms: u64,
    pub(crate) deepest: u64,
    pub(crate) lines: usize,
    /// What must hold and does not.
    pub(crate) broken: Vec<String>,
}

/// What the same load is like without a fault.
#[derive(Clone, Copy)]
pub(crate) struct Quiet {
    pub(crate) call_p99_ms: u64,
    pub(crate) grown: u64,
}

impl Account {
    /// What memory grew by.
    pub(crate) fn grown(&self) -> u64 {
        self.memory_peak.saturating_sub(self.memory_base)
    }
}

/// Runs a row; those with calls that are timed are compared with `quiet`.
pub(crate) fn run(fault: &Fault, scene: &Scene<'_>, quiet: Option<Quiet>) -> Account {
    let quiet = quiet.filter(|_| fault.timed_calls);
    let asterisk = &scene.asterisk;
    let mut account = Account::default();
    if fault.begins_connected {
        warm_up(fault, scene);
    } else {
        scene.wait_state(&["unreachable"], NOTICED);
    }
    let base = Base::of(asterisk, fault.begins_connected);
    account.memory_base = base.rss;
    let phones = (fault.calls > 0).then(|| Phones::ring(asterisk, fault.calls));

    let before = scene.status().counter("confirmed");
    scene.begin_steady(fault.load.steady);
    let burst = Burst::start(asterisk, &fault.load);
    if fault.begins_connected {
        wait_counter(asterisk, "confirmed", before + fault.load.before, seconds(60));
    }
    let began = Instant::now();
    (fault.inject)(scene);
    let cured = watch(fault, scene, began);
    if fault.outlasts_burst {
        burst.finish(asterisk);
    }
    scene.endure(began + fault.lasts, fault.dies);
    let owed = Status::ask(asterisk).map_or(0, |status| status.accepted());
    (fault.heal)(scene);
    let healed = Instant::now();
    recover(asterisk, if fault.dies { 0 } else { owed });
    account.recover = cured.unwrap_or_else(|| healed.elapsed());

    if !fault.dies {
        burst.finish(asterisk);
    }
    if let Some(phones) = phones {
        match phones.end() {
            Ok(times) => (account.calls, account.call_p99_ms) = (times.len(), p99(&times)),
            Err(reason) => account.broken.push(reason),
        }
    }
    hang_up(asterisk);
    let status = scene.settle();
    scene.collect(status.counter("queued"));
    balance(fault, scene, &status, &mut account);
    behaviour(fault, scene, &base, &status, quiet, &mut account);
    if fault.timed_calls {
        let limit = quiet.map(|quiet| quiet.call_p99_ms);
        let limit = limit.map_or(0, |quiet| (quiet * 6 / 5).max(quiet + CALL_NOISE));
        if account.call_p99_ms > limit {
            account.broken.push(format!(
                "calls were answered within {} ms (99 %), and {limit} ms is what is allowed \
                 beside the run without a fault",
                account.call_p99_ms
            ));
        }
    }
    if let Err(reason) = (fault.check)(scene) {
        account.broken.push(reason);
    }
    account.broken.extend(host::unload(asterisk).err());
    asterisk.assert_alive();
    account
}

/// So that what Asterisk and the module take once is taken.
#[track_caller]
fn warm_up(fault: &Fault, scene: &Scene<'_>) {
    scene.wait_state(&["connected"], seconds(60));
    let asterisk = &scene.asterisk;
    let burst = (fault.load.burst / 10).clamp(2000, 40_000);
    let load = Load { burst, burst_rate: fault.load.burst_rate.max(8000), ..fault.load };
    Burst::start(asterisk, &load).finish(asterisk);
    if fault.calls > 0 {
        Call::several(asterisk, "talk", seconds(1), 8, 8).wait(seconds(60));
    }
    hang_up(asterisk);
    scene.settle();
}

/// Sees of the fault what must be seen; how long a cure took.
#[track_caller]
fn watch(fault: &Fault, scene: &Scene<'_>, began: Instant) -> Option<Duration> {
    match fault.sees {
        Sees::Words(words) => {
            scene.wait_state(words, NOTICED);
            None
        }
        Sees::Cure => {
            wait_counter(&scene.asterisk, "reconnects", 1, RECOVERED);
            scene.wait_state(&["connected"], RECOVERED);
            Some(began.elapsed())
        }
        Sees::Restart => {
            scene.wait_state(&["connected"], RECOVERED);
            Some(began.elapsed())
        }
        Sees::Nothing | Sees::Unasked => None,
    }
}

/// Waits until the connection stands and what was owed is settled.
#[track_caller]
fn recover(asterisk: &Asterisk, owed: u64) {
    eventually("the connection to be up and everything that waited settled", RECOVERED, || {
        let status = Status::ask(asterisk).ok_or("no answer")?;
        let (word, detail) = status.state();
        match word == "connected" && status.settled() >= owed {
            true => Ok(()),
            false => Err(format!("{} of {owed} settled; {detail}", status.settled())),
        }
    });
}

/// The ledger: what Asterisk published against what the consumer got and what was counted.
fn balance(fault: &Fault, scene: &Scene<'_>, status: &Status, account: &mut Account) {
    let ledger = scene.ledger.borrow();
    let testimony = scene.testimony();
    let (missing, strange) = ledger.missing(&testimony);
    let gaps = ledger.gaps(status.counter("queued"));
    let dropped: u64 = gaps.values().map(|gaps| gaps.len() as u64).sum();
    account.published = testimony.count();
    account.received = ledger.received();
    account.repeated = ledger.repeats;
    account.dropped = dropped;
    account.lost = (missing.len() as u64).saturating_sub(dropped);

    let mut broken = |reason: String| account.broken.push(reason);
    let some = &missing[..missing.len().min(4)];
    let lost = account.lost;
    match fault.ledger {
        Balance::Memory(most) if lost <= most => {}
        _ if lost == 0 => {}
        _ => broken(format!("{lost} events lost and not counted, of those missing {some:?}…")),
    }
    if strange > 0 && !fault.dies {
        broken(format!("{strange} events arrived that Asterisk did not publish"));
    }
    if let Some(wrong) = ledger.wrong.first() {
        broken(format!("{} messages are wrong, the first in {wrong}", ledger.wrong.len()));
    }
    let overtaken = ledger.overtaken;
    let again = status.counter("nacked");
    if overtaken > 0 && !(fault.ledger == Balance::Refused && overtaken <= again) {
        broken(format!("{overtaken} events were overtaken"));
    }
    let doubtful = WINDOW * status.counter("reconnects");
    let explained = match fault.ledger {
        Balance::Returned => match status.counter("returned") {
            returned if returned == dropped && returned > 0 => Ok(()),
            returned => Err(format!("{returned} counted as returned, {dropped} are missing")),
        },
        _ => ledger.explains(&gaps, doubtful),
    };
    explained.unwrap_or_else(&mut broken);
    let counted = status.counter("dropped");
    match fault.ledger {
        Balance::Whole | Balance::Memory(_) if dropped > 0 => {
            broken(format!("{dropped} events were dropped, and there was room for all"));
        }
        Balance::Dropped | Balance::Refused if dropped == 0 => {
            broken("nothing was dropped, so that this row shows nothing".to_owned());
        }
        Balance::Returned => {}
        _ if !(dropped..=dropped + doubtful).contains(&counted) => {
            broken(format!("counter dropped is {counted}, and {dropped} are missing"));
        }
        _ => {}
    }
    let (accepted, settled, waiting) = (status.accepted(), status.settled(), status.waiting());
    if accepted != settled + waiting {
        broken(format!("{accepted} accepted, but {settled} settled and {waiting} waiting"));
    }
}

/// The host: what a fault of the broker must not do to Asterisk.
fn behaviour(
    fault: &Fault,
    scene: &Scene<'_>,
    base: &Base,
    status: &Status,
    quiet: Option<Quiet>,
    account: &mut Account,
) {
    let asterisk = &scene.asterisk;
    account.memory_peak = asterisk.process().peak_rss_bytes();
    let without = quiet.map_or(0, |quiet| quiet.grown);
    let grown = account.grown().saturating_sub(without);
    let broken = &mut account.broken;
    account.deepest = host::deepest(asterisk);
    // What waits in Asterisk's own queues, where the machine has no time for it, is not ours.
    if grown > fault.memory * 6 / 5 + account.deepest * MESSAGE {
        broken.push(format!("memory grew by {} MiB for the fault", grown >> 20));
    }
    account.callback_max_us = status.callback().map(|callback| callback.max);
    // After a restart there may have been but a few, of which 99 % are all, the first too.
    let few = status.counter("queued") < FEW_CALLBACKS;
    match status.callback() {
        Some(callback) if few || callback.p99 <= fault.callback_p99_us => {}
        Some(callback) => broken.push(format!("callbacks took {} µs (99 %)", callback.p99)),
        None => broken.push("the module does not tell what its callbacks took".to_owned()),
    }
    broken.extend(host::alerts(asterisk).into_iter().take(1));
    if !fault.dies {
        broken.extend(base.compare(asterisk).err());
    }
    let lines = base.lines(asterisk);
    account.lines = lines.len();
    if lines.len() > fault.lines {
        let some = &lines[lines.len().saturating_sub(4)..];
        broken.push(format!("{} lines in the log, the last {some:#?}", lines.len()));
    }
    // A connection that was replaced on purpose says twice that it is up.
    let is_trouble = |pair: &&[String]| pair[0] == pair[1] && !pair[0].starts_with("NOTICE");
    if let Some(pair) = lines.windows(2).find(is_trouble).filter(|_| !fault.dies) {
        broken.push(format!("logged twice: {}", pair[0]));
    }
}
