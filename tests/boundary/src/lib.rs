// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A module that does, on purpose, what a module must never do: it panics in every callback that
//! the host can call, and leaves thread-local state on the host's threads. `tests/suite/boundary.rs`
//! loads it and sees that Asterisk stays up.
//!
//! `boundary.conf`, `[general] panic = load|start|reload|unload|shutdown`, has a life-cycle call
//! panic; `boundary panic <where>` has the next call of a kind panic.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use asterisk::ari::{Method, Operation, Request, Resource, Response, Segment};
use asterisk::cli::{Command, Commands, Invocation, Outcome, Output, no_completion};
use asterisk::config;
use asterisk::json::Value;
use asterisk::manager::Hook;
use asterisk::module::Module;
use asterisk::stasis::{Formatter, Subscription, Topic};
use asterisk::stasis_app::{App, Handler};
use asterisk::thread::{self, Thread};

asterisk::module!(Boundary);

/// The kinds of callback that can be told to panic.
const PLACES: [&str; 6] = ["cli", "stasis", "hook", "app", "ari", "thread"];

static ARMED: Mutex<Option<String>> = Mutex::new(None);
static PANICS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Has a destructor, so that std registers one with the thread.
    static LEFT_BEHIND: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Panics if `place` was armed.
fn pass(place: &str) {
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    if armed.as_deref() == Some(place) {
        *armed = None;
        drop(armed);
        PANICS.fetch_add(1, Ordering::Relaxed);
        on_purpose(place);
    }
}

#[expect(clippy::panic, reason = "what this module is for")]
fn on_purpose(place: &str) {
    panic!("on purpose, in {place}");
}

/// What of the life cycle the configuration says should panic.
fn configured() -> Option<String> {
    let sections = config::load("boundary.conf").ok()?;
    let entries = sections.into_iter().flat_map(|section| section.entries);
    entries.filter(|entry| entry.name == "panic").map(|entry| entry.value).next_back()
}

fn panic_if_configured(call: &str) {
    if configured().as_deref() == Some(call) {
        on_purpose(call);
    }
}

/// Both ways in which std leaves something on a thread (`src/shim/thread_exit.c`).
fn touch() {
    LEFT_BEHIND.with_borrow_mut(|left| left.push("left behind".to_owned()));
    let _current = std::thread::current();
}

struct Boundary {
    parts: Mutex<Option<Parts>>,
}

/// Dropped in this order at unload.
struct Parts {
    _commands: Commands,
    _resource: Option<Resource>,
    _app: App,
    _hook: Hook,
    _channels: Subscription,
}

impl Module for Boundary {
    fn load() -> Result<Self, String> {
        panic_if_configured("load");
        touch();
        Ok(Self { parts: Mutex::new(None) })
    }

    fn start(&self) -> Result<(), String> {
        panic_if_configured("start");
        let channels = Subscription::new(Topic::Channels, Formatter::Json, 1_000_000, |message| {
            pass("stasis");
            drop(message.to_json());
        })
        .ok_or("no memory")?;
        let parts = Parts {
            _commands: Commands::register(&COMMANDS)?,
            // ARI may be off.
            _resource: Resource::add(&Segment::named(c"boundary").operation::<Probe>()).ok(),
            _app: App::register("boundary", Events)?,
            _hook: Hook::new(|_, _| pass("hook")),
            _channels: channels,
        };
        *self.parts.lock().unwrap_or_else(PoisonError::into_inner) = Some(parts);
        Ok(())
    }

    fn reload(&self) -> Result<(), String> {
        panic_if_configured("reload");
        touch();
        Ok(())
    }

    fn unload(&self) -> Result<(), String> {
        panic_if_configured("unload");
        touch();
        drop(self.parts.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }

    fn shutdown(&self) {
        panic_if_configured("shutdown");
    }
}

struct Events;

impl Handler for Events {
    fn event(&self, _app: &str, _event: &Value) {
        pass("app");
    }

    fn replaced(&self, _app: &str) {
        pass("app");
    }
}

struct Probe;

impl Operation for Probe {
    const METHOD: Method = Method::Get;

    fn handle(_request: &Request<'_>) -> Response {
        pass("ari");
        touch();
        Response::NoContent
    }
}

static COMMANDS: [Command; 3] = [
    Command {
        words: "boundary panic",
        summary: "Have the next call of a kind panic",
        usage: "Usage: boundary panic {cli|stasis|hook|app|ari|thread}\n",
        run: arm,
        complete: |_| PLACES.map(str::to_owned).to_vec(),
    },
    Command {
        words: "boundary touch",
        summary: "Leave thread-local state on this thread",
        usage: "Usage: boundary touch\n",
        run: |_, output| {
            touch();
            output.line(format_args!("touched"));
            Outcome::Done
        },
        complete: no_completion,
    },
    Command {
        words: "boundary show panics",
        summary: "How many panics there were",
        usage: "Usage: boundary show panics\n",
        run: |_, output| {
            output.line(format_args!("panics {}", PANICS.load(Ordering::Relaxed)));
            Outcome::Done
        },
        complete: no_completion,
    },
];

fn arm(invocation: &Invocation<'_>, output: &mut Output) -> Outcome {
    let Some(place) = invocation.word(2) else {
        return Outcome::ShowUsage;
    };
    *ARMED.lock().unwrap_or_else(PoisonError::into_inner) = Some(place.clone());
    match place.as_str() {
        "cli" => pass("cli"),
        "thread" => {
            let joined = thread::spawn("boundary-panic", || pass("thread")).map(join);
            output.line(format_args!("joined {joined:?}"));
        }
        _ => {}
    }
    Outcome::Done
}

fn join(thread: Thread) -> bool {
    thread.join_within(std::time::Duration::from_secs(5))
}
