// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Threads of a module: the only place where tokio, lapin, ureq and locks that park may live.
//!
//! A thread is a plain pthread, not a `std::thread`: making one of those leaves a destructor on the
//! thread that makes it, which here is Asterisk's. It has a name that `core show threads` shows, no
//! signals, ordinary scheduling whatever Asterisk runs under (`asterisk -p` is real time), and is
//! joined before its module's unload returns.

use std::ffi::{CString, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::boundary::guard;
use crate::sys;
use crate::text::c_string;

/// Room for async code and TLS; the host's own threads have 496 KiB. Only what is used is taken.
const STACK: usize = 2 * 1024 * 1024;

/// What the kernel keeps of a thread's name, without the NUL.
const NAME_BYTES: usize = 15;

struct Start {
    name: CString,
    work: Box<dyn FnOnce() + Send>,
    finished: Arc<Finished>,
}

#[derive(Default)]
struct Finished {
    yes: Mutex<bool>,
    changed: Condvar,
}

/// A running thread. It must be joined; dropping it without leaves a thread that an unload would
/// pull the code from under, so drop joins, for as long as it takes.
#[derive(Debug)]
pub struct Thread {
    id: libc::pthread_t,
    finished: Arc<Finished>,
    joined: Mutex<bool>,
}

impl std::fmt::Debug for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Finished")
    }
}

/// Starts `work` on a thread named `name`. May be called on any thread. A panic in `work` is
/// logged and ends the thread.
///
/// # Errors
///
/// What `pthread_create` gives: no memory, or the limit of threads reached.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let finished = Arc::new(Finished::default());
    let start = Box::new(Start {
        name: c_string(name),
        work: Box::new(work),
        finished: Arc::clone(&finished),
    });
    let attributes = Attributes::new()?;
    let _signals = SignalsBlocked::new()?;
    let start = Box::into_raw(start);
    let mut id = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: `run` takes over `start`, which nobody else has; the attributes are initialised.
    let result = unsafe {
        libc::pthread_create(id.as_mut_ptr(), &raw const attributes.0, run, start.cast::<c_void>())
    };
    if result != 0 {
        // SAFETY: no thread was made, so the box is still this function's.
        drop(unsafe { Box::from_raw(start) });
        return Err(io::Error::from_raw_os_error(result));
    }
    // SAFETY: pthread_create succeeded, so it has written the id.
    let id = unsafe { id.assume_init() };
    Ok(Thread { id, finished, joined: Mutex::new(false) })
}

extern "C" fn run(start: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn` made the pointer by Box::into_raw and gave it to this thread alone.
    let start = unsafe { Box::from_raw(start.cast::<Start>()) };
    let Start { name, work, finished } = *start;
    let registration = guard(None, || Some(register(&name)));
    guard((), work);
    guard((), || drop(registration));
    // The last act that others see: after it only this function's own return is left, which a
    // join waits for.
    *finished.yes.lock().unwrap_or_else(PoisonError::into_inner) = true;
    finished.changed.notify_all();
    drop(finished);
    std::ptr::null_mut()
}

/// Names the calling thread and lists it in `core show threads` until the result is dropped, which
/// must happen on the same thread. [`spawn`] does this itself; it is for threads that a library
/// starts.
#[must_use]
pub fn register_current(name: &str) -> Registered {
    register(&c_string(name))
}

fn register(name: &CString) -> Registered {
    let bytes = name.as_bytes();
    let short = c_string(&String::from_utf8_lossy(bytes.get(..NAME_BYTES).unwrap_or(bytes)));
    // SAFETY: always succeeds.
    let id = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread and a name that ends in NUL; one too long is refused, no more.
    unsafe { libc::pthread_setname_np(id, short.as_ptr()) };
    // SAFETY: the copy is the host's to free.
    let owned = unsafe { sys::shim_strdup(name.as_ptr()) };
    if !owned.is_null() {
        // SAFETY: takes over the copy and lists the calling thread under it.
        unsafe { sys::ast_register_thread(owned) };
    }
    Registered { id }
}

/// The calling thread's entry in `core show threads`.
#[derive(Debug)]
pub struct Registered {
    id: libc::pthread_t,
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: the host looks the id up in its list; one that is not there changes nothing. It
        // is passed as the pointer the host's own thread start passes (main/utils.c).
        unsafe { sys::ast_unregister_thread(self.id as *mut c_void) };
    }
}

impl Thread {
    /// Waits up to `limit` for the work to end, then joins. `false` if it still runs; it can be
    /// asked again. Any thread but the one waited for.
    pub fn join_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut finished = self.finished.yes.lock().unwrap_or_else(PoisonError::into_inner);
        while !*finished {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            finished = self
                .finished
                .changed
                .wait_timeout(finished, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        drop(finished);
        self.join();
        true
    }

    /// Whether this is called on the thread itself.
    #[must_use]
    pub fn is_current(&self) -> bool {
        // SAFETY: always succeeds.
        let current = unsafe { libc::pthread_self() };
        // SAFETY: compares two ids; a thread that has ended and not been joined keeps its own.
        unsafe { libc::pthread_equal(self.id, current) != 0 }
    }

    fn join(&self) {
        // Held while joining, so that nobody takes it for joined before it is.
        let mut joined = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *joined, true) {
            // SAFETY: the thread was made joinable and is joined once, here.
            unsafe { libc::pthread_join(self.id, std::ptr::null_mut()) };
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.join();
    }
}

struct Attributes(libc::pthread_attr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
        // SAFETY: memory for the attributes, which the call initialises.
        check(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised above.
        let mut attributes = Self(unsafe { attributes.assume_init() });
        let raw = &raw mut attributes.0;
        // SAFETY: initialised, and the size is above the system's least.
        check(unsafe { libc::pthread_attr_setstacksize(raw, STACK) })?;
        // SAFETY: initialised; the policy below is taken instead of the creator's.
        check(unsafe { libc::pthread_attr_setinheritsched(raw, libc::PTHREAD_EXPLICIT_SCHED) })?;
        // SAFETY: initialised, a policy that needs no privilege.
        check(unsafe { libc::pthread_attr_setschedpolicy(raw, libc::SCHED_OTHER) })?;
        let priority = libc::sched_param { sched_priority: 0 };
        // SAFETY: initialised; 0 is the one priority of that policy.
        check(unsafe { libc::pthread_attr_setschedparam(raw, &raw const priority) })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, destroyed once.
        unsafe { libc::pthread_attr_destroy(&raw mut self.0) };
    }
}

/// A new thread inherits the mask of the thread that makes it: all signals are blocked meanwhile,
/// so that the host's handlers never run on a thread of ours.
struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    fn new() -> io::Result<Self> {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: memory for the set, which the call fills.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the set was filled; the old mask is written to memory for one.
        check(unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr())
        })?;
        // SAFETY: the call above succeeded and has written it.
        Ok(Self(unsafe { before.assume_init() }))
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: puts back the mask that `new` read on this thread.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
        };
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}
