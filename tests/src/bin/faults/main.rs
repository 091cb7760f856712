// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `make test-faults`: faults injected between real servers under load, with real calls beside it,
//! and an account of every event that Asterisk published.

mod course;
mod fault;
mod host;
mod ledger;
mod load;
mod module;
mod report;
mod rows;
mod scene;
mod witness;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rig::{Broker, Version};

use crate::course::{Account, Quiet};
use crate::fault::{Fault, Stand};
use crate::report::Row;
use crate::scene::{Scene, Stage};

const USAGE: &str = "\
usage: faults [--short] [--asterisk {22|16}] [--list]

    FAULTS=name,name   in the environment: these only
    --short            the most telling ones, in some minutes
    --asterisk         which Asterisk (22)
    --list             the names, and what they are";

/// Set when a signal ends us.
static ENDING: AtomicBool = AtomicBool::new(false);

/// What the last panic said.
static LAST_WORDS: Mutex<String> = Mutex::new(String::new());

/// The command line, and the environment.
struct Wish {
    version: Version,
    faults: Vec<Fault>,
}

impl Wish {
    /// `Err` is what to print instead of running, and the exit status.
    fn read() -> Result<Self, (String, u8)> {
        let (mut version, mut short) = (Version::V22, false);
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--short" => short = true,
                "--list" => return Err((list(), 0)),
                "--asterisk" => match words.next().as_deref() {
                    Some("22") => version = Version::V22,
                    Some("16") => version = Version::V16,
                    _ => return Err((USAGE.to_owned(), 2)),
                },
                _ => return Err((USAGE.to_owned(), 2)),
            }
        }
        let named = std::env::var("FAULTS").unwrap_or_default();
        let names: Vec<&str> = named.split(',').map(str::trim).filter(|n| !n.is_empty()).collect();
        let all = rows::all();
        if let Some(unknown) = names.iter().find(|name| all.iter().all(|one| one.name != **name)) {
            return Err((format!("FAULTS: there is no {unknown}\n{}", list()), 2));
        }
        let wanted = |fault: &Fault| match names.as_slice() {
            [] => fault.short || !short,
            names => names.contains(&fault.name),
        };
        let mut faults: Vec<Fault> = all.into_iter().filter(wanted).collect();
        if faults.iter().any(|fault| fault.timed_calls)
            && faults.iter().all(|fault| fault.name != rows::NONE.name)
        {
            // To compare with.
            faults.insert(0, rows::NONE);
        }
        Ok(Self { version, faults })
    }
}

fn list() -> String {
    let line = |fault: &Fault| format!("{:<20} {}\n", fault.name, fault.what);
    rows::all().iter().map(line).collect()
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        while ENDING.load(Ordering::Relaxed) {
            // The servers are being killed: what fails by that is no news, and exit is near.
            std::thread::park();
        }
        let payload = panic.payload();
        let message = payload.downcast_ref::<String>().map(String::as_str);
        let message = message.or(payload.downcast_ref::<&str>().copied()).unwrap_or("failed");
        message.clone_into(&mut LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner));
    }));
    let wish = match Wish::read() {
        Ok(wish) => wish,
        Err((text, status)) => {
            eprintln!("{}", text.trim_end());
            return ExitCode::from(status);
        }
    };
    end_with_servers_on_signal();
    match catch_unwind(AssertUnwindSafe(|| run(&wish))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) => {
            eprintln!("faults: {}", last_words());
            ExitCode::FAILURE
        }
    }
}

/// Whether every invariant held in every row.
fn run(wish: &Wish) -> bool {
    let began = Instant::now();
    let version = wish.version.root().version("asterisk");
    println!("==> {} faults, Asterisk {version}", wish.faults.len());
    let mut brokers = Brokers::default();
    let (mut rows, mut quiet) = (Vec::new(), None);
    for (index, fault) in wish.faults.iter().enumerate() {
        let count = wish.faults.len();
        println!("==> [{}/{count}] {}: {}", index + 1, fault.name, fault.what);
        let _ = std::io::stdout().flush();
        let since = Instant::now();
        let account = brokers.with(fault.stand, |broker, second| {
            let stage = Stage::set(wish.version, fault, broker, second);
            (fault.prepare)(&stage);
            let scene = Scene::set(fault, stage);
            course::run(fault, &scene, quiet)
        });
        let row = Row { fault: *fault, account, took: since.elapsed() };
        row.say();
        if fault.name == rows::NONE.name {
            quiet =
                Some(Quiet { call_p99_ms: row.account.call_p99_ms, grown: row.account.grown() });
        }
        rows.push(row);
    }
    report::table(&rows);
    let path = report::write(&rows);
    let broken = rows.iter().filter(|row| !row.holds()).count();
    let took = began.elapsed().as_secs();
    println!(
        "\n==> {} faults in {} min {} s, {broken} broken; {}",
        rows.len(),
        took / 60,
        took % 60,
        path.display()
    );
    broken == 0
}

/// Brokers for one row after the other. One that a row leaves in an unknown state is ended.
#[derive(Default)]
struct Brokers {
    plain: Option<Broker>,
    tls: Option<Broker>,
}

impl Brokers {
    fn with(
        &mut self,
        stand: Stand,
        row: impl FnOnce(&Broker, Option<&Broker>) -> Account,
    ) -> Account {
        let done = catch_unwind(AssertUnwindSafe(|| match stand {
            Stand::Plain => row(self.plain.get_or_insert_with(Broker::own), None),
            Stand::Tls => row(self.tls.get_or_insert_with(|| Broker::with_tls(false)), None),
            Stand::Cluster => {
                let first = Broker::own();
                let second = first.joined();
                row(&first, Some(&second))
            }
        }));
        done.unwrap_or_else(|_| {
            match stand {
                Stand::Plain => self.plain = None,
                Stand::Tls => self.tls = None,
                Stand::Cluster => {}
            }
            Account { broken: vec![last_words()], ..Account::default() }
        })
    }
}

fn last_words() -> String {
    LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn end_with_servers_on_signal() {
    ctrlc::set_handler(|| {
        ENDING.store(true, Ordering::Relaxed);
        rig::process::end_all();
        eprintln!("\nfaults: interrupted; all servers have ended");
        exit(130);
    })
    .unwrap_or_else(|error| panic!("no handler for signals: {error}"));
}
