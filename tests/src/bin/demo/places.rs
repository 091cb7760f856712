// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where the servers listen, on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use rig::ports;

/// The ports that people use; all others are any.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    pub(crate) sip: u16,
    pub(crate) gateway: u16,
    pub(crate) consul: u16,
    pub(crate) amqp: u16,
    pub(crate) management: u16,
}

impl Places {
    /// Any that are free: for servers that nobody else is to find.
    pub(crate) fn any() -> Self {
        let [sip, gateway, consul, amqp, management] = [(); 5].map(|()| ports::free());
        Self { sip, gateway, consul, amqp, management }
    }

    /// Those that are usual, or that the environment names. `Err` says which can't be had.
    pub(crate) fn known() -> Result<Self, String> {
        let free = |name: &str, what: &str, usual: u16| {
            let port = match std::env::var(name) {
                Ok(text) if !text.is_empty() => text
                    .parse()
                    .ok()
                    .filter(|port| *port > 0)
                    .ok_or_else(|| format!("{name}={text}: no port"))?,
                _ => usual,
            };
            let place = (Ipv4Addr::LOCALHOST, port);
            let tried = TcpListener::bind(place).and_then(|_| UdpSocket::bind(place));
            match tried {
                Ok(_) => Ok(port),
                Err(error) => Err(format!(
                    "port {port}, for {what}: {error}. End what listens there, or name another: \
                     make up {name}=…"
                )),
            }
        };
        Ok(Self {
            sip: free("SIP_PORT", "Kamailio", 5060)?,
            gateway: free("GATEWAY_PORT", "the gateway", 8088)?,
            consul: free("CONSUL_PORT", "Consul", 8500)?,
            amqp: free("AMQP_PORT", "RabbitMQ", 5672)?,
            management: free("RABBITMQ_PORT", "RabbitMQ's web page", 15672)?,
        })
    }
}
