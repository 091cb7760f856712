// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Getting the exchange that events go to.

use lapin::options::ExchangeDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Error, ExchangeKind};

use super::PublishSettings;
use super::message::short;
use crate::config::ExchangeType;

/// Makes sure of the exchange, as far as the configuration lets us. An error closes the channel,
/// as AMQP has it, and is the server's own text.
pub(super) async fn ensure(channel: &Channel, publish: &PublishSettings) -> Result<(), Error> {
    // The default exchange always exists and cannot be declared.
    if publish.exchange.is_empty() {
        return Ok(());
    }
    let kind = match publish.exchange_type {
        ExchangeType::Topic => ExchangeKind::Topic,
        ExchangeType::Headers => ExchangeKind::Headers,
        ExchangeType::Fanout => ExchangeKind::Fanout,
        ExchangeType::Direct => ExchangeKind::Direct,
    };
    let options = ExchangeDeclareOptions {
        durable: true,
        passive: !may_declare(publish),
        ..ExchangeDeclareOptions::default()
    };
    let name: ShortString = short(&publish.exchange);
    channel.exchange_declare(name, kind, options, FieldTable::default()).await
}

/// Names that begin with `amq.` are the server's.
fn may_declare(publish: &PublishSettings) -> bool {
    publish.declare_exchange && !publish.exchange.starts_with("amq.")
}
