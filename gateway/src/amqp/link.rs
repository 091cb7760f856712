// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One connection with its queue. Every wait for the broker has its deadline.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_rs::Runtime;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{
    AsyncTcpStream, BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    Consumer, Error, ExchangeKind,
};
use tokio::time::timeout;

use super::kit::Kit;
use super::stream::Stream;
use super::{Outgoing, Trouble};
use crate::config::{Amqp, Broker};
use crate::net::Dialer;

/// What the broker sends before the first of it is acknowledged.
const PREFETCH: u16 = 1000;
/// At the broker, while this process does not read: a bound for what is meant to be no store.
const LONGEST_QUEUE: i64 = 1_000_000;
const FRAME: u32 = 131_072;
const CHANNELS: u16 = 16;

/// The events that say who has what, of whichever application.
const FACTS: [&str; 15] = [
    "StasisStart",
    "StasisEnd",
    "ChannelCreated",
    "ChannelDestroyed",
    "ChannelEnteredBridge",
    "ChannelLeftBridge",
    "BridgeCreated",
    "BridgeDestroyed",
    "BridgeMerged",
    "PlaybackStarted",
    "PlaybackFinished",
    "RecordingStarted",
    "RecordingFinished",
    "RecordingFailed",
    "EventsLost",
];

pub(super) struct Link {
    connection: Connection,
    channel: Channel,
    /// A channel of its own: what closes it leaves the queue alone.
    publishing: Channel,
    queue: ShortString,
    exchange: ShortString,
    limit: Duration,
}

/// Cut where it does not fit: lapin's own conversions panic.
fn short(text: &str) -> ShortString {
    ShortString::try_new(text).unwrap_or_else(|_| {
        let fitting = (0..=255).rev().find_map(|end| text.get(..end));
        ShortString::try_new(fitting.unwrap_or_default()).unwrap_or_default()
    })
}

/// The key of an application's events.
pub(crate) fn key(app: &str) -> String {
    format!("stasis.app.{}", app.to_lowercase())
}

async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    timeout(limit, asked).await.map_err(|_| Trouble::Silent)?.map_err(Trouble::from)
}

impl Link {
    /// Connects, and makes exchanges and queue where they are not there.
    pub(super) async fn open(
        dialer: &Dialer,
        broker: &Broker,
        settings: &Amqp,
        queue: &str,
    ) -> Result<(Self, Consumer), Trouble> {
        let limit = settings.timeout;
        let wire = dialer.open(&broker.origin).await;
        let wire = wire.map_err(|error| Trouble::Unreachable(error.to_string()))?;
        let stream = Mutex::new(Some(Stream(wire)));
        let hand_over = async move |_: AMQPUri, _: Runtime<Kit>| {
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            // lapin asks a second time only to connect again, which is our business.
            stream
                .map(AsyncTcpStream::Plain)
                .ok_or_else(|| Error::from(io::Error::from(io::ErrorKind::NotConnected)))
        };
        let runtime = Runtime::new(Kit::current());
        let uri = uri(broker, settings);
        let properties = ConnectionProperties::default()
            .with_connection_name(queue.into())
            .with_client_property("product".into(), env!("CARGO_PKG_NAME").into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
        let handshake = Connection::connector(uri, runtime, hand_over, properties);
        let connection = within(limit, handshake).await?;
        let channel = within(limit, connection.create_channel()).await?;
        let publishing = within(limit, connection.create_channel()).await?;
        within(limit, publishing.confirm_select(ConfirmSelectOptions::default())).await?;
        let (queue, exchange) = (short(queue), short(&settings.exchange));
        let link = Self { connection, channel, publishing, queue, exchange, limit };
        link.declare(settings).await?;
        let consumer = link.consume().await?;
        Ok((link, consumer))
    }

    async fn declare(&self, settings: &Amqp) -> Result<(), Trouble> {
        let none = FieldTable::default;
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let declared = self.channel.exchange_declare(
            self.exchange.clone(),
            ExchangeKind::Topic,
            durable,
            none(),
        );
        within(self.limit, declared).await?;
        let index = short(&format!("gateway.index.{}", self.exchange));
        let declared =
            self.channel.exchange_declare(index.clone(), ExchangeKind::Headers, durable, none());
        within(self.limit, declared).await?;
        for key in ["stasis.app.#", "stasis.meta"] {
            let options = ExchangeBindOptions::default();
            let bound = self.channel.exchange_bind(
                index.clone(),
                self.exchange.clone(),
                short(key),
                options,
                none(),
            );
            within(self.limit, bound).await?;
        }
        let mut arguments = FieldTable::default();
        let keep = i64::try_from(settings.keep_queue.as_millis()).unwrap_or(i64::MAX);
        arguments.insert("x-expires".into(), AMQPValue::LongLongInt(keep));
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(LONGEST_QUEUE));
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        let declared = self.channel.queue_declare(self.queue.clone(), options, arguments);
        within(self.limit, declared).await?;
        for name in FACTS {
            let mut arguments = FieldTable::default();
            arguments.insert("x-match".into(), AMQPValue::LongString("all".into()));
            arguments.insert("name".into(), AMQPValue::LongString(name.into()));
            let options = QueueBindOptions::default();
            let bound = self.channel.queue_bind(
                self.queue.clone(),
                index.clone(),
                ShortString::default(),
                options,
                arguments,
            );
            within(self.limit, bound).await?;
        }
        Ok(())
    }

