// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A TCP port between a node and its broker, to be shut, opened and cut, which is quicker than
//! stopping a broker that other tests use.

use rig::{Network, Proxy, Towards, ports};

/// Shut at first: nothing listens on the port.
pub(crate) struct Gate {
    proxy: Proxy,
    target: u16,
    network: Network,
}

impl Gate {
    /// A gate in front of a port of 127.0.0.1.
    pub(crate) fn to(target: u16) -> Self {
        Self::new(target, Network::good())
    }

    /// A peer that, once open, accepts and says nothing.
    pub(crate) fn silent() -> Self {
        Self::new(ports::free(), Network::good().cut(Towards::Server).cut(Towards::Client))
    }

    fn new(target: u16, network: Network) -> Self {
        let proxy = Proxy::to(target);
        proxy.refuse();
        Self { proxy, target, network }
    }

    pub(crate) fn port(&self) -> u16 {
        self.proxy.port()
    }

    /// `url` of the port behind it, led through the gate.
    pub(crate) fn url(&self, url: &str) -> String {
        let through = url.replace(&format!(":{}/", self.target), &format!(":{}/", self.port()));
        assert_ne!(through, url, "no port {} in {url}", self.target);
        through
    }

    pub(crate) fn open(&self) {
        self.proxy.be(self.network);
    }

    /// Is such a network until it is opened again.
    pub(crate) fn be(&self, network: Network) {
        self.proxy.be(network);
    }

    /// How many bytes have gone to the server.
    pub(crate) fn passed(&self) -> u64 {
        self.proxy.passed()
    }

    /// Ends all connections, and takes no more.
    pub(crate) fn shut(&self) {
        self.proxy.refuse();
        self.proxy.cut();
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.proxy.cut();
    }

    /// How many connections there have been.
    pub(crate) fn accepted(&self) -> usize {
        self.proxy.connections()
    }
}
