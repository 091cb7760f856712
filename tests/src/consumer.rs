// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A consumer of what arrives at the broker.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::wait::seconds;

/// A message as it arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The exchange it was published to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// Its headers.
    pub headers: Map<String, Value>,
    /// Its properties that are set, by their AMQP names, `headers` excepted.
    pub properties: Map<String, Value>,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether the broker delivered it before.
    pub redelivered: bool,
}

impl Message {
    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            let body = String::from_utf8_lossy(&self.body);
            panic!("{}: no JSON ({error}): {body}", self.routing_key)
        })
    }

    /// Header `name`: the event's.
    pub fn name(&self) -> &str {
        self.headers.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Header `sequence`.
    pub fn sequence(&self) -> Option<u64> {
        self.headers.get("sequence")?.as_u64()
    }

    /// Property `message_id`.
    pub fn message_id(&self) -> &str {
        self.properties.get("message_id").and_then(Value::as_str).unwrap_or_default()
    }
}

/// What a consumer takes its messages from.
enum Source {
    /// A queue of its own, bound to a durable exchange by routing keys.
    Keys { exchange: String, kind: ExchangeKind, keys: Vec<String> },
    /// A queue of its own, bound to a durable headers exchange.
    Headers { exchange: String, arguments: FieldTable },
    /// A queue that is there.
    Queue(String),
}

/// A connection that takes messages as they come, acknowledged by their delivery, and keeps them
/// until they are asked for.
#[derive(Debug)]
pub struct Consumer {
    incoming: Mutex<Receiver<Result<Message, String>>>,
    // Dropped, it ends the connection.
    _end: oneshot::Sender<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Consumer {
    /// Binds a queue of its own to a topic exchange, which it declares durable if need be.
    #[track_caller]
    pub fn topic(url: &str, exchange: &str, keys: &[&str]) -> Self {
        Self::keys(url, exchange, "topic", keys)
    }

    /// Like [`Consumer::topic`], with an exchange of any type.
    #[track_caller]
    pub fn keys(url: &str, exchange: &str, kind: &str, keys: &[&str]) -> Self {
        let kind = match kind {
            "topic" => ExchangeKind::Topic,
            "fanout" => ExchangeKind::Fanout,
            "direct" => ExchangeKind::Direct,
            "headers" => ExchangeKind::Headers,
            other => ExchangeKind::Custom(other.to_owned()),
        };
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        Self::open(url, Source::Keys { exchange: exchange.to_owned(), kind, keys })
    }

    /// Binds a queue of its own to a headers exchange: what has `all` of these headers.
    #[track_caller]
    pub fn headers(url: &str, exchange: &str, all: &[(&str, &str)]) -> Self {
        let mut arguments = FieldTable::default();
        for (name, value) in [("x-match", "all")].iter().chain(all) {
            arguments.insert((*name).into(), AMQPValue::LongString((*value).into()));
        }
        Self::open(url, Source::Headers { exchange: exchange.to_owned(), arguments })
    }

    /// Consumes a queue that is there.
    #[track_caller]
    pub fn queue(url: &str, queue: &str) -> Self {
        Self::open(url, Source::Queue(queue.to_owned()))
    }

    #[track_caller]
    fn open(url: &str, source: Source) -> Self {
        let (sender, incoming) = channel();
        let (ready_sender, ready) = channel();
        let (end_sender, end) = oneshot::channel();
        let url = url.to_owned();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(consume(&url, source, &ready_sender, sender, end)),
                Err(error) => drop(ready_sender.send(Err(error.to_string()))),
            }
        });
        match ready.recv_timeout(seconds(20)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("the consumer does not start: {error}"),
            Err(error) => panic!("the consumer does not start within 20 s ({error})"),
        }
        Self { incoming: Mutex::new(incoming), _end: end_sender, thread: Some(thread) }
    }

    /// The next message.
    ///
    /// # Panics
    ///
    /// When none comes `within`, or the connection has ended.
    #[track_caller]
    pub fn next(&self, within: Duration) -> Message {
        match self.receive(within) {
            Some(message) => message,
            None => panic!("no message within {within:?}"),
        }
    }

    /// The next message, or `None` when none comes `within`.
    ///
    /// # Panics
    ///
    /// When the connection has ended.
    #[track_caller]
    pub fn receive(&self, within: Duration) -> Option<Message> {
        let incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        match incoming.recv_timeout(within) {
            Ok(Ok(message)) => Some(message),
            Ok(Err(error)) => panic!("the consumer's connection has ended: {error}"),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the consumer has ended"),
        }
    }

    /// The first message that `wanted` accepts; those before it are dropped.
    ///
    /// # Panics
    ///
    /// When none comes `within`, with the last keys that came instead.
    #[track_caller]
    pub fn next_where(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Message) -> bool,
    ) -> Message {
        let mut messages = self.drain_until(what, within, wanted);
        messages.pop().expect("drain_until ends with the message")
    }

    /// All messages up to and with the first that `last` accepts.
    ///
    /// # Panics
    ///
    /// When none comes `within`, with the last keys that came instead.
    #[track_caller]
    pub fn drain_until(
        &self,
        what: &str,
        within: Duration,
        last: impl Fn(&Message) -> bool,
    ) -> Vec<Message> {
        let deadline = Instant::now() + within;
        let mut messages = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(message) = self.receive(left) else {
                let recent = messages.iter().rev().take(20);
                let keys: VecDeque<_> = recent
                    .map(|message: &Message| format!("{} {}", message.routing_key, message.name()))
                    .collect();
                let count = messages.len();
                panic!(
                    "no {what} within {within:?}; {count} other messages, newest first: {keys:?}"
                );
            };
            let found = last(&message);
            messages.push(message);
            if found {
                return messages;
            }
        }
    }

    /// What has come so far.
    #[track_caller]
    pub fn drain(&self) -> Vec<Message> {
        std::iter::from_fn(|| self.receive(Duration::ZERO)).collect()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let (replacement, _) = oneshot::channel();
        drop(std::mem::replace(&mut self._end, replacement));
        if let Some(thread) = self.thread.take() {
            // It ends at the latest with its own deadline for closing.
            let _ = thread.join();
        }
    }
}

