// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The end of a node: that it is over, and that each application is told so once, by one gateway.

mod tell;
mod verdict;

pub(crate) use tell::tell;
pub(crate) use verdict::watch;
