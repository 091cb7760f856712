// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! RabbitMQ: what the nodes publish comes in by a queue of this process, and what a gateway itself
//! has to tell goes out.

mod failure;
#[path = "../../../res_stasis_amqp/src/publisher/kit.rs"]
mod kit;
mod link;
mod run;
mod stream;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use failure::Trouble;
pub(crate) use link::key;
pub(crate) use run::run;

/// Orders that wait for the connection.
const ORDERS: usize = 1024;

/// How it stands with the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BrokerState {
    /// Nothing has come of it yet.
    Unknown,
    /// The queue is there and is read.
    Connected,
    Fails(Trouble),
}

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub name: String,
    pub application: String,
    pub eid: String,
    pub message_id: String,
    pub is_synthetic: bool,
    pub body: Vec<u8>,
}

/// Something to be published.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub routing_key: String,
    pub name: String,
    pub application: String,
    pub eid: String,
    pub message_id: String,
    pub body: Vec<u8>,
}

/// Publishes it, and says whether the broker has it.
pub(super) struct Order {
    outgoing: Outgoing,
    done: oneshot::Sender<bool>,
}

/// What others have of the connection.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    orders: mpsc::Sender<Order>,
    pub state: watch::Receiver<BrokerState>,
    /// The applications whose events come.
    pub bound: watch::Receiver<Arc<BTreeSet<String>>>,
}

/// The connection's own side of that.
pub(crate) struct Wiring {
    orders: mpsc::Receiver<Order>,
    state: watch::Sender<BrokerState>,
    bound: watch::Sender<Arc<BTreeSet<String>>>,
    /// The applications whose events are wanted.
    wanted: watch::Receiver<Arc<BTreeSet<String>>>,
}

impl Exchange {
    /// Both sides.
    pub(crate) fn new(wanted: watch::Receiver<Arc<BTreeSet<String>>>) -> (Self, Wiring) {
        let (orders, taken) = mpsc::channel(ORDERS);
        let (state, seen) = watch::channel(BrokerState::Unknown);
        let (bound, is_bound) = watch::channel(Arc::default());
        let wiring = Wiring { orders: taken, state, bound, wanted };
        (Self { orders, state: seen, bound: is_bound }, wiring)
    }

    /// Whether the broker has it, which it has not for sure otherwise.
    pub(crate) async fn publish(&self, outgoing: Outgoing) -> bool {
        let (done, told) = oneshot::channel();
        let order = Order { outgoing, done };
        self.orders.send(order).await.is_ok() && told.await.unwrap_or(false)
    }
}