    async fn consume(&self) -> Result<Consumer, Trouble> {
        let qos = self.channel.basic_qos(PREFETCH, BasicQosOptions::default());
        within(self.limit, qos).await?;
        let options = BasicConsumeOptions::default();
        let tag = ShortString::default();
        let consumed =
            self.channel.basic_consume(self.queue.clone(), tag, options, FieldTable::default());
        within(self.limit, consumed).await
    }

    /// Takes in the events of these applications, and no others'.
    pub(super) async fn bind(
        &self,
        bound: &mut BTreeSet<String>,
        wanted: &BTreeSet<String>,
    ) -> Result<(), Trouble> {
        for app in wanted.difference(&bound.clone()) {
            let options = QueueBindOptions::default();
            let binding = self.channel.queue_bind(
                self.queue.clone(),
                self.exchange.clone(),
                short(&key(app)),
                options,
                FieldTable::default(),
            );
            within(self.limit, binding).await?;
            bound.insert(app.clone());
        }
        for app in bound.clone().difference(wanted) {
            bound.remove(app);
            // Names that differ in their letters' case only have one key.
            if bound.iter().any(|other| key(other) == key(app)) {
                continue;
            }
            let unbinding = self.channel.queue_unbind(
                self.queue.clone(),
                self.exchange.clone(),
                short(&key(app)),
                FieldTable::default(),
            );
            within(self.limit, unbinding).await?;
        }
        Ok(())
    }

    /// All up to this one have been dispatched.
    pub(super) async fn ack(&self, tag: u64) -> Result<(), Trouble> {
        let options = BasicAckOptions { multiple: true };
        within(self.limit, self.channel.basic_ack(tag, options)).await
    }

    pub(super) async fn publish(&self, outgoing: &Outgoing) -> Result<bool, Trouble> {
        let mut headers = FieldTable::default();
        let mut text = |key: &str, value: &str| {
            headers.insert(short(key), AMQPValue::LongString(value.into()));
        };
        text("name", &outgoing.name);
        text("category", "stasis");
        text("application_name", &outgoing.application);
        text("asterisk_id", &outgoing.eid);
        headers.insert(short("synthetic"), AMQPValue::Boolean(true));
        let properties = BasicProperties::default()
            .with_content_type(short("application/json"))
            .with_delivery_mode(2)
            .with_app_id(short("gateway"))
            .with_type(short(&outgoing.name))
            .with_message_id(short(&outgoing.message_id))
            .with_headers(headers);
        let confirmed = async {
            let published = self.publishing.basic_publish(
                self.exchange.clone(),
                short(&outgoing.routing_key),
                BasicPublishOptions::default(),
                &outgoing.body,
                properties,
            );
            published.await?.await
        };
        Ok(matches!(within(self.limit, confirmed).await?, Confirmation::Ack(_)))
    }

    /// At a stop: the queue is not left for its time to be over.
    pub(super) async fn close(&self) {
        let deleted = self.channel.queue_delete(self.queue.clone(), QueueDeleteOptions::default());
        if let Err(trouble) = within(self.limit, deleted).await {
            tracing::debug!("RabbitMQ: the queue stays until it expires: {trouble}");
        }
        let closed = self.connection.close(200, short("done"));
        if let Err(trouble) = within(self.limit, closed).await {
            tracing::debug!("RabbitMQ: no farewell: {trouble}");
        }
    }
}

fn uri(broker: &Broker, settings: &Amqp) -> AMQPUri {
    AMQPUri {
        // TLS is done before lapin sees the stream.
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: broker.user.clone(),
                password: broker.password.reveal().to_owned(),
            },
            host: broker.origin.host.clone(),
            port: broker.origin.port,
        },
        vhost: broker.vhost.clone(),
        query: AMQPQueryString {
            frame_max: Some(FRAME),
            channel_max: Some(CHANNELS),
            heartbeat: Some(u16::try_from(settings.heartbeat.as_secs()).unwrap_or(u16::MAX)),
            ..AMQPQueryString::default()
        },
    }
}
