// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The rig: real servers for tests and the demo.
//!
//! A server is a value: it starts when it is made, and it is killed and waited for when it is
//! dropped, however the test ends. Each has its own folder and ports, listens on 127.0.0.1 only,
//! and runs inside one of the Debian roots that `tests/rig/provision.sh` makes ([`root`]).
//!
//! What the rig can't do, it panics with: a sentence that says what was wanted and the last thing
//! seen. Every wait has a deadline.

pub mod ami;
pub mod amqp_conf;
pub mod app;
pub mod ari;
pub mod asterisk;
pub mod black_hole;
pub mod browser;
pub mod c_module;
pub mod certificates;
pub mod client;
pub mod consul;
pub mod consul_conf;
pub mod consumer;
pub mod folder;
pub mod gateway;
pub mod ground;
pub mod kamailio;
pub mod phone;
pub mod ports;
pub mod pretender;
pub mod process;
pub mod program;
pub mod proxy;
pub mod rabbitmq;
pub mod references;
pub mod request;
pub mod root;
mod server;
pub mod sip;
pub mod sip_socket;
pub mod tone;
pub mod valgrind;
pub mod wait;

pub use ami::Ami;
pub use amqp_conf::AmqpConf;
pub use app::App;
pub use ari::{Ari, AriEvents, Reply};
pub use asterisk::{Asterisk, Builder, Version};
pub use black_hole::BlackHole;
pub use consul::{Consul, ConsulBuilder};
pub use consul_conf::ConsulConf;
pub use consumer::{Consumer, Message};
pub use gateway::Gateway;
pub use ground::Ground;
pub use kamailio::{Dispatcher, Kamailio};
pub use phone::Phone;
pub use pretender::{Answer, Pretender};
pub use proxy::{Network, Proxy, Towards};
pub use rabbitmq::{Broker, Tenant};
pub use request::Request;
pub use sip::Call;
pub use sip_socket::SipSocket;
pub use wait::{eventually, poll, seconds};
