// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A TCP port between a node and its broker, to be shut, opened and cut, which is quicker than
//! stopping a broker that other tests use.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rig::{ports, seconds};

#[derive(Default)]
struct Inside {
    shut: AtomicBool,
    accepted: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

impl Inside {
    fn streams(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shut at first: nothing listens on the port.
pub(crate) struct Gate {
    port: u16,
    target: Option<u16>,
    inside: Arc<Inside>,
    listening: Option<JoinHandle<()>>,
}

impl Gate {
    /// A gate in front of a port of 127.0.0.1.
    pub(crate) fn to(target: u16) -> Self {
        Self::new(Some(target))
    }

    /// A peer that, once open, accepts and says nothing.
    pub(crate) fn silent() -> Self {
        Self::new(None)
    }

    fn new(target: Option<u16>) -> Self {
        Self { port: ports::free(), target, inside: Arc::default(), listening: None }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `url` of the port behind it, led through the gate.
    pub(crate) fn url(&self, url: &str) -> String {
        let behind = self.target.expect("a gate to something");
        let through = url.replace(&format!(":{behind}/"), &format!(":{}/", self.port));
        assert_ne!(through, url, "no port {behind} in {url}");
        through
    }

    pub(crate) fn open(&mut self) {
        self.shut();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))
            .unwrap_or_else(|error| panic!("the gate, port {}: {error}", self.port));
        let (inside, target) = (Arc::clone(&self.inside), self.target);
        inside.shut.store(false, Ordering::SeqCst);
        self.listening = Some(thread::spawn(move || accept(&listener, &inside, target)));
    }

    /// Ends all connections, and takes no more.
    pub(crate) fn shut(&mut self) {
        self.inside.shut.store(true, Ordering::SeqCst);
        if let Some(listening) = self.listening.take() {
            // Wakes it from its accept.
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
            listening.join().expect("the gate's thread");
        }
        self.cut();
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        for stream in self.inside.streams().drain(..) {
            // One that has ended by itself cannot be shut down.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many connections there have been.
    pub(crate) fn accepted(&self) -> usize {
        self.inside.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
    }
}

fn accept(listener: &TcpListener, inside: &Inside, target: Option<u16>) {
    for near in listener.incoming() {
        if inside.shut.load(Ordering::SeqCst) {
            return;
        }
        let Ok(near) = near else { continue };
        inside.accepted.fetch_add(1, Ordering::SeqCst);
        if let Some(target) = target {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, target));
            let Ok(far) = TcpStream::connect_timeout(&address, seconds(5)) else { continue };
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (from, to) = (copy_of(from), copy_of(to));
                thread::spawn(move || pass(from, to));
            }
            inside.streams().push(far);
        }
        inside.streams().push(near);
    }
}

fn copy_of(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a file descriptor")
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    // Its end, by whichever side, ends the other side too.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}
