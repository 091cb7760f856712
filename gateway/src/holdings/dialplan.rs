// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where a channel is in the dialplan, as its snapshot says.

use serde::Deserialize;

/// `dialplan` of a channel.
#[derive(Deserialize, Default)]
pub(crate) struct Dialplan {
    #[serde(default)]
    app_name: String,
    #[serde(default)]
    app_data: String,
}

impl Dialplan {
    /// The application that the channel is in.
    pub(crate) fn controller(&self) -> Option<&str> {
        (self.app_name == "Stasis").then(|| self.app_data.split(',').next())?
    }
}
