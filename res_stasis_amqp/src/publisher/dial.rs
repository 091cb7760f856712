// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! From an endpoint to a byte stream: name, TCP, TLS, each step with a deadline.

use std::net::{SocketAddr, TcpStream as StdStream};
use std::os::fd::AsFd;
use std::time::Duration;

use asterisk::socket::set_low_water_mark;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::failure::Trouble;
use super::resolve::Resolver;
use super::stream::Transport;
use super::tls;
use crate::config::ConnectionSettings;
use crate::endpoint::Endpoint;

/// Addresses of one name that are tried before the next endpoint has its turn.
const MOST_ADDRESSES: usize = 8;

/// What an unresponsive peer is given when the heartbeat is the server's choice.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(20);

/// How long the peer may take nothing of what is written, at least.
const SHUT_WINDOW: Duration = Duration::from_secs(120);

/// Bytes: the confirms of some two hundred messages, if each has one of its own.
const MUCH: u16 = 4096;

/// A connected stream, and a second handle on its socket: shutting that down ends whatever lapin
/// still does with the first, also when the peer has frozen.
pub(super) struct Dialled {
    pub(super) transport: Transport,
    pub(super) socket: Socket,
    /// By when the login must be done.
    pub(super) deadline: Instant,
}

/// The second handle.
pub(super) struct Socket {
    stream: StdStream,
    patience: Duration,
    /// What comes is told of in bulk.
    is_patient: bool,
}

pub(super) async fn dial(
    resolver: &mut Resolver,
    endpoint: &Endpoint,
    settings: &ConnectionSettings,
) -> Result<Dialled, Trouble> {
    let limit = settings.connection_timeout;
    // Before any packet is sent: a certificate that cannot be used is no matter of the net.
    let tls = match endpoint.tls {
        true => Some(tls::Client::new(&settings.tls, &endpoint.host).map_err(Trouble::tls)?),
        false => None,
    };
    let addresses = resolver
        .resolve(&endpoint.host, endpoint.port, limit)
        .await
        .map_err(Trouble::unreachable)?;
    let (stream, deadline) = connect(&addresses, limit).await?;
    let patience = match settings.heartbeat {
        0 => DEFAULT_PATIENCE,
        seconds => Duration::from_secs(u64::from(seconds) * 2),
    };
    let socket = Socket::new(&stream, patience)
        .map_err(|error| Trouble::unreachable(format!("cannot set up the socket: {error}")))?;
    let transport = match tls {
        None => Transport::Plain(stream),
        Some(client) => match timeout_at(deadline, client.connect(stream)).await {
            Ok(stream) => Transport::Tls(Box::new(stream.map_err(Trouble::tls)?)),
            Err(_) => {
                return Err(Trouble::tls(format!("no TLS handshake within {limit:?}")));
            }
        },
    };
    Ok(Dialled { transport, socket, deadline })
}

/// The first address that accepts, and by when TLS and login on it must be done.
async fn connect(
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<(TcpStream, Instant), Trouble> {
    let mut reasons = Vec::new();
    for address in addresses.iter().take(MOST_ADDRESSES) {
        let deadline = Instant::now() + limit;
        match timeout_at(deadline, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, deadline)),
            Ok(Err(error)) => reasons.push(format!("{address}: {error}")),
            Err(_) => reasons.push(format!("{address}: no answer within {limit:?}")),
        }
    }
    Err(Trouble::unreachable(reasons.join(", ")))
}

impl Socket {
    fn new(stream: &TcpStream, patience: Duration) -> std::io::Result<Self> {
        let options = SockRef::from(stream);
        options.set_tcp_nodelay(true)?;
        let probes = TcpKeepalive::new().with_time(patience / 2).with_interval(patience / 4);
        options.set_tcp_keepalive(&probes.with_retries(3))?;
        // A peer that reads slowly shuts the window too, for as long as it takes to empty a good
        // part of its buffer. The heartbeat tells it from a dead one.
        let patience = patience.max(SHUT_WINDOW);
        options.set_tcp_user_timeout(Some(patience))?;
        let stream = StdStream::from(stream.as_fd().try_clone_to_owned()?);
        Ok(Self { stream, patience, is_patient: false })
    }

    /// Ends the stream for both sides, at once.
    pub(super) fn shut_down(&self) {
        // It fails only where the stream has ended already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Has lapin's thread be woken for what the server says only when that is much, or for all of it.
    /// A server confirms in small pieces as it likes, and each would wake two threads. lapin reads
    /// all that there is whenever it reads.
    pub(super) fn be_patient(&mut self, patient: bool) {
        if self.is_patient != patient {
            let mark = if patient { MUCH } else { 1 };
            // Where that is refused, all is told of.
            let done = set_low_water_mark(&self.stream, mark).is_ok();
            self.is_patient = patient && done;
        }
    }

    /// A server that blocks publishers reads nothing, so the window stays shut for as long as its
    /// alarm lasts; to the kernel's user timeout that looks like a dead peer.
    pub(super) fn allow_closed_window(&self, allowed: bool) {
        let limit = if allowed { None } else { Some(self.patience) };
        // The socket may be gone, and then there is nothing to time out.
        let _ = SockRef::from(&self.stream).set_tcp_user_timeout(limit);
    }
}
