// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! From an endpoint to a connection that is up: the AMQP handshake, and lapin's thread with it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_rs::Runtime;
use lapin::types::ShortString;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, Error};
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::dial::{Socket, dial};
use super::failure::{Kind, Trouble};
use super::gate::Gate;
use super::greeting::{Greeting, ServerName};
use super::kit::Kit;
use super::link::Link;
use super::roots::Roots;
use super::stream::Stream;
use super::threads::Trace;
use crate::config::ConnectionSettings;
use crate::endpoint::Endpoint;

/// lapin's buffers are 64 times this, so no peer and no typing error may choose it freely.
const FRAME_BYTES: std::ops::RangeInclusive<u32> = 8192..=1024 * 1024;

/// Publishing, declaring and sending tests need a handful at one time, but each that the server
/// closes costs a number for good ([`Link::is_worn`]). RabbitMQ allows that many by default.
const MOST_CHANNELS: u16 = 2047;

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
        let (greeting, gate) = (Greeting::new(server.clone()), Gate::default());
        let stream = Stream::new(dialled.transport, greeting, gate.clone(), thread.lifeline());
        roots.threads.push(thread.clone());
        let mut given_up = GivenUp(Some(dialled.socket));

        let stream = Mutex::new(Some(stream));
        let (io_thread, enrol) = (thread.clone(), roots.enrol);
        let hand_over = async move |_: AMQPUri, _: Runtime<Kit>| {
            io_thread.this_thread("lapin-io-loop", enrol);
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            // lapin asks a second time only to connect again, which is the worker's business.
            stream
                .map(AsyncTcpStream::Plain)
                .ok_or_else(|| Error::from(io::Error::from(io::ErrorKind::NotConnected)))
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
            closed_channels: 0,
            errands: JoinSet::new(),
            socket,
            gate,
            thread,
        })
    }
}

fn uri(endpoint: &Endpoint, settings: &ConnectionSettings) -> Result<AMQPUri, Trouble> {
    // lapin panics on a longer one.
    if ShortString::try_new(endpoint.vhost.as_str()).is_err() {
        return Err(Trouble::new(Kind::VhostRefused, "the vhost's name is longer than 255 bytes"));
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
