// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One connection through the proxy.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::net::sockopt;

use super::direction::Direction;
use super::network::{Network, Road, Towards, Way};
use super::{Counts, Tricks};
use crate::request::Requests;

/// A client's connection and ours to the server, made when the first byte may pass.
pub(super) struct Connection {
    client: TcpStream,
    server: Option<TcpStream>,
    inwards: Direction,
    outwards: Direction,
    requests: Requests,
    has_lost_an_answer: bool,
}

impl Connection {
    pub(super) fn new(client: TcpStream) -> Self {
        Self {
            client,
            server: None,
            inwards: Direction::default(),
            outwards: Direction::default(),
            requests: Requests::default(),
            has_lost_an_answer: false,
        }
    }

    /// Does what can be done now; whether the connection lasts.
    pub(super) fn step(
        &mut self,
        network: &Network,
        tricks: &mut Tricks,
        port: u16,
        counts: &Mutex<Counts>,
    ) -> io::Result<bool> {
        if network.is_black_hole() {
            return Ok(true);
        }
        let server = match &self.server {
            Some(server) => server,
            None => self.server.insert(connected(port)?),
        };
        let [inwards, outwards] = [Towards::Server, Towards::Client].map(|to| network.way(to));
        self.inwards.read(&self.client, inwards)?;
        let complete = self.requests.push(&self.inwards.fresh);
        if !complete.is_empty() {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.requests.extend(complete);
        }
        if let Some(road) = road(inwards) {
            let most = tricks.most();
            let [spoil, _] = &mut tricks.spoils;
            let passed = self.inwards.write(server, road, most, spoil)?;
            tricks.passed(passed, self.inwards.is_waiting());
            counts.lock().unwrap_or_else(PoisonError::into_inner).passed += passed;
        }
        self.has_lost_an_answer |= self.outwards.read(server, outwards)?;
        if let Some(road) = road(outwards) {
            let [_, spoil] = &mut tricks.spoils;
            self.outwards.write(&self.client, road, u64::MAX, spoil)?;
        }
        if outwards == Way::Lost {
            // The client has gone: nobody waits for an answer.
            return Ok(!self.inwards.is_over());
        }
        Ok(!(self.inwards.is_over() && self.outwards.is_over()))
    }

    /// What it waits for: what comes or can be written, and a time that is still to come.
    pub(super) fn interests<'a>(
        &'a self,
        network: &Network,
        now: Instant,
        fds: &mut Vec<PollFd<'a>>,
    ) -> Option<Instant> {
        if network.is_black_hole() {
            return None;
        }
        let Some(server) = &self.server else {
            return Some(now);
        };
        let [to_server, to_client] = [Towards::Server, Towards::Client].map(|to| network.way(to));
        let inwards = (&self.inwards, to_server);
        let outwards = (&self.outwards, to_client);
        for (stream, from, to) in [(&self.client, inwards, outwards), (server, outwards, inwards)] {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, from.0.may_read(from.1));
            flags.set(PollFlags::OUT, to.1.is_open() && to.0.may_write(now));
            // Without an interest, poll would tell of a hang-up for ever.
            if !flags.is_empty() {
                fds.push(PollFd::new(stream, flags));
            }
        }
        let open = [inwards, outwards].into_iter().filter(|(_, way)| way.is_open());
        open.filter_map(|(direction, _)| direction.due(now)).min()
    }

    /// Adds bytes that nobody sent.
    pub(super) fn forge(&mut self, towards: Towards, bytes: &[u8]) {
        match towards {
            Towards::Server => self.inwards.forge(bytes),
            Towards::Client => self.outwards.forge(bytes),
        }
    }

    /// Ends one direction for the one who reads it.
    pub(super) fn half_close(&mut self, towards: Towards) {
        match (towards, &self.server) {
            (Towards::Client, _) => self.outwards.half_close(&self.client),
            (Towards::Server, Some(server)) => self.inwards.half_close(server),
            (Towards::Server, None) => {}
        }
    }

    /// Whether the client is there, as far as was read.
    pub(super) fn has_client(&self) -> bool {
        !self.inwards.has_ended
    }

    /// Whether an answer was thrown away, so that what follows makes no sense.
    pub(super) fn has_lost_an_answer(&self) -> bool {
        self.has_lost_an_answer
    }

    /// Ends it as a network that is cut: both sides see a reset.
    pub(super) fn reset(self) {
        for stream in [Some(&self.client), self.server.as_ref()].into_iter().flatten() {
            // Where that fails, it is closed in order.
            let _ = sockopt::set_socket_linger(stream, Some(Duration::ZERO));
        }
    }
}

fn road(way: Way) -> Option<Road> {
    match way {
        Way::Open(road) => Some(road),
        Way::Shut | Way::Lost => None,
    }
}

fn connected(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // On this machine, it is there at once or not at all.
    let server = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    server.set_nonblocking(true)?;
    server.set_nodelay(true)?;
    Ok(server)
}
