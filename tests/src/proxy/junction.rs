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
use super::{Counts, Mode, Order};

/// What the proxy's thread holds.
pub(super) struct Junction {
    port: u16,
    server: u16,
    mode: Mode,
    listener: Option<TcpListener>,
    connections: Vec<Connection>,
    counts: Arc<Mutex<Counts>>,
}

impl Junction {
    pub(super) fn new(port: u16, server: u16, counts: Arc<Mutex<Counts>>) -> Self {
        let mode = Mode::Pass(Duration::ZERO);
        let listener = Some(listening(port));
        Self { port, server, mode, listener, connections: Vec::new(), counts }
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
                match order {
                    Order::Be(mode) => self.turn(mode),
                    Order::Cut => self.connections.drain(..).for_each(Connection::reset),
                    Order::End => {
                        // The port is free before the drop of the proxy returns.
                        drop(self);
                        let _ = done.send(());
                        return;
                    }
                }
                self.count_open();
                let _ = done.send(());
            }
            let mut lasting = Vec::new();
            for mut connection in std::mem::take(&mut self.connections) {
                match connection.step(self.mode, self.server, &self.counts) {
                    Ok(true) => lasting.push(connection),
                    Ok(false) => {}
                    Err(_) => connection.reset(),
                }
            }
            self.connections = lasting;
            self.count_open();
        }
    }

    fn turn(&mut self, mode: Mode) {
        self.mode = mode;
        match (mode, &self.listener) {
            (Mode::Refuse, _) => self.listener = None,
            (_, None) => self.listener = Some(listening(self.port)),
            _ => {}
        }
        if mode != Mode::Swallow {
            let broken =
                self.connections.extract_if(.., |connection| connection.has_lost_an_answer());
            broken.for_each(Connection::reset);
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        while let Ok((client, _)) = listener.accept() {
            if client.set_nonblocking(true).is_ok() {
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
            .filter_map(|connection| connection.interests(self.mode, now, &mut fds));
        let left = due.min().and_then(|due| Timespec::try_from(due - now).ok());
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

fn listening(port: u16) -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = listener.and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.unwrap_or_else(|error| panic!("the proxy, port {port}: {error}"))
}
