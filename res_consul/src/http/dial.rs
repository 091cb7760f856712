// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! From host and port to a byte stream: name, TCP, TLS, each with a deadline and each to be cut
//! from another thread.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustls::ClientConnection;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as UreqResolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};

use super::stream::{Stream, Timed};
use super::{Cutter, Fault, Resolver, Setup, Turn};

/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// How often a connect looks whether it is to end. A shutdown wakes it at once, but one that came
/// before the connect had begun has no effect.
const LOOK: Duration = Duration::from_millis(100);

/// A peer that is gone without a word is noticed after 30 s, also by a query that waits for hours.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Makes the connections of one [`Wire`](super::Wire).
pub(super) struct Dialler {
    pub(super) setup: Arc<Setup>,
    pub(super) resolver: Arc<Resolver>,
    pub(super) cutter: Arc<Cutter>,
    pub(super) turn: Turn,
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialler")
    }
}

impl Connector for Dialler {
    type Out = Stream;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Stream>, ureq::Error> {
        self.dial().map(Some).map_err(Fault::wrapped)
    }
}

impl Dialler {
    fn is_cut(&self) -> bool {
        self.cutter.is_cut(self.turn)
    }

    fn dial(&self) -> Result<Stream, Fault> {
        let consul = &self.setup.settings().consul;
        // Before any packet is sent: a certificate that cannot be used is no matter of the net.
        let tls = self.setup.tls().map_err(Fault::Unreachable)?;
        let limit = consul.connect_timeout;
        let addresses =
            self.resolver.resolve(&consul.host, consul.port, limit, &|| self.is_cut())?;
        let deadline = Instant::now() + limit;
        let socket = self.first_of(&addresses, limit, deadline)?;
        let Some((config, name)) = tls else {
            return Ok(Stream::new(socket, None));
        };
        let mut session = ClientConnection::new(config, name)
            .map_err(|error| Fault::Unreachable(format!("TLS cannot begin: {error}")))?;
        let mut timed = Timed::new(&socket, Some(deadline));
        while session.is_handshaking() {
            session.complete_io(&mut timed).map_err(|error| {
                let text = match error.kind() {
                    std::io::ErrorKind::TimedOut => format!("no TLS handshake within {limit:?}"),
                    _ => format!("TLS handshake failed: {error}"),
                };
                Fault::Unreachable(text)
            })?;
        }
        Ok(Stream::new(socket, Some(session)))
    }

    /// A socket to the first address that accepts.
    fn first_of(
        &self,
        addresses: &[SocketAddr],
        limit: Duration,
        deadline: Instant,
    ) -> Result<Arc<Socket>, Fault> {
        let mut reasons = Vec::new();
        let count = addresses.len().min(MOST_ADDRESSES);
        for (done, address) in addresses.iter().take(count).enumerate() {
            // What is left is shared by the addresses that are left, so that all have a turn.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(count - done).unwrap_or(1);
            match self.open(*address, Instant::now() + share) {
                Ok(socket) => return Ok(socket),
                Err(_) if self.is_cut() => return Err(Fault::Interrupted),
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                    reasons.push(format!("{address}: no answer within {limit:?}"));
                }
                Err(error) => reasons.push(format!("{address}: {error}")),
            }
        }
        Err(Fault::Unreachable(reasons.join(", ")))
    }

    fn open(&self, address: SocketAddr, deadline: Instant) -> std::io::Result<Arc<Socket>> {
        let domain = Domain::for_address(address);
        let socket = Arc::new(Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?);
        socket.set_nonblocking(true)?;
        if !self.cutter.add(self.turn, &socket) {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {
                self.wait(&socket, deadline)?;
            }
            Err(error) => return Err(error),
        }
        socket.set_nonblocking(false)?;
        socket.set_tcp_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
        socket.set_tcp_keepalive(&keepalive.with_retries(3))?;
        Ok(socket)
    }

    /// Waits until `socket` is connected.
    fn wait(&self, socket: &Socket, deadline: Instant) -> std::io::Result<()> {
        loop {
            if self.is_cut() {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            let slice = Timespec::try_from(left.min(LOOK)).map_err(std::io::Error::other)?;
            let mut events = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)];
            match poll(&mut events, Some(&slice)) {
                Ok(0) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    return match socket.take_error()? {
                        Some(error) => Err(error),
                        // A socket that was shut down is ready as well, without an error.
                        None => socket.peer_addr().map(drop),
                    };
                }
            }
        }
    }
}

/// Stands where ureq asks for addresses before it looks whether it has a connection: they are found
/// by the [`Dialler`], which is asked only when there is none.
#[derive(Debug)]
pub(super) struct Nowhere;

impl UreqResolver for Nowhere {
    fn resolve(
        &self,
        _: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(SocketAddr::from(([0, 0, 0, 0], 0)));
        Ok(addresses)
    }
}
