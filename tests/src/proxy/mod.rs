// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A TCP proxy between a module and a server, which does to their connections what networks do.
//!
//! One thread holds the listener and all connections; what a test tells it has taken effect when
//! the call returns. A request is counted when it has come completely, before it is passed on.

mod connection;
mod direction;
mod junction;
mod network;

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use junction::Junction;
pub use network::{Network, Towards};

use crate::ports;
use crate::request::Request;

/// A listener on 127.0.0.1 whose connections lead to another port there; ends on drop.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    counts: Arc<Mutex<Counts>>,
    orders: Sender<(Order, Sender<()>)>,
    waker: UnixStream,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    open: usize,
    /// Bytes that have gone to the server.
    passed: u64,
    /// Resets of [`Proxy::reset_after`].
    blown: usize,
    requests: Vec<Request>,
}

#[derive(Clone, Debug)]
enum Order {
    Be(Network),
    Cut,
    HalfClose(Towards),
    Forge(Towards, Vec<u8>),
    Spoil(Towards),
    ResetAfter(u64),
    End,
}

/// What is done once, to whichever connection it meets.
#[derive(Debug, Default)]
struct Tricks {
    /// The next byte of a direction becomes another.
    spoils: [bool; 2],
    /// Bytes that may still go to the server before all connections are reset.
    budget: Option<u64>,
    /// When that is, once they have gone.
    fuse: Option<Instant>,
}

impl Proxy {
    /// One that passes everything on to the server on this port of 127.0.0.1. While there is no
    /// server, connections are accepted and reset.
    ///
    /// # Panics
    ///
    /// When it can't listen.
    #[track_caller]
    pub fn to(server: u16) -> Self {
        let port = ports::free();
        let counts = Arc::default();
        let (orders, incoming) = channel();
        let (waker, woken) = wakers().unwrap_or_else(|error| panic!("the proxy: {error}"));
        let junction = Junction::new(port, server, Arc::clone(&counts));
        let thread = thread::spawn(move || junction.run(&woken, &incoming));
        Self { port, counts, orders, waker, thread: Some(thread) }
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Passes everything on at once, and listens: the end of all below.
    pub fn pass(&self) {
        self.be(Network::good());
    }

    /// Does not listen any more: new connections are refused. Those that are there go on; see
    /// [`Proxy::cut`].
    pub fn refuse(&self) {
        self.be(Network::refusing());
    }

    /// Resets all connections that are there. Nothing else changes: new ones are accepted, unless
    /// it was told to refuse them.
    pub fn cut(&self) {
        self.order(Order::Cut);
    }

    /// Passes each piece on, in both directions, after this time.
    pub fn delay(&self, time: Duration) {
        self.be(Network::good().delay(time));
    }

    /// Accepts connections, and reads and passes on nothing, in no direction. What was held goes
    /// on with [`Proxy::pass`], as in a network that comes back.
    pub fn black_hole(&self) {
        self.be(Network::black_hole());
    }

    /// Requests go in, answers never come out: they are thrown away. A connection that has lost
    /// an answer so is reset by [`Proxy::pass`] and all others.
    pub fn swallow(&self) {
        self.be(Network::swallowing());
    }

    /// From now on, be such a network.
    pub fn be(&self, network: Network) {
        self.order(Order::Be(network));
    }

    /// Ends one direction of the connections that are there, in order (FIN), for the side that
    /// reads it. The other direction goes on.
    pub fn half_close(&self, towards: Towards) {
        self.order(Order::HalfClose(towards));
    }

    /// Sends bytes in a direction of the connections that are there, which the other side never
    /// sent.
    pub fn forge(&self, towards: Towards, bytes: &[u8]) {
        self.order(Order::Forge(towards, bytes.to_vec()));
    }

    /// Makes the next byte of a direction another.
    pub fn corrupt(&self, towards: Towards) {
        self.order(Order::Spoil(towards));
    }

    /// Passes so many bytes more on to the server, and no other, and then resets all connections,
    /// once; see [`Proxy::resets_after`]. With 0, it is the first byte that is not passed on.
    pub fn reset_after(&self, bytes: u64) {
        self.order(Order::ResetAfter(bytes));
    }

    /// How often that has happened.
    pub fn resets_after(&self) -> usize {
        self.counts().blown
    }

    /// How many bytes it has passed on to the server, over all connections.
    pub fn passed(&self) -> u64 {
        self.counts().passed
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.counts().connections
    }

    /// How many of them the client has not ended, as far as the proxy has read.
    pub fn open_connections(&self) -> usize {
        self.counts().open
    }

    /// How many requests of HTTP/1.1 have come over it, over all connections.
    pub fn requests(&self) -> usize {
        self.counts().requests.len()
    }

    /// How many of them begin so: with `/v1/kv/` the path, with `GET /v1/kv/` method and path.
    pub fn requests_to(&self, beginning: &str) -> usize {
        self.counts().requests.iter().filter(|request| request.begins(beginning)).count()
    }

    /// The requests themselves, in the order in which they were complete.
    pub fn seen(&self) -> Vec<Request> {
        self.counts().requests.clone()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    fn order(&self, order: Order) {
        assert!(self.ordered(order), "the proxy's thread has ended");
    }

    /// Whether the thread has done it.
    fn ordered(&self, order: Order) -> bool {
        let (done, waiting) = channel();
        let given = self.orders.send((order, done)).is_ok();
        // Full: there is enough in it to wake the thread.
        let _ = (&self.waker).write(&[1]);
        given && waiting.recv().is_ok()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ordered(Order::End);
        // Had it panicked, that was printed, and the test may be failing already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn wakers() -> io::Result<(UnixStream, UnixStream)> {
    let (waker, woken) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    Ok((waker, woken))
}
