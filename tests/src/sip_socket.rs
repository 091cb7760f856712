// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! SIP by hand, over UDP: for what no phone would send, and to see what comes.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A socket on 127.0.0.1.
#[derive(Debug)]
pub struct SipSocket {
    socket: UdpSocket,
    port: u16,
}

impl Default for SipSocket {
    fn default() -> Self {
        Self::new()
    }
}

impl SipSocket {
    /// One on any port.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0");
        let socket = socket.unwrap_or_else(|error| panic!("a socket: {error}"));
        let port = socket.local_addr().map(|address| address.port()).unwrap_or_default();
        Self { socket, port }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A request with all it needs, and `more` header lines (each with its end).
    pub fn request(&self, method: &str, uri: &str, more: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = self.port;
        // A header of `more` stands for its own.
        let own = [
            ("To", format!("<{uri}>")),
            ("Max-Forwards", "70".to_owned()),
            ("CSeq", format!("1 {method}")),
        ];
        let own = own.iter().filter(|(name, _)| !more.contains(&format!("{name}: ")));
        let own: String = own.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-rig-{port}-{number};rport\r\n\
             From: <sip:rig@127.0.0.1:{port}>;tag=rig{number}\r\nCall-ID: rig-{port}-{number}\r\n\
             Contact: <sip:rig@127.0.0.1:{port}>\r\n{own}{more}Content-Length: 0\r\n\r\n"
        )
    }

    /// Sends a text to a port.
    ///
    /// # Panics
    ///
    /// When it can't.
    #[track_caller]
    pub fn send(&self, port: u16, text: &str) {
        let sent = self.socket.send_to(text.as_bytes(), ("127.0.0.1", port));
        sent.unwrap_or_else(|error| panic!("to port {port}: {error}"));
    }

    /// The next message, if one comes `within`.
    ///
    /// # Panics
    ///
    /// When the socket is broken.
    #[track_caller]
    pub fn receive(&self, within: Duration) -> Option<String> {
        let mut buffer = vec![0; 65536];
        self.socket
            .set_read_timeout(Some(within))
            .unwrap_or_else(|error| panic!("the socket: {error}"));
        let (count, _) = self.socket.recv_from(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..count]).into_owned())
    }

    /// The next message that begins so; others are let fall.
    pub fn receive_that(&self, beginning: &str, within: Duration) -> Option<String> {
        let until = Instant::now() + within;
        loop {
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            let message = self.receive(left?)?;
            if message.starts_with(beginning) {
                return Some(message);
            }
        }
    }

    /// Sends a request and gives the status of its first final answer.
    ///
    /// # Panics
    ///
    /// When none comes within 10 s.
    #[track_caller]
    pub fn status(&self, port: u16, request: &str) -> u16 {
        self.send(port, request);
        loop {
            let answer = self.receive(Duration::from_secs(10));
            let answer = answer.unwrap_or_else(|| panic!("no answer to {request}"));
            let status =
                answer.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse().ok());
            if let Some(status @ 200..) = status {
                return status;
            }
        }
    }

    /// Answers a request with this status, as whoever it was sent to.
    pub fn answer(&self, request: &str, status: &str, to_port: u16) {
        let port = self.port;
        let kept = ["Via:", "From:", "Call-ID:", "CSeq:", "Record-Route:"];
        let is_kept = |line: &&str| kept.iter().any(|name| line.starts_with(name));
        let mut text = format!("SIP/2.0 {status}\r\n");
        for line in request.lines().filter(is_kept) {
            text += &format!("{line}\r\n");
        }
        let to = request.lines().find(|line| line.starts_with("To:")).unwrap_or_default();
        let tag = if to.contains(";tag=") { "" } else { ";tag=answers" };
        text += &format!("{to}{tag}\r\nContact: <sip:node@127.0.0.1:{port}>\r\n");
        self.send(to_port, &(text + "Content-Length: 0\r\n\r\n"));
    }
}
