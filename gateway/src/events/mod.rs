// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Events: from the broker's queue to what is known, and to the clients' sockets.

mod event;
mod feed;
mod handshake;
mod hub;
mod learn;
mod repeats;
mod rest;
mod share;
mod socket;

pub(crate) use event::{Event, run_of};
pub(crate) use feed::Feed;
pub(crate) use handshake::{Sockets, open};
pub(crate) use hub::Hub;
pub(crate) use share::{Counts, announce, follow, seen};
pub(crate) use socket::FAREWELL;
