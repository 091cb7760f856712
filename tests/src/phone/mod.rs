// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A phone that calls, says one tone, and keeps what it hears.
//!
//! Where SIPp does many calls that are all alike, a phone is one that can be asked: who took the call,
//! what it hears just now, how it ended.

mod audio;
mod dialog;
mod line;
mod message;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::tone;
use crate::wait::{eventually, poll, seconds};
use line::Line;
use message::Message;

/// What has become of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The INVITE has no final answer.
    Calling,
    /// This was the answer; 408, too, when there was none at all.
    Refused(u16),
    /// Answered.
    Up,
    /// The other side has hung up.
    Ended,
    /// The phone has, and this was the answer to that.
    HungUp(u16),
}

#[derive(Debug)]
struct Shared {
    state: State,
    /// The final answer to the INVITE.
    answer: Option<Message>,
    heard: VecDeque<i16>,
    /// When something came the last time.
    heard_at: Instant,
    hangs_up: bool,
    /// Where the other side is to be sent, until it is asked.
    refers_to: Option<String>,
    /// The answer to that.
    referred: Option<u16>,
    is_gone: bool,
}

/// A call that is under way. When it is dropped, the phone is gone without a word.
#[derive(Debug)]
pub struct Phone {
    tone: u32,
    since: Instant,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

impl Phone {
    /// Calls a number at whatever takes calls on a UDP port of 127.0.0.1, and says this tone from the
    /// answer on.
    ///
    /// # Panics
    ///
    /// When it has no port for itself.
    #[track_caller]
    pub fn call(port: u16, number: &str, tone: u32) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            state: State::Calling,
            answer: None,
            heard: VecDeque::new(),
            heard_at: Instant::now(),
            hangs_up: false,
            refers_to: None,
            referred: None,
            is_gone: false,
        }));
        let line = Line::new(port, number, tone, Arc::clone(&shared));
        let since = Instant::now();
        let thread = Some(thread::spawn(move || line.run()));
        Self { tone, since, shared, thread }
    }

    /// Its tone, in Hertz.
    pub fn tone(&self) -> u32 {
        self.tone
    }

    /// When it called.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Waits until the call is answered, and gives the port of the node that did.
    ///
    /// # Panics
    ///
    /// When it is refused, or not answered `within`.
    #[track_caller]
    pub fn wait_answered(&self, within: Duration) -> u16 {
        eventually("the call to be answered", within, || match self.outcome() {
            None => Err("no answer"),
            Some(Ok(node)) => Ok(node),
            Some(Err(status)) => panic!("the call was refused: {status}"),
        })
    }

    /// Whether it was answered: by the node on this port, or refused with this status; `None` while
    /// nobody has said.
    pub fn outcome(&self) -> Option<Result<u16, u16>> {
        let shared = lock(&self.shared);
        let contact = || shared.answer.as_ref()?.contact().rsplit(':').next()?.parse().ok();
        match shared.state {
            State::Calling => None,
            State::Refused(status) => Some(Err(status)),
            State::Up | State::Ended | State::HungUp(_) => contact().map(Ok),
        }
    }

    /// Whether the call is up: answered, and nobody has hung up.
    pub fn is_up(&self) -> bool {
        lock(&self.shared).state == State::Up
    }

    /// Whether the call is over, or was never answered.
    pub fn is_over(&self) -> bool {
        !matches!(lock(&self.shared).state, State::Calling | State::Up)
    }

    /// The answer to its hanging up; 408, too, when there was none at all.
    pub fn hung_up(&self) -> Option<u16> {
        match lock(&self.shared).state {
            State::HungUp(status) => Some(status),
            _ => None,
        }
    }

    /// What it hears from now on, for so long.
    ///
    /// # Panics
    ///
    /// When there is not so much to hear: no audio comes.
    #[track_caller]
    pub fn listen(&self, length: Duration) -> Vec<i16> {
        let heard = self.record(length);
        heard.unwrap_or_else(|came| {
            panic!("{length:?} of audio at the phone with {}: {came}", self.tone)
        })
    }

    /// Takes so much of what comes from now on; the error is what came in 20 s more.
    fn record(&self, length: Duration) -> Result<Vec<i16>, String> {
        let count = (length.as_secs_f64() * f64::from(tone::RATE)) as usize;
        lock(&self.shared).heard.clear();
        poll(length + seconds(20), || {
            let mut shared = lock(&self.shared);
            match shared.heard.len() {
                there if there >= count => Ok(shared.heard.drain(..count).collect()),
                there => Err(format!("{there} samples of {count}, {:?}", shared.state)),
            }
        })
    }

    /// Lets so much time pass, and gives what was heard meanwhile: nothing, where no audio comes.
    pub fn listen_for(&self, time: Duration) -> Vec<i16> {
        lock(&self.shared).heard.clear();
        thread::sleep(time);
        lock(&self.shared).heard.drain(..).collect()
    }

    /// Waits until it hears just these of all those tones, in what comes within `length`.
    #[track_caller]
    pub fn wait_hears(&self, length: Duration, wanted: &[u32], of: &[u32], within: Duration) {
        eventually(&format!("{} to hear {wanted:?}", self.tone), within, || {
            self.hears(length, wanted, of)
        });
    }

    /// Whether what comes within `length` has just these of all those tones.
    ///
    /// # Errors
    ///
    /// How loud each of them is in it; or how little has come in 20 s.
    pub fn hears(&self, length: Duration, wanted: &[u32], of: &[u32]) -> Result<(), String> {
        let samples = self.record(length)?;
        if tone::heard(&samples, of) == wanted {
            return Ok(());
        }
        let levels = of.iter().map(|tone| format!("{tone}: {:.4}", tone::level(&samples, *tone)));
        Err(levels.collect::<Vec<_>>().join(", "))
    }

    /// Waits until no audio at all has come for so long.
    ///
    /// # Panics
    ///
    /// When that is not so `within`.
    #[track_caller]
    pub fn wait_silence(&self, length: Duration, within: Duration) {
        let what = format!("{length:?} without audio at the phone with {} Hz", self.tone);
        eventually(&what, within, || match lock(&self.shared).heard_at.elapsed() {
            silent if silent >= length => Ok(()),
            silent => Err(format!("{silent:?}")),
        });
    }

    /// Sends the other side to another address by REFER, once in a call, and gives the answer.
    ///
    /// # Panics
    ///
    /// When there is none `within`: the call is not up, or nobody answers.
    #[track_caller]
    pub fn refer(&self, to: &str, within: Duration) -> u16 {
        lock(&self.shared).refers_to = Some(to.to_owned());
        eventually("an answer to REFER", within, || {
            let shared = lock(&self.shared);
            shared.referred.ok_or_else(|| format!("{:?}", shared.state))
        })
    }

    /// This call, as the address says that is given to another phone's [`Phone::refer`] for the two
    /// other sides to be brought together.
    ///
    /// # Panics
    ///
    /// When it was not answered.
    #[track_caller]
    pub fn replaced_at(&self, address: &str) -> String {
        let shared = lock(&self.shared);
        let answer = shared.answer.as_ref().expect("an answered call");
        format!("{address}?{}", answer.replaces())
    }

    /// Hangs up, as soon as the call is up; [`Phone::wait_over`] gives the answer.
    pub fn hang_up(&self) {
        lock(&self.shared).hangs_up = true;
    }

    /// Waits until the call is over: the answer to hanging up, `None` when the other side did
    /// or the call was refused.
    ///
    /// # Panics
    ///
    /// When it is not `within`.
    #[track_caller]
    pub fn wait_over(&self, within: Duration) -> Option<u16> {
        eventually("the call to be over", within, || {
            if self.is_over() { Ok(()) } else { Err(format!("{:?}", lock(&self.shared).state)) }
        });
        self.hung_up()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Phone {
    fn drop(&mut self) {
        lock(&self.shared).is_gone = true;
        if let Some(thread) = self.thread.take() {
            // It has panicked: then the test has seen that, or did not need it.
            let _ = thread.join();
        }
    }
}
