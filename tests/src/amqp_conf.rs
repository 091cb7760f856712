// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The configuration of `res_stasis_amqp`.

use std::collections::BTreeMap;

/// `amqp.conf`, option by option.
#[derive(Clone, Debug)]
#[must_use]
pub struct AmqpConf {
    connection: BTreeMap<String, String>,
    stasis: BTreeMap<String, String>,
    more: String,
}

impl AmqpConf {
    /// The least there must be; all else is default.
    pub fn new(url: &str) -> Self {
        let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            connection: BTreeMap::from([option("type", "connection"), option("url", url)]),
            stasis: BTreeMap::from([option("type", "stasis"), option("connection", "bunny")]),
            more: String::new(),
        }
    }

    /// Sets an option of the connection.
    pub fn connection(mut self, name: &str, value: &str) -> Self {
        self.connection.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets an option of the publishing.
    pub fn stasis(mut self, name: &str, value: &str) -> Self {
        self.stasis.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Text at the end of the file.
    pub fn more(mut self, text: &str) -> Self {
        self.more.push_str(text);
        self
    }

    /// The file.
    pub fn text(&self) -> String {
        let section = |name: &str, options: &BTreeMap<String, String>| {
            let lines = options.iter().map(|(name, value)| format!("{name} = {value}\n"));
            format!("[{name}]\n{}\n", lines.collect::<String>())
        };
        format!(
            "[general]\nenabled = yes\n\n{}{}{}",
            section("bunny", &self.connection),
            section("stasis", &self.stasis),
            self.more
        )
    }
}
