// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Keeps a connection for as long as the process lives.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Consumer};
use tokio::sync::watch;
use tokio::time::sleep;

use super::link::Link;
use super::{BrokerState, Incoming, Order, Trouble, Wiring};
use crate::config::Amqp;
use crate::consul::Retry;
use crate::net::{Dialer, stopped};

/// Messages that are acknowledged at once.
const BATCH: usize = 100;

/// Runs until `stopping`. `begun` is told of each connection, before which messages may have been
/// lost; `deliver` gets every message, once for each time it comes.
pub(crate) async fn run(
    settings: Amqp,
    dialer: Dialer,
    instance: &str,
    mut wiring: Wiring,
    mut stopping: watch::Receiver<bool>,
    begun: impl Fn(),
    deliver: impl Fn(Incoming),
) {
    let queue = format!("gateway.{instance}");
    let mut retry = Retry::default();
    let mut turn = 0;
    while !*stopping.borrow() {
        let Some(broker) = settings.brokers.get(turn % settings.brokers.len().max(1)) else {
            return;
        };
        turn += 1;
        let trouble = match Link::open(&dialer, broker, &settings, &queue).await {
            Ok((link, consumer)) => {
                retry.reset();
                turn -= 1;
                begun();
                let ended = converse(&link, consumer, &mut wiring, &mut stopping, &deliver).await;
                wiring.bound.send_replace(Arc::default());
                match ended {
                    Ok(()) => return link.close().await,
                    Err(trouble) => trouble,
                }
            }
            Err(trouble) => trouble,
        };
        let pause = retry.after_failure(trouble.is_refusal());
        become_now(&wiring.state, BrokerState::Fails(trouble));
        // Who waits for a publish is told now: it may go by another gateway.
        while let Ok(order) = wiring.orders.try_recv() {
            drop(order);
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = stopped(&mut stopping) => {}
        }
    }
}

/// Until the connection fails, which is an error, or we stop.
async fn converse(
    link: &Link,
    mut consumer: Consumer,
    wiring: &mut Wiring,
    stopping: &mut watch::Receiver<bool>,
    deliver: &impl Fn(Incoming),
) -> Result<(), Trouble> {
    let mut bound = BTreeSet::new();
    let mut last = None;
    let mut unacked = 0;
    wiring.wanted.mark_changed();
    become_now(&wiring.state, BrokerState::Connected);
    loop {
        // What is there goes first, and is acknowledged together.
        let next = match consumer.next().now_or_never() {
            Some(next) => next,
            None => {
                if let Some(tag) = last.take() {
                    link.ack(tag).await?;
                    unacked = 0;
                }
                tokio::select! {
                    next = consumer.next() => next,
                    changed = wiring.wanted.changed() => {
                        if changed.is_err() {
                            return Ok(());
                        }
                        let wanted = Arc::clone(&wiring.wanted.borrow_and_update());
                        link.bind(&mut bound, &wanted).await?;
                        wiring.bound.send_replace(Arc::new(bound.clone()));
                        continue;
                    }
                    Some(Order { outgoing, done }) = wiring.orders.recv() => {
                        let sent = link.publish(&outgoing).await;
                        // Who asked may have stopped waiting.
                        let _ = done.send(sent.as_ref().is_ok_and(|taken| *taken));
                        sent?;
                        continue;
                    }
                    () = stopped(stopping) => return Ok(()),
                }
            }
        };
        let delivery = match next {
            Some(delivery) => delivery?,
            None => return Err(Trouble::Lost("the queue is gone".to_owned())),
        };
        last = Some(delivery.delivery_tag);
        unacked += 1;
        deliver(incoming(delivery));
        if unacked >= BATCH
            && let Some(tag) = last.take()
        {
            link.ack(tag).await?;
            unacked = 0;
        }
    }
}

fn become_now(state: &watch::Sender<BrokerState>, now: BrokerState) {
    state.send_if_modified(|before| {
        if *before == now {
            return false;
        }
        match &now {
            BrokerState::Fails(trouble) => tracing::warn!("RabbitMQ: {trouble}"),
            _ => tracing::info!("RabbitMQ: connected"),
        }
        *before = now;
        true
    });
}

fn incoming(delivery: Delivery) -> Incoming {
    let text = |name| header(&delivery.properties, name);
    let id = delivery.properties.message_id().as_ref();
    Incoming {
        name: text("name"),
        application: text("application_name"),
        eid: text("asterisk_id"),
        message_id: id.map(|id| id.as_str().to_owned()).unwrap_or_default(),
        is_synthetic: matches!(
            value(&delivery.properties, "synthetic"),
            Some(AMQPValue::Boolean(true))
        ),
        body: delivery.data,
    }
}

fn value<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

fn header(properties: &BasicProperties, name: &str) -> String {
    match value(properties, name) {
        Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        Some(AMQPValue::ShortString(text)) => text.to_string(),
        _ => String::new(),
    }
}
