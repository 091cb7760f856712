// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The catalogue against Asterisk's own files, and every operation's way.

mod catalogue;
mod routes;
