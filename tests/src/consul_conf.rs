// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The configuration of the Consul modules.

use std::collections::BTreeMap;

/// `consul.conf`, option by option.
#[derive(Clone, Debug)]
#[must_use]
pub struct ConsulConf {
    sections: BTreeMap<&'static str, BTreeMap<String, String>>,
    more: String,
}

impl ConsulConf {
    /// The least there must be to register with the agent on this port; all else is default.
    pub fn new(port: u16) -> Self {
        Self { sections: BTreeMap::new(), more: String::new() }
            .consul("port", &port.to_string())
            .discovery("discovery_ip", "127.0.0.1")
    }

    /// Sets an option of the connection.
    pub fn consul(self, name: &str, value: &str) -> Self {
        self.with("consul", name, value)
    }

    /// Sets an option of the node as a service.
    pub fn discovery(self, name: &str, value: &str) -> Self {
        self.with("discovery", name, value)
    }

    /// Sets an option of the applications.
    pub fn stasis_app(self, name: &str, value: &str) -> Self {
        self.with("stasis_app", name, value)
    }

    /// Sets an option of any section.
    pub fn with(mut self, section: &'static str, name: &str, value: &str) -> Self {
        self.sections.entry(section).or_default().insert(name.to_owned(), value.to_owned());
        self
    }

    /// Text at the end of the file.
    pub fn more(mut self, text: &str) -> Self {
        self.more.push_str(text);
        self
    }

    /// The file.
    pub fn text(&self) -> String {
        let section = |(name, options): (&&str, &BTreeMap<String, String>)| {
            let lines = options.iter().map(|(name, value)| format!("{name} = {value}\n"));
            format!("[{name}]\n{}\n", lines.collect::<String>())
        };
        let sections: String = self.sections.iter().map(section).collect();
        format!("[general]\nenabled = yes\n\n{sections}{}", self.more)
    }
}
