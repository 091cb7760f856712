// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The threads that serve clients, one for each core, each with a runtime of its own.
//!
//! A request stays on the thread of its client's connection, and so do the connections to nodes
//! that it uses: no thread has to wake another, which would cost more than all else that is done.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

/// Shorter than the time-outs of a request.
const TICK: Duration = Duration::from_secs(1);

thread_local! {
    /// 0 on all others.
    static PLACE: Cell<usize> = const { Cell::new(0) };
}

/// Which of the serving threads this is, from 1 on; 0 for all others.
pub(crate) fn place() -> usize {
    PLACE.get()
}

/// How many serving threads there are.
pub(crate) fn count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// They run until [`Threads::stop`].
pub(crate) struct Threads {
    threads: Vec<Serving>,
    next: AtomicUsize,
}

struct Serving {
    handle: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Threads {
    pub(crate) fn start() -> io::Result<Self> {
        let threads = (1..=count()).map(start).collect::<io::Result<_>>()?;
        Ok(Self { threads, next: AtomicUsize::new(0) })
    }

    /// One after the other.
    pub(crate) fn next(&self) -> Option<&Handle> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let serving = self.threads.get(turn % self.threads.len().max(1))?;
        Some(&serving.handle)
    }

    /// Ends what still runs on them.
    pub(crate) fn stop(self) {
        for Serving { stop, thread, .. } in self.threads {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("a serving thread panicked");
            }
        }
    }
}

/// Ends when the other end is dropped. A time-out that is earlier than all others has a runtime wake
/// itself, by a system call; one that is always nearer spares each request that.
async fn tick_until(mut stopped: oneshot::Receiver<()>) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            _ = tick.tick() => {}
        }
    }
}

fn start(place: usize) -> io::Result<Serving> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new().name(format!("serve-{place}")).spawn(move || {
        PLACE.set(place);
        runtime.block_on(tick_until(stopped));
    })?;
    Ok(Serving { handle, stop, thread })
}
