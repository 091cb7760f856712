// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Commands of the host's CLI (`asterisk/cli.h`).

use std::ffi::{CString, c_char, c_int};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use crate::boundary::guard;
use crate::sys;
use crate::text::{c_string, lossy};

/// What a command did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It worked.
    Done,
    /// The words were not right: the host prints the usage.
    ShowUsage,
    /// It did not work; the command has said why.
    Failed,
}

/// A command: its words, its help and what it does.
pub struct Command {
    /// The words, as `amqp show status`.
    pub words: &'static str,
    /// One line, under 60 characters.
    pub summary: &'static str,
    /// What `help` and a wrong use print, with its last newline.
    pub usage: &'static str,
    /// Called on the thread of the one who asked, with the module's use count raised, so that no
    /// unload begins meanwhile. One that had begun waits, so this must not wait for it.
    pub run: fn(&Invocation<'_>, &mut Output) -> Outcome,
    /// What may stand as the word at a position, for completion.
    pub complete: fn(position: usize) -> Vec<String>,
}

/// What was typed.
#[derive(Debug)]
pub struct Invocation<'a> {
    words: &'a [*const c_char],
}

impl Invocation<'_> {
    /// The word at `index`, the command's own words included.
    #[must_use]
    pub fn word(&self, index: usize) -> Option<String> {
        // SAFETY: the host gives NUL-terminated words that live as long as the call.
        self.words.get(index).map(|word| unsafe { lossy(*word) }.into_owned())
    }

    /// How many words there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are none, which the host does not do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

/// Where a command prints.
#[derive(Debug)]
pub struct Output {
    fd: c_int,
}

impl Output {
    /// Prints one line.
    pub fn line(&mut self, text: fmt::Arguments<'_>) {
        let text = c_string(&text.to_string());
        // SAFETY: a constant format that takes one string; the descriptor is the host's.
        unsafe { sys::ast_cli(self.fd, c"%s\n".as_ptr(), text.as_ptr()) };
    }
}

/// Registered commands; dropping it takes them back.
pub struct Commands {
    #[expect(clippy::vec_box, reason = "the host keeps the address of each entry")]
    entries: Vec<Box<Entry>>,
}

// SAFETY: the entries are the host's to read until they are unregistered, on any thread; what is
// ours in them never changes after registration.
unsafe impl Send for Commands {}
// SAFETY: as above.
unsafe impl Sync for Commands {}

/// The host's entry first, so that its pointer leads to ours.
#[repr(C)]
struct Entry {
    host: sys::ast_cli_entry,
    command: &'static Command,
    words: CString,
    usage: CString,
    summary: CString,
}

impl Commands {
    /// Registers `commands`. To be called in `load`; dropped in `unload`.
    ///
    /// # Errors
    ///
    /// The command that the host did not take: another has its words.
    pub fn register(commands: &'static [Command]) -> Result<Self, String> {
        let mut registered = Self { entries: Vec::with_capacity(commands.len()) };
        for command in commands {
            // SAFETY: an entry of zeroes is what AST_CLI_DEFINE leaves unnamed.
            let mut host: sys::ast_cli_entry = unsafe { std::mem::zeroed() };
            host.handler = Some(handler);
            let mut entry = Box::new(Entry {
                host,
                command,
                words: c_string(command.words),
                usage: c_string(command.usage),
                summary: c_string(command.summary),
            });
            let summary = entry.summary.as_ptr();
            // SAFETY: the one const field that is not NULL is set before the host has the entry.
            unsafe { (&raw const entry.host.summary).cast_mut().write(summary) };
            // SAFETY: the loader has set the module before it calls load.
            let module = unsafe { sys::shim_module_self() };
            // SAFETY: the entry is boxed, writable, and outlives its registration.
            let result = unsafe { sys::__ast_cli_register(&raw mut entry.host, module) };
            if result != 0 {
                return Err(format!("the CLI command '{}' is taken", command.words));
            }
            registered.entries.push(entry);
        }
        Ok(registered)
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        for entry in &mut self.entries {
            entry.unregister();
        }
    }
}