async fn consume(
    url: &str,
    source: Source,
    ready: &Sender<Result<(), String>>,
    messages: Sender<Result<Message, String>>,
    end: oneshot::Receiver<()>,
) {
    let begun = async {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let queue = prepare(&channel, source).await?;
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer = channel
            .basic_consume(queue.as_str().into(), "rig".into(), options, FieldTable::default())
            .await?;
        Ok::<_, lapin::Error>((connection, channel, consumer))
    };
    let (connection, _channel, mut consumer) = match begun.await {
        Ok(begun) => {
            let _ = ready.send(Ok(()));
            begun
        }
        Err(error) => {
            let _ = ready.send(Err(error.to_string()));
            return;
        }
    };
    let deliver = async {
        while let Some(delivery) = consumer.next().await {
            let message = delivery.map(message).map_err(|error| error.to_string());
            // The receiver goes only after this has ended.
            let _ = messages.send(message);
        }
    };
    let ended = async {
        // An error is the end too: it says that the sender was dropped.
        let _ = end.await;
    };
    futures_lite::future::or(deliver, ended).await;
    // A broker that is frozen does not answer the farewell.
    let _ = tokio::time::timeout(seconds(1), connection.close(200, "done".into())).await;
}

async fn prepare(channel: &Channel, source: Source) -> lapin::Result<String> {
    let (exchange, kind, bindings) = match source {
        Source::Queue(name) => return Ok(name),
        Source::Keys { exchange, kind, keys } => {
            (exchange, kind, keys.into_iter().map(|key| (key, FieldTable::default())).collect())
        }
        Source::Headers { exchange, arguments } => {
            (exchange, ExchangeKind::Headers, vec![(String::new(), arguments)])
        }
    };
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    channel.exchange_declare(exchange.as_str().into(), kind, durable, none()).await?;
    // RabbitMQ 4.3 refuses queues that are neither durable nor exclusive.
    let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), exclusive, none()).await?;
    let queue = queue.name().to_string();
    for (key, arguments) in bindings {
        let options = QueueBindOptions::default();
        channel
            .queue_bind(
                queue.as_str().into(),
                exchange.as_str().into(),
                key.as_str().into(),
                options,
                arguments,
            )
            .await?;
    }
    Ok(queue)
}

fn message(delivery: Delivery) -> Message {
    let from = &delivery.properties;
    let headers = from.headers().as_ref().map(table).unwrap_or_default();
    let mut properties = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            properties.insert(name.to_owned(), value);
        }
    };
    let text = |value: &Option<lapin::types::ShortString>| {
        value.as_ref().map(|value| Value::from(value.as_str()))
    };
    set("content_type", text(from.content_type()));
    set("content_encoding", text(from.content_encoding()));
    set("delivery_mode", from.delivery_mode().map(Value::from));
    set("priority", from.priority().map(Value::from));
    set("correlation_id", text(from.correlation_id()));
    set("reply_to", text(from.reply_to()));
    set("expiration", text(from.expiration()));
    set("message_id", text(from.message_id()));
    set("timestamp", from.timestamp().map(Value::from));
    set("type", text(from.kind()));
    set("user_id", text(from.user_id()));
    set("app_id", text(from.app_id()));
    Message {
        exchange: delivery.exchange.to_string(),
        routing_key: delivery.routing_key.to_string(),
        headers,
        properties,
        redelivered: delivery.redelivered,
        body: delivery.data,
    }
}

fn table(table: &FieldTable) -> Map<String, Value> {
    table.inner().iter().map(|(name, item)| (name.to_string(), value(item))).collect()
}

fn value(item: &AMQPValue) -> Value {
    match item {
        AMQPValue::Boolean(value) => Value::from(*value),
        AMQPValue::ShortShortInt(value) => Value::from(*value),
        AMQPValue::ShortShortUInt(value) => Value::from(*value),
        AMQPValue::ShortInt(value) => Value::from(*value),
        AMQPValue::ShortUInt(value) => Value::from(*value),
        AMQPValue::LongInt(value) => Value::from(*value),
        AMQPValue::LongUInt(value) => Value::from(*value),
        AMQPValue::LongLongInt(value) => Value::from(*value),
        AMQPValue::Float(value) => Value::from(*value),
        AMQPValue::Double(value) => Value::from(*value),
        AMQPValue::Timestamp(value) => Value::from(*value),
        AMQPValue::ShortString(value) => Value::from(value.as_str()),
        AMQPValue::LongString(value) => {
            Value::from(String::from_utf8_lossy(value.as_bytes()).into_owned())
        }
        AMQPValue::ByteArray(value) => {
            Value::from(String::from_utf8_lossy(value.as_slice()).into_owned())
        }
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(self::value).collect(),
        AMQPValue::FieldTable(values) => Value::Object(table(values)),
        other => Value::from(format!("{other:?}")),
    }
}
