// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Waking the worker from any thread, the host's own included.
//!
//! A tokio waker used on a host thread leaves thread-local state behind that keeps the module
//! mapped, so the only thing that crosses over is a byte in a socket pair.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The end that is rung. Cheap to clone and never blocks.
#[derive(Clone, Debug)]
pub(crate) struct Bell(Arc<UnixStream>);

impl Bell {
    /// Makes the worker look at its orders and its outbox.
    pub(crate) fn ring(&self) {
        // A full socket means that a wake-up is already on its way.
        let _ = (&*self.0).write(&[0]);
    }
}

/// A bell and the socket on which it is heard.
pub(super) fn pair() -> io::Result<(Bell, UnixStream)> {
    let (bell, ear) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    ear.set_nonblocking(true)?;
    Ok((Bell(Arc::new(bell)), ear))
}

/// The worker's end, registered with its runtime.
pub(super) struct Ear(tokio::net::UnixStream);

impl Ear {
    /// Listens on a copy, so that a worker restarted after a panic can listen again.
    pub(super) fn new(ear: &UnixStream) -> io::Result<Self> {
        Ok(Self(tokio::net::UnixStream::from_std(ear.try_clone()?)?))
    }

    /// Waits until the bell has been rung since the last call. Any number of rings is one.
    pub(super) async fn rung(&self) {
        let mut sink = [0; 256];
        let mut heard = false;
        while !heard {
            if self.0.readable().await.is_err() {
                return std::future::pending().await;
            }
            loop {
                match self.0.try_read(&mut sink) {
                    // Both ends live as long as the worker's handle, so there is no end to read.
                    Ok(0) => return std::future::pending().await,
                    Ok(_) => heard = true,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn many_rings_from_another_thread_are_heard_once_and_never_block() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (bell, ear) = pair().unwrap();
        runtime.block_on(async {
            let ear = Ear::new(&ear).unwrap();
            let far = bell.clone();
            let ringing = std::thread::spawn(move || (0..10_000).for_each(|_| far.ring()));
            ringing.join().unwrap();
            tokio::time::timeout(Duration::from_secs(5), ear.rung()).await.unwrap();
            let again = tokio::time::timeout(Duration::from_millis(50), ear.rung()).await;
            assert!(again.is_err(), "the bell was heard again without having been rung");
        });
    }
}