impl Entry {
    /// Takes the command back, and waits until nobody runs it, for as long as that takes: the use
    /// count was 0 when the unload began, but it may have been asked for since, and the host keeps
    /// the address of one that is in use.
    fn unregister(&mut self) {
        while !self.host.command.is_null() {
            self.wait_unused();
            // SAFETY: registered by `Commands::register`; one that is in use is left as it is, of
            // one that is taken back the host sets `command` to NULL.
            unsafe { sys::ast_cli_unregister(&raw mut self.host) };
        }
        // One that was found in the host's list just before.
        self.wait_unused();
    }

    fn wait_unused(&mut self) {
        let mut told = Instant::now();
        // SAFETY: the host counts with atomic operations, from its other threads.
        while unsafe { AtomicI32::from_ptr(&raw mut self.host.inuse) }.load(Ordering::Acquire) > 0 {
            if told.elapsed() > Duration::from_secs(1) {
                crate::warning!("the command '{}' does not return", self.command.words);
                told = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

unsafe extern "C" fn handler(
    entry: *mut sys::ast_cli_entry,
    command: c_int,
    arguments: *mut sys::ast_cli_args,
) -> *mut c_char {
    /// `CLI_SUCCESS`, `CLI_SHOWUSAGE` and `CLI_FAILURE` of `asterisk/cli.h`: small numbers cast to
    /// a pointer.
    fn value(outcome: Outcome) -> *mut c_char {
        match outcome {
            Outcome::Done => ptr::null_mut(),
            Outcome::ShowUsage => ptr::without_provenance_mut(1),
            Outcome::Failed => ptr::without_provenance_mut(2),
        }
    }

    guard(value(Outcome::Failed), || match command {
        sys::CLI_INIT => {
            // SAFETY: the host passes the entry of `register`, under its list's write lock.
            let entry = unsafe { &mut *entry.cast::<Entry>() };
            entry.host.command = entry.words.as_ptr().cast_mut();
            entry.host.usage = entry.usage.as_ptr();
            ptr::null_mut()
        }
        sys::CLI_GENERATE => {
            // SAFETY: the host passes the entry of `register`.
            let entry = unsafe { &*entry.cast::<Entry>() };
            // SAFETY: arguments are given with this command and live as long as the call.
            let arguments = unsafe { &*arguments };
            complete(entry.command, arguments)
        }
        _ => {
            // SAFETY: as above.
            let entry = unsafe { &*entry.cast::<Entry>() };
            // SAFETY: as above.
            let arguments = unsafe { &*arguments };
            let count = usize::try_from(arguments.argc).unwrap_or(0);
            let words = if arguments.argv.is_null() {
                &[]
            } else {
                // SAFETY: argv has argc words that live as long as the call.
                unsafe { std::slice::from_raw_parts(arguments.argv, count) }
            };
            let mut output = Output { fd: arguments.fd };
            value((entry.command.run)(&Invocation { words }, &mut output))
        }
    })
}

/// The `n`-th word that fits, for the host to free.
fn complete(command: &Command, arguments: &sys::ast_cli_args) -> *mut c_char {
    let position = usize::try_from(arguments.pos).unwrap_or(0);
    let wanted = usize::try_from(arguments.n).unwrap_or(0);
    // SAFETY: NUL-terminated or NULL, alive for the call.
    let begun = unsafe { lossy(arguments.word) };
    let choices = (command.complete)(position);
    let Some(choice) = choices.iter().filter(|choice| choice.starts_with(&*begun)).nth(wanted)
    else {
        return ptr::null_mut();
    };
    let choice = c_string(choice);
    // SAFETY: copies the text; the copy is the host's.
    unsafe { sys::shim_strdup(choice.as_ptr()) }
}

/// For commands that have nothing to complete.
#[must_use]
pub fn no_completion(_position: usize) -> Vec<String> {
    Vec::new()
}
