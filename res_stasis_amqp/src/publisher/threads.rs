// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Knowing that a thread has ended which nobody can join.
//!
//! An unload takes the code away, so every thread that runs it must be gone by then. lapin hands
//! out no handle of its io thread before the handshake is over, and a name look-up ends when the
//! resolver library pleases. The kernel's list of threads answers for both.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long a thread whose number is unknown (no /proc) is taken to need for its last steps.
const GRACE: Duration = Duration::from_millis(200);

const POLL: Duration = Duration::from_millis(2);

/// Lists the calling thread with the host under a name, until the result is dropped, on whichever
/// thread.
pub(crate) type Enrol = fn(&str) -> Box<dyn Send>;

#[derive(Default)]
struct Life {
    task: OnceLock<PathBuf>,
    enrolled: Mutex<Option<Box<dyn Send>>>,
    over: AtomicBool,
    over_since: OnceLock<Instant>,
    told: Notify,
}

/// What is known of a thread that was started.
#[derive(Clone, Default)]
pub(super) struct Trace(Arc<Life>);

/// Held by the thread's work, dropped when that is over.
pub(super) struct Lifeline(Trace);

impl Trace {
    pub(super) fn lifeline(&self) -> Lifeline {
        Lifeline(self.clone())
    }

    /// Called on the thread itself.
    pub(super) fn this_thread(&self, name: &str, enrol: Enrol) {
        *self.0.enrolled.lock().unwrap_or_else(PoisonError::into_inner) = Some(enrol(name));
        if let Ok(own) = std::fs::read_link("/proc/thread-self") {
            // Called once for each thread.
            let _ = self.0.task.set(Path::new("/proc").join(own));
        }
    }

    /// Waits until the thread has done its work. It may still be in its last instructions.
    pub(super) async fn over(&self) {
        let mut told = std::pin::pin!(self.0.told.notified());
        // Registered before the look, so that an end between the two is not missed.
        told.as_mut().enable();
        if !self.is_over() {
            told.await;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Acquire)
    }

    /// Whether no instruction of the thread will run any more.
    pub(super) fn gone(&self) -> bool {
        self.is_over()
            && match self.0.task.get() {
                Some(task) => !task.exists(),
                None => self.0.over_since.get().is_none_or(|since| since.elapsed() >= GRACE),
            }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        let life = &self.0.0;
        drop(life.enrolled.lock().unwrap_or_else(PoisonError::into_inner).take());
        // There is one lifeline for each trace.
        let _ = life.over_since.set(Instant::now());
        life.over.store(true, Ordering::Release);
        life.told.notify_waiters();
    }
}

/// Threads that were still running when the worker had to return.
#[derive(Clone, Default)]
pub(crate) struct Leftover(Vec<Trace>);

impl Leftover {
    pub(super) fn push(&mut self, trace: Trace) {
        self.0.retain(|trace| !trace.gone());
        self.0.push(trace);
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.retain(|trace| !trace.gone());
        self.0.extend(other.0);
    }

    /// How many of them run now. May be asked on any thread, and asked again.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().filter(|trace| !trace.gone()).count()
    }

    /// Waits for all of them, but not beyond the deadline. For the worker's thread only.
    pub(super) fn wait(&self, deadline: Instant) -> usize {
        loop {
            let running = self.count();
            if running == 0 || Instant::now() >= deadline {
                return running;
            }
            std::thread::sleep(POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detached_thread_is_running_until_it_has_left() {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let trace = Trace::default();
        let (lifeline, inside) = (trace.lifeline(), trace.clone());
        let (started_tx, started) = std::sync::mpsc::channel();
        drop(std::thread::spawn(move || {
            inside.this_thread("test", |_| Box::new(()));
            started_tx.send(()).unwrap();
            wait.recv().ok();
            drop(lifeline);
        }));
        started.recv().unwrap();
        let mut leftover = Leftover::default();
        leftover.push(trace);
        assert_eq!(leftover.wait(Instant::now() + Duration::from_millis(20)), 1);
        drop(release);
        assert_eq!(leftover.wait(Instant::now() + Duration::from_secs(5)), 0);
    }

    #[test]
    fn a_thread_that_never_started_is_gone_when_its_lifeline_is() {
        let trace = Trace::default();
        let lifeline = trace.lifeline();
        assert!(!trace.gone());
        drop(lifeline);
        let mut leftover = Leftover::default();
        leftover.push(trace);
        assert_eq!(leftover.wait(Instant::now() + Duration::from_secs(5)), 0);
    }
}
