// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One AMQP connection, from the handshake to the certain end of lapin's thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_rs::Runtime;
use futures_util::StreamExt;
use lapin::types::ShortString;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties, Error, Event};
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use super::dial::{Socket, dial};
use super::failure::{Kind, Trouble, is_echo};
use super::greeting::{Greeting, ServerName};
use super::kit::Kit;
use super::resolve::Resolver;
use super::stream::Stream;
use super::threads::{Leftover, Trace};
use crate::config::ConnectionSettings;
use crate::endpoint::Endpoint;

/// lapin's buffers are 64 times this, so no peer and no typing error may choose it freely.
const FRAME_BYTES: std::ops::RangeInclusive<u32> = 4096..=1024 * 1024;

/// Publishing, declaring and sending tests need a handful.
const MOST_CHANNELS: u16 = 64;

/// How long a server is given to say goodbye, and then lapin's thread to notice the end.
const GOODBYE: Duration = Duration::from_millis(800);

/// How long a call on a healthy connection may take.
const CALL: Duration = Duration::from_secs(10);

/// What ended a connection is told after the calls that it broke; this is how long to wait for it.
const EXPLANATION: Duration = Duration::from_secs(1);

/// What outlives a connection and must be gone before the worker is.
#[derive(Default)]
pub(super) struct Roots {
    pub(super) resolver: Resolver,
    pub(super) threads: Leftover,
    /// Connections whose thread had not ended in time.
    lingering: Vec<Connection>,
}

/// What a connection does on its own account.
#[derive(Debug)]
pub(super) enum Change {
    Blocked,
    Unblocked,
    /// The server closed a channel, perhaps one that is not in use any more.
    ChannelClosed(Error),
    Lost(Trouble),
}

pub(super) struct Link {
    pub(super) connection: Arc<Connection>,
    pub(super) server: Option<String>,
    /// The server's reason, while it takes no messages.
    pub(super) blocked: Option<String>,
    /// Work beside publishing; it ends with the connection.
    pub(super) errands: JoinSet<()>,
    events: Pin<Box<dyn futures_util::Stream<Item = Event> + Send>>,
    socket: Socket,
    thread: Trace,
}

/// Shuts the socket down when a handshake is given up, which ends lapin's thread: nothing else
/// reaches it, the unfinished connection being inside lapin.
struct GivenUp(Option<Socket>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            socket.shut_down();
        }
    }
}

impl Link {
    pub(super) async fn open(
        roots: &mut Roots,
        endpoint: &Endpoint,
        settings: &ConnectionSettings,
        name: &str,
    ) -> Result<Self, Trouble> {
        let uri = uri(endpoint, settings)?;
        let dialled = dial(&mut roots.resolver, endpoint, settings).await?;
        let (thread, server) = (Trace::default(), ServerName::default());
        let greeting = Greeting::new(server.clone());
        let stream = Stream::new(dialled.transport, greeting, thread.lifeline());
        roots.threads.push(thread.clone());
        let mut given_up = GivenUp(Some(dialled.socket));

        let stream = Mutex::new(Some(stream));
        let io_thread = thread.clone();
        let hand_over = async move |_: AMQPUri, _: Runtime<Kit>| {
            io_thread.this_thread();
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            // lapin asks a second time only to connect again, which is the worker's business.
            stream
                .map(AsyncTcpStream::Plain)
                .ok_or_else(|| Error::from(std::io::Error::from(std::io::ErrorKind::NotConnected)))
        };
        let runtime = Runtime::new(Kit::current());
        let handshake = Connection::connector(uri, runtime, hand_over, properties(name));
        let limit = settings.connection_timeout;
        let connection = timeout_at(dialled.deadline, handshake)
            .await
            .map_err(|_| Trouble::handshake_timeout(limit))?
            .map_err(|error| Trouble::of_handshake(&error))?;
        let socket = given_up.0.take().ok_or_else(|| Trouble::handshake_timeout(limit))?;
        Ok(Self {
            events: Box::pin(connection.events_listener()),
            server: server.get().cloned(),
            connection: Arc::new(connection),
            blocked: None,
            errands: JoinSet::new(),
            socket,
            thread,
        })
    }

