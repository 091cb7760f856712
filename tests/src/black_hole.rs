// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A port that swallows connects.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::net::listen;

use crate::ports;

/// A port of 127.0.0.1 where a connect hangs: something listens, and its queue is full.
#[derive(Debug)]
pub struct BlackHole {
    port: u16,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    /// Fills it until a connect has hung.
    ///
    /// # Panics
    ///
    /// When none hangs.
    #[track_caller]
    pub fn new() -> Self {
        let port = ports::free();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .unwrap_or_else(|error| panic!("the black hole, port {port}: {error}"));
        listen(&listener, 0).unwrap_or_else(|error| panic!("the black hole, port {port}: {error}"));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut queued = Vec::new();
        while queued.len() < 32 {
            match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                Ok(stream) => queued.push(stream),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Self { port, _listener: listener, _queued: queued };
                }
                Err(error) => panic!("the black hole, port {port}: {error}"),
            }
        }
        panic!("the black hole, port {port}, takes {} connections", queued.len());
    }

    /// The port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Default for BlackHole {
    fn default() -> Self {
        Self::new()
    }
}
