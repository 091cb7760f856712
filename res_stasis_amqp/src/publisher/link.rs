// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One AMQP connection that is up, to the certain end of lapin's thread.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lapin::types::ShortString;
use lapin::{Channel, Connection, Error, Event};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::dial::Socket;
use super::failure::{Trouble, is_echo};
use super::gate::Gate;
use super::roots::Roots;
use super::threads::Trace;

/// How long a server is given to say goodbye, and then lapin's thread to notice the end.
const GOODBYE: Duration = Duration::from_millis(800);

/// How long a call on a healthy connection may take.
const CALL: Duration = Duration::from_secs(10);

/// What ended a connection is told after the calls that it broke; this is how long to wait for it.
const EXPLANATION: Duration = Duration::from_millis(500);

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
    /// Channels that the server closed.
    pub(super) closed_channels: u16,
    /// Work beside publishing; it ends with the connection.
    pub(super) errands: JoinSet<()>,
    pub(super) events: Pin<Box<dyn Stream<Item = Event> + Send>>,
    pub(super) socket: Socket,
    /// Before lapin's thread.
    pub(super) gate: Gate,
    pub(super) thread: Trace,
}

impl Link {
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
                () = self.thread.over() => return Change::Lost(self.last_words().await),
            }
        }
    }

    /// Why lapin's thread has ended. It tells so by way of a task, so perhaps later than it ends.
    async fn last_words(&mut self) -> Trouble {
        let error = timeout(EXPLANATION, async {
            loop {
                match self.events.next().await {
                    Some(Event::Error(error)) => return Some(error),
                    Some(_) => {}
                    None => return None,
                }
            }
        });
        match error.await {
            Ok(Some(error)) => Trouble::of_connection(&error),
            _ => Trouble::lost("the server closed the connection without a reason"),
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
        let mut opened = pin!(async {
            let channel = connection.create_channel().await?;
            prepare(&channel).await?;
            Ok::<_, Error>(channel)
        });
        let mut limit = pin!(sleep(CALL));
        loop {
            tokio::select! {
                biased;
                done = &mut opened => match done {
                    Ok(channel) => return Ok(Ok(channel)),
                    Err(error) => return match self.cause(&error).await {
                        Some(trouble) => Err(trouble),
                        None => Ok(Err(error)),
                    },
                },
                change = self.change() => match change {
                    Change::Lost(trouble) => return Err(trouble),
                    // What was asked for is written only now.
                    Change::Unblocked => limit.as_mut().reset(Instant::now() + CALL),
                    Change::Blocked | Change::ChannelClosed(_) => {}
                },
                () = &mut limit, if self.blocked.is_none() => {
                    let reason = format!("no answer to a channel's set-up within {CALL:?}");
                    return Err(Trouble::lost(reason));
                }
            }
        }
    }

    /// Whether it has few channels left. lapin counts them up to the highest number and then begins
    /// anew, but one of which the server closed the first fails at once, for ever.
    pub(super) fn is_worn(&self) -> bool {
        // Tests take numbers too.
        self.closed_channels > self.connection.configuration().channel_max() / 2
    }

    /// What ended the connection, if it was not only a channel that `error` came from.
    pub(super) async fn cause(&mut self, error: &Error) -> Option<Trouble> {
        self.socket.be_patient(false);
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
        // No errand is left that could hold a clone, so there is one.
        if let Some(connection) = Arc::into_inner(self.connection) {
            roots.keep(connection, over);
        }
    }
}