    /// Waits for the next thing that the connection does by itself.
    pub(super) async fn change(&mut self) -> Change {
        loop {
            tokio::select! {
                biased;
                event = self.events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => return self.block(reason),
                    // LavinMQ, and RabbitMQ before 3.0, stop a publisher this way.
                    Some(Event::SendFlow(false)) => return self.block("channel.flow".into()),
                    Some(Event::ConnectionUnblocked | Event::SendFlow(true)) => {
                        self.blocked = None;
                        self.socket.allow_closed_window(false);
                        return Change::Unblocked;
                    }
                    Some(Event::Error(error)) if self.is_up() => {
                        return Change::ChannelClosed(error);
                    }
                    Some(Event::Error(error)) => {
                        return Change::Lost(Trouble::of_connection(&error));
                    }
                    Some(_) => {}
                    None => std::future::pending().await,
                },
                () = self.thread.over() => {
                    return Change::Lost(Trouble::lost("the server closed it"));
                }
            }
        }
    }

    fn block(&mut self, reason: String) -> Change {
        self.socket.allow_closed_window(true);
        self.blocked = Some(reason);
        Change::Blocked
    }

    pub(super) fn is_up(&self) -> bool {
        self.connection.status().connected()
    }

    /// A channel on which `prepare` has been done, or why there is none. `Ok(Err(_))` is an error
    /// of the channel on a connection that is fine.
    pub(super) async fn channel<P>(&mut self, prepare: P) -> Result<Result<Channel, Error>, Trouble>
    where
        P: AsyncFnOnce(&Channel) -> Result<(), Error>,
    {
        let connection = self.connection.clone();
        let opened = timeout(CALL, async {
            let channel = connection.create_channel().await?;
            prepare(&channel).await?;
            Ok::<_, Error>(channel)
        });
        match opened.await {
            Ok(Ok(channel)) => Ok(Ok(channel)),
            Ok(Err(error)) => match self.cause(&error).await {
                Some(trouble) => Err(trouble),
                None => Ok(Err(error)),
            },
            Err(_) => Err(Trouble::lost(format!("no answer to a channel's set-up within {CALL:?}"))),
        }
    }

    /// What ended the connection, if it was not only a channel that `error` came from.
    pub(super) async fn cause(&mut self, error: &Error) -> Option<Trouble> {
        if !self.is_up() && !is_echo(error) {
            return Some(Trouble::of_connection(error));
        }
        if self.is_up() && error.is_amqp_soft_error() {
            return None;
        }
        let told = timeout(EXPLANATION, async {
            loop {
                if let Change::Lost(trouble) = self.change().await {
                    return trouble;
                }
            }
        });
        match told.await {
            Ok(trouble) => Some(trouble),
            Err(_) if self.is_up() => None,
            Err(_) => Some(Trouble::of_connection(error)),
        }
    }

    /// Ends the connection, politely where that has a point. Bounded in time whatever the peer
    /// does; lapin's thread is joined, or kept in the roots to be joined after the runtime.
    pub(super) async fn close(mut self, roots: &mut Roots) {
        self.errands.shutdown().await;
        // While the server blocks us lapin writes nothing, a close included.
        if self.is_up() && self.blocked.is_none() {
            let goodbye = self.connection.close(200, ShortString::default());
            // An answer that does not come, or an error, changes nothing about what follows.
            let _ = timeout(GOODBYE, goodbye).await;
        }
        self.socket.shut_down();
        drop(self.events);
        let over = timeout(GOODBYE, self.thread.over()).await.is_ok();
        match Arc::into_inner(self.connection) {
            Some(connection) if over => join(connection),
            Some(connection) => roots.lingering.push(connection),
            // No errand is left that could hold a clone.
            None => {}
        }
    }
}

impl Roots {
    /// Ends what is left of connections and look-ups, and tells which threads it could not end by
    /// the deadline. The runtime goes first: that ends whatever lapin still does.
    pub(super) fn end(mut self, runtime: tokio::runtime::Runtime, deadline: Instant) -> Leftover {
        drop(runtime);
        self.lingering.drain(..).for_each(join);
        self.resolver.leave(&mut self.threads);
        self.threads.wait(deadline);
        self.threads
    }
}

fn join(connection: Connection) {
    // lapin resumes its thread's panic here. That connection is over either way.
    let _ = catch_unwind(AssertUnwindSafe(|| connection.run()));
}

fn uri(endpoint: &Endpoint, settings: &ConnectionSettings) -> Result<AMQPUri, Trouble> {
    // lapin panics on a longer one.
    if ShortString::try_new(endpoint.vhost.as_str()).is_err() {
        return Err(Trouble::new(
            Kind::VhostRefused,
            "the vhost's name is longer than 255 bytes",
        ));
    }
    Ok(AMQPUri {
        // TLS is done before lapin sees the stream.
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: endpoint.user.clone(),
                password: endpoint.password.reveal().to_owned(),
            },
            host: endpoint.host.clone(),
            port: endpoint.port,
        },
        vhost: endpoint.vhost.clone(),
        query: AMQPQueryString {
            frame_max: Some(
                settings.max_frame_bytes.clamp(*FRAME_BYTES.start(), *FRAME_BYTES.end()),
            ),
            channel_max: Some(MOST_CHANNELS),
            heartbeat: Some(settings.heartbeat),
            ..AMQPQueryString::default()
        },
    })
}

fn properties(name: &str) -> ConnectionProperties {
    // Recovery is off by default and stays off: lapin's forgets what was not confirmed.
    ConnectionProperties::default()
        .with_connection_name(name.into())
        .with_client_property("product".into(), env!("CARGO_PKG_NAME").into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
}
