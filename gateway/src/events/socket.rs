// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One client's websocket, from its beginning to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::hub::{Parcel, Seat};
use super::rest;
use crate::access::Person;
use crate::net::stopped;
use crate::proxy::Gateway;

/// For what the client must take at the end: what waits for it at a stop, and a farewell.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);
/// From our answer to the connection being ours.
const BEGIN: Duration = Duration::from_secs(10);
/// Answers to REST requests that wait to be sent; no more requests are read then.
const ANSWERS: usize = 16;
/// Around a request's body.
const ENVELOPE: usize = 64 << 10;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Who is at the other end.
pub(super) struct Client {
    pub gateway: Arc<Gateway>,
    pub stopping: watch::Receiver<bool>,
    pub person: Person,
    pub app: String,
}

/// Why it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client said so, or is gone.
    Theirs,
    /// It did not take its events.
    Slow,
    /// It does not answer.
    Silent,
    Stopping,
}

impl End {
    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Theirs | Self::Silent => return None,
            Self::Slow => (CloseCode::Policy, "too slow: events were lost, connect again"),
            Self::Stopping => (CloseCode::Away, "the gateway is stopping"),
        };
        Some(CloseFrame { code, reason: reason.into() })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Theirs => "ended",
            Self::Slow => "too slow",
            Self::Silent => "silent",
            Self::Stopping => "stopping",
        }
    }
}

impl Client {
    /// Serves it to its end. The seat is given up then.
    pub(super) async fn begin(self, upgrade: OnUpgrade, mut seat: Seat) {
        let Ok(Ok(upgraded)) = timeout(BEGIN, upgrade).await else { return };
        let limit = self.gateway.config.limits.body_bytes + ENVELOPE;
        let config =
            WebSocketConfig::default().max_message_size(Some(limit)).max_frame_size(Some(limit));
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let (mut sink, mut stream) = socket.split();
        let (answers, answered) = mpsc::channel(ANSWERS);
        self.gateway.metrics.sockets.inc();
        let heard = Heard::default();
        let app = self.app.as_str();
        tracing::info!(app, user = self.person.name(), "event websocket of {app} is open");
        let end = tokio::select! {
            end = self.read(&mut stream, answers, &heard) => end,
            end = self.write(&mut sink, &mut seat, answered, &heard) => end,
        };
        if end == End::Slow {
            self.gateway.metrics.note_event("slow_clients", 1);
            tracing::warn!(app, user = self.person.name(), "a client of {app} is too slow");
        }
        tracing::info!(app, "event websocket of {app}: {}", end.word());
        // Nothing more is put into its queue.
        drop(seat.membership);
        let farewell = async {
            if end == End::Stopping {
                while let Some(parcel) = seat.events.recv().await {
                    send_all(&mut sink, parcel, &mut seat.events).await?;
                }
            }
            match end.frame() {
                // What is half sent goes first, which is why this can take long.
                Some(frame) => sink.send(Message::Close(Some(frame))).await,
                // Answers the client's own.
                None => sink.flush().await,
            }
        };
        // A client that is gone takes no farewell.
        let _ = timeout(FAREWELL, farewell).await;
        self.gateway.metrics.sockets.dec();
    }

    /// Until the client ends it. Requests are carried out one after the other, as in Asterisk. At a
    /// stop the one under way is the last, and the writer ends once its answer has gone.
    async fn read(
        &self,
        stream: &mut SplitStream<Socket>,
        answers: mpsc::Sender<Utf8Bytes>,
        heard: &Heard,
    ) -> End {
        let mut stopping = self.stopping.clone();
        loop {
            let message = tokio::select! {
                biased;
                () = stopped(&mut stopping) => break,
                message = stream.next() => message,
            };
            let Some(Ok(message)) = message else { return End::Theirs };
            heard.note();
            let text = match message {
                Message::Text(text) => text,
                Message::Close(_) => return End::Theirs,
                _ => continue,
            };
            let answering = async {
                let answer = rest::answer(&self.gateway, &self.person, &self.app, &text).await;
                answers.send(answer.into()).await
            };
            tokio::select! {
                sent = answering => if sent.is_err() { return End::Theirs },
                () = self.drained() => break,
            }
        }
        drop(answers);
        sleep(FAREWELL).await;
        End::Slow
    }

    /// A stop, and then as long as requests have that are under way.
    async fn drained(&self) {
        stopped(&mut self.stopping.clone()).await;
        sleep(self.gateway.config.http.drain).await;
    }

    async fn write(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        seat: &mut Seat,
        mut answers: mpsc::Receiver<Utf8Bytes>,
        heard: &Heard,
    ) -> End {
        let ping = self.gateway.config.events.ping;
        let mut pings = interval(ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let slow = Arc::clone(&seat.slow);
        loop {
            let sent = tokio::select! {
                biased;
                () = slow.notified() => return End::Slow,
                answer = answers.recv() => match answer {
                    Some(answer) => unless_slow(&slow, sink.send(Message::Text(answer))).await,
                    None => return End::Stopping,
                },
                Some(parcel) = seat.events.recv() => {
                    unless_slow(&slow, send_all(sink, parcel, &mut seat.events)).await
                }
                _ = pings.tick() => {
                    if heard.since() > ping * 2 + ping / 2 {
                        return End::Silent;
                    }
                    unless_slow(&slow, sink.send(Message::Ping(Bytes::new()))).await
                }
            };
            match sent {
                Some(Ok(())) => {}
                Some(Err(_)) => return End::Theirs,
                None => return End::Slow,
            }
        }
    }
}

/// What waits is written together.
async fn send_all(
    sink: &mut SplitSink<Socket, Message>,
    first: Parcel,
    waiting: &mut mpsc::Receiver<Parcel>,
) -> Result<(), Error> {
    let mut next = Some(first);
    while let Some(parcel) = next {
        match parcel {
            Parcel::Event(event) => sink.feed(Message::Text(event)).await?,
            Parcel::Events(events) => {
                for event in events {
                    sink.feed(Message::Text(event)).await?;
                }
            }
        }
        next = waiting.try_recv().ok();
    }
    sink.flush().await
}

/// `None` when the client is too slow for what is being sent.
async fn unless_slow(
    slow: &tokio::sync::Notify,
    sending: impl Future<Output = Result<(), Error>>,
) -> Option<Result<(), Error>> {
    tokio::select! {
        sent = sending => Some(sent),
        () = slow.notified() => None,
    }
}

/// When the client was heard last.
struct Heard {
    began: Instant,
    milliseconds: AtomicU64,
}

impl Default for Heard {
    fn default() -> Self {
        Self { began: Instant::now(), milliseconds: AtomicU64::new(0) }
    }
}

impl Heard {
    fn note(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.milliseconds.store(now, Ordering::Relaxed);
    }

    fn since(&self) -> Duration {
        let last = Duration::from_millis(self.milliseconds.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
    }
}
