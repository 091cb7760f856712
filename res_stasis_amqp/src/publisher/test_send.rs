// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `amqp test send`: one message to one queue, with the server's word on whether it arrived.

use std::sync::Arc;
use std::time::Instant;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation, Connection, Error};
use tokio::time::timeout_at;

use super::message::short;
use super::orders::TestSend;

/// Sends it on a channel of its own, so that what the server says to it concerns nothing else.
pub(super) async fn run(connection: Arc<Connection>, send: TestSend) {
    let TestSend { queue, message, deadline, answer } = send;
    let Ok(key) = ShortString::try_new(queue.as_str()) else {
        return answer.give(Err("the queue's name is longer than 255 bytes".into()));
    };
    if deadline <= Instant::now() {
        return answer.give(Err("the server was not asked in time".into()));
    }
    answer.give(match timeout_at(deadline.into(), publish(&connection, key, &message)).await {
        // The default exchange routes by queue name, so what comes back had no queue to go to.
        Ok(Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)))) => {
            Err(format!("no such queue: {queue}"))
        }
        Ok(Ok(Confirmation::Ack(None))) => Ok(()),
        Ok(Ok(Confirmation::Nack(None))) => Err(format!("queue {queue} refused the message")),
        Ok(Ok(Confirmation::NotRequested)) => Err("the server gave no confirm".into()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the server did not confirm in time".into()),
    });
}

async fn publish(
    connection: &Connection,
    key: ShortString,
    message: &str,
) -> Result<Confirmation, Error> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default()
        .with_content_type(short("text/plain"))
        .with_app_id(short("asterisk"));
    let confirm = channel
        .basic_publish(ShortString::default(), key, options, message.as_bytes(), properties)
        .await?;
    confirm.await
}
