// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The proxy's thread.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection::Connection;
use super::network::{Network, Towards, Way};
use super::{Counts, Order, Tricks};

/// What the proxy's thread holds.
pub(super) struct Junction {
    port: u16,
    server: u16,
    network: Network,
    tricks: Tricks,
    next_reset: Option<Instant>,
    listener: Option<TcpListener>,
    connections: Vec<Connection>,
    counts: Arc<Mutex<Counts>>,
}

impl Junction {
    pub(super) fn new(port: u16, server: u16, counts: Arc<Mutex<Counts>>) -> Self {
        Self {
            port,
            server,
            network: Network::good(),
            tricks: Tricks::default(),
            next_reset: None,
            listener: Some(listening(port)),
            connections: Vec::new(),
            counts,
        }
    }

    /// The thread: until it is told to end.
    pub(super) fn run(mut self, woken: &UnixStream, orders: &Receiver<(Order, Sender<()>)>) {
        loop {
            self.wait(woken);
            // What has come before an order is there when the order is followed.
            self.accept();
            let mut bytes = [0; 64];
            while matches!((&*woken).read(&mut bytes), Ok(1..)) {}
            while let Ok((order, done)) = orders.try_recv() {
                if let Order::End = order {
                    // The port is free before the drop of the proxy returns.
                    drop(self);
                    let _ = done.send(());
                    return;
                }
                self.follow(order);
                self.count_open();
                let _ = done.send(());
            }
            let mut lasting = Vec::new();
            for mut connection in std::mem::take(&mut self.connections) {
                match connection.step(&self.network, &mut self.tricks, self.server, &self.counts) {
                    Ok(true) => lasting.push(connection),
                    Ok(false) => {}
                    Err(_) => connection.reset(),
                }
            }
            self.connections = lasting;
            self.reset_when_due();
            self.count_open();
        }
    }

    fn follow(&mut self, order: Order) {
        match order {
            Order::Be(network) => self.turn(network),
            Order::Cut => self.reset_all(),
            Order::HalfClose(towards) => {
                self.connections.iter_mut().for_each(|one| one.half_close(towards));
            }
            Order::Forge(towards, bytes) => {
                self.connections.iter_mut().for_each(|one| one.forge(towards, &bytes));
            }
            Order::Spoil(towards) => self.tricks.spoils[towards as usize] = true,
            Order::ResetAfter(bytes) => self.tricks.arm(bytes),
            // Of the loop.
            Order::End => {}
        }
    }

    fn turn(&mut self, network: Network) {
        self.network = network;
        self.tricks = Tricks::default();
        self.next_reset = network.resets.map(|_| Instant::now());
        match (network.listens, &self.listener) {
            (false, _) => self.listener = None,
            (true, None) => self.listener = Some(listening(self.port)),
            (true, Some(_)) => {}
        }
        if network.way(Towards::Client) != Way::Lost {
            let broken =
                self.connections.extract_if(.., |connection| connection.has_lost_an_answer());
            broken.for_each(Connection::reset);
        }
    }

    fn reset_all(&mut self) {
        self.connections.drain(..).for_each(Connection::reset);
    }

    fn reset_when_due(&mut self) {
        let now = Instant::now();
        if self.tricks.is_due(now) {
            // Before the reset, which a client sees at once.
            self.counts().blown += 1;
            self.reset_all();
        }
        if self.next_reset.is_some_and(|next| next <= now) {
            self.next_reset = self.network.resets.map(|time| now + time);
            self.reset_all();
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        while let Ok((client, _)) = listener.accept() {
            if client.set_nonblocking(true).is_ok() && client.set_nodelay(true).is_ok() {
                self.counts().connections += 1;
                self.connections.push(Connection::new(client));
            }
        }
    }

    /// Until something can be done.
    fn wait(&self, woken: &UnixStream) {
        let mut fds = vec![PollFd::new(woken, PollFlags::IN)];
        fds.extend(self.listener.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        let now = Instant::now();
        let due = self
            .connections
            .iter()
            .filter_map(|connection| connection.interests(&self.network, now, &mut fds));
        let due = due.chain(self.next_reset).chain(self.tricks.due());
        let left =
            due.min().and_then(|due| Timespec::try_from(due.saturating_duration_since(now)).ok());
        // Interrupted: one more turn.
        let _ = poll(&mut fds, left.as_ref());
    }

    fn count_open(&self) {
        let open = self.connections.iter().filter(|connection| connection.has_client()).count();
        self.counts().open = open;
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a reset waits after the last byte before it, which the server has then read.
const FUSE: Duration = Duration::from_millis(3);

impl Tricks {
    /// How many bytes may pass to the server.
    pub(super) fn most(&self) -> u64 {
        self.budget.unwrap_or(u64::MAX)
    }

    /// Counts what has passed; `more` is waiting behind it.
    pub(super) fn passed(&mut self, bytes: u64, more: bool) {
        let Some(budget) = &mut self.budget else { return };
        *budget -= bytes;
        if *budget == 0 && (bytes > 0 || more) && self.fuse.is_none() {
            self.fuse = Some(Instant::now() + FUSE);
        }
    }

    fn arm(&mut self, bytes: u64) {
        (self.budget, self.fuse) = (Some(bytes), None);
    }

    fn due(&self) -> Option<Instant> {
        self.fuse
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.fuse.is_some_and(|fuse| fuse <= now);
        if is_due {
            (self.budget, self.fuse) = (None, None);
        }
        is_due
    }
}

fn listening(port: u16) -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = listener.and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.unwrap_or_else(|error| panic!("the proxy, port {port}: {error}"))
}
