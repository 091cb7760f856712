// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Calls that come all the time, and what has become of each.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rig::{Phone, eventually, seconds};

/// Between two calls: five a second.
const PAUSE: Duration = Duration::from_millis(200);
/// How long each is.
const LENGTH: Duration = seconds(2);
/// The longest that a call takes from its end to the answer to that.
const OVER: Duration = seconds(40);

/// What has become of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// When it began.
    pub(super) since: Instant,
    /// The port of the node that answered, the status of a refusal; `None` where nobody has said.
    pub(super) answer: Option<Result<u16, u16>>,
    /// The answer to its end.
    pub(super) hung_up: Option<u16>,
}

impl Outcome {
    /// Whether it was answered by the node on this port.
    pub(super) fn is_by(&self, node: u16) -> bool {
        self.answer == Some(Ok(node))
    }
}

/// Five calls a second to a number.
pub(super) struct Steady {
    ends: AtomicBool,
    over: Mutex<Vec<Outcome>>,
}

impl Steady {
    /// Calls while `meanwhile` runs, which may look at what has become of the calls so far; then all
    /// of them, when the last is over.
    pub(super) fn beside(
        port: u16,
        number: &str,
        tone: u32,
        meanwhile: impl FnOnce(&Self),
    ) -> Vec<Outcome> {
        struct Ends<'a>(&'a AtomicBool);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let steady = Self { ends: AtomicBool::new(false), over: Mutex::default() };
        thread::scope(|scope| {
            scope.spawn(|| steady.call(port, number, tone));
            let _ends = Ends(&steady.ends);
            meanwhile(&steady);
        });
        steady.over.into_inner().expect("no caller has panicked")
    }

    /// Those that are over.
    pub(super) fn over(&self) -> Vec<Outcome> {
        self.over.lock().expect("no caller has panicked").clone()
    }

    /// Waits until so many calls that began after this moment are over.
    #[track_caller]
    pub(super) fn wait_since(&self, moment: Instant, count: usize, by: impl Fn(&Outcome) -> bool) {
        eventually(&format!("{count} calls"), seconds(60), || {
            let over = self.over();
            let seen = over.iter().filter(|call| call.since > moment && by(call)).count();
            if seen >= count { Ok(()) } else { Err(format!("{seen} of {}", over.len())) }
        });
    }

    fn call(&self, port: u16, number: &str, tone: u32) {
        let mut phones: Vec<Phone> = Vec::new();
        let mut next = Instant::now();
        let mut ended = None;
        while ended.is_none_or(|ended: Instant| ended.elapsed() < OVER && !phones.is_empty()) {
            if ended.is_none() && self.ends.load(Ordering::SeqCst) {
                ended = Some(Instant::now());
            }
            if ended.is_none() && Instant::now() >= next {
                next += PAUSE;
                phones.push(Phone::call(port, number, tone));
            }
            phones.iter().filter(|one| one.since().elapsed() > LENGTH).for_each(Phone::hang_up);
            let (over, still): (Vec<_>, Vec<_>) = phones.into_iter().partition(Phone::is_over);
            phones = still;
            self.note(&over);
            // Until something may have changed.
            thread::sleep(PAUSE / 10);
        }
        self.note(&phones);
    }

    fn note(&self, phones: &[Phone]) {
        let outcomes = phones.iter().map(|phone| Outcome {
            since: phone.since(),
            answer: phone.outcome(),
            hung_up: phone.hung_up(),
        });
        self.over.lock().expect("no caller has panicked").extend(outcomes);
    }
}
