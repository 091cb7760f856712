// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Tells of ends by the exchange, so that every gateway's sockets and every other consumer get them
//! by the way of all events. One gateway does it, by a lock; should it die at it, the next tells
//! what is left. All give an event the same id, by which a repeat is known.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::amqp::{self, BrokerState, Exchange, key};
use crate::events::Event;
use crate::holdings::{Ending, Notice};
use crate::peers::Locking;
use crate::proxy::Gateway;

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(200);
/// The longest wait for what another gateway has told to come to us too.
const ON_ITS_WAY: Duration = Duration::from_secs(3);
/// Events that the broker has not confirmed at one time.
const AT_ONCE: usize = 64;

/// Tells for as long as the process lives.
pub(crate) async fn tell(gateway: Arc<Gateway>, exchange: Exchange) {
    let mut state = exchange.state.clone();
    // It ends with the process.
    while state.wait_for(|state| *state == BrokerState::Connected).await.is_ok() {
        let endings = gateway.holdings.endings();
        let told = endings.iter().map(|ending| tell_one(&gateway, &exchange, ending));
        for (ending, told) in endings.iter().zip(join_all(told).await) {
            match told {
                Ok(count) if count > 0 => {
                    let eid = &ending.eid;
                    tracing::info!(node = eid, "node {eid}: {count} ends are told");
                    gateway.metrics.note_event("synthetic", count);
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(node = ending.eid, "its end is not told: {error}"),
            }
        }
        let is_over = gateway.holdings.endings().is_empty();
        tokio::select! {
            () = gateway.ended.notified() => {}
            () = sleep(AGAIN), if !is_over => {}
        }
    }
}

/// Gives the number of events it sent.
async fn tell_one(gateway: &Gateway, exchange: &Exchange, ending: &Ending) -> Result<u64, Locking> {
    let (eid, peers) = (&ending.eid, &gateway.peers);
    let lock = match peers.lock(&format!("gateway/lock/end/{eid}"), Duration::ZERO).await {
        Ok(lock) => lock,
        // What the other one tells comes to us too.
        Err(Locking::Taken) => return Ok(0),
        Err(error) => return Err(error),
    };
    let mark = format!("gateway/ended/{eid}");
    let is_told = peers.get(&mark).await?.is_some_and(|told| told.value == ending.boot.as_bytes());
    if is_told {
        come(gateway, ending).await;
    }
    let mut count = 0;
    let (hidden, notices): (Vec<Notice>, Vec<Notice>) =
        left(gateway, ending).into_iter().partition(|notice| is_hidden(gateway, eid, notice));
    for notice in hidden {
        gateway.holdings.told(&notice.message_id);
    }
    for some in notices.chunks(AT_ONCE) {
        let sent = some.iter().map(|notice| exchange.publish(outgoing(eid, notice)));
        for (notice, is_sent) in some.iter().zip(join_all(sent).await) {
            if is_sent {
                gateway.holdings.told(&notice.message_id);
                count += 1;
            }
        }
        if !lock.is_ours() {
            break;
        }
    }
    if !is_told && gateway.holdings.is_told(eid, &ending.boot) {
        peers.put(&mark, ending.boot.as_bytes()).await?;
    }
    lock.release().await;
    Ok(count)
}

/// Waits for what another gateway has told.
async fn come(gateway: &Gateway, ending: &Ending) {
    let steps = ON_ITS_WAY.as_millis() / AGAIN.as_millis();
    for _ in 0..steps {
        if gateway.holdings.is_told(&ending.eid, &ending.boot) {
            return;
        }
        sleep(AGAIN).await;
    }
}

/// Whether it is of a trunk, or of a bridge that lives on elsewhere.
fn is_hidden(gateway: &Gateway, eid: &str, notice: &Notice) -> bool {
    let incoming = amqp::Incoming {
        name: notice.name.to_owned(),
        application: notice.app.to_string(),
        eid: eid.to_owned(),
        message_id: notice.message_id.clone(),
        is_synthetic: true,
        body: notice.body.clone().into_bytes(),
    };
    let bridges = &gateway.bridges;
    Event::read(&incoming).is_some_and(|event| bridges.hides_event(&bridges.spans(), &event, true))
}

/// What is not told yet.
fn left(gateway: &Gateway, ending: &Ending) -> Vec<Notice> {
    let endings = gateway.holdings.endings();
    let same = endings.iter().filter(|one| one.eid == ending.eid && one.boot == ending.boot);
    same.flat_map(Ending::notices).collect()
}

fn outgoing(eid: &str, notice: &Notice) -> amqp::Outgoing {
    amqp::Outgoing {
        routing_key: key(&notice.app),
        name: notice.name.to_owned(),
        application: notice.app.to_string(),
        eid: eid.to_owned(),
        message_id: notice.message_id.clone(),
        body: notice.body.clone().into_bytes(),
    }
}
