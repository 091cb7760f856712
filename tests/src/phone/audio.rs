// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a phone says, and what comes: RTP with µ-law, a packet each 20 ms, and RTCP (RFC 3550).

use std::net::UdpSocket;
use std::time::Duration;

use crate::ports;
use crate::tone;

/// Between two packets.
pub(super) const PACKET: Duration = Duration::from_millis(20);
const SAMPLES: u32 = 160;
const HEAD: usize = 12;
/// Packets between two reports: half a second.
const REPORT: u32 = 25;
/// How loud a phone's tone is: six of them together are not too loud.
const LOUDNESS: f64 = 0.1;

#[derive(Debug)]
pub(super) struct Audio {
    socket: UdpSocket,
    port: u16,
    tone: u32,
    sent: u32,
}

impl Audio {
    #[track_caller]
    pub(super) fn new(tone: u32) -> Self {
        let port = ports::free();
        let socket = UdpSocket::bind(("127.0.0.1", port));
        let socket = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        let socket = socket.unwrap_or_else(|error| panic!("port {port} for RTP: {error}"));
        Self { socket, port, tone, sent: 0 }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The next packet of the tone.
    pub(super) fn say(&mut self, to: u16) {
        let [number, start] = [self.sent, self.sent.wrapping_mul(SAMPLES)];
        let mut packet = vec![0x80, 0];
        packet.extend((number as u16).to_be_bytes());
        packet.extend(start.to_be_bytes());
        packet.extend(u32::from(self.port).to_be_bytes());
        let samples = (start..start.wrapping_add(SAMPLES))
            .map(|place| tone::to_ulaw(tone::sample(self.tone, LOUDNESS, place)));
        packet.extend(samples);
        self.sent = self.sent.wrapping_add(1);
        // What can't be sent is lost on the way, as it may be on any.
        let _ = self.socket.send_to(&packet, ("127.0.0.1", to));
        if self.sent.is_multiple_of(REPORT) {
            self.report(to);
        }
    }

    /// A sender's report, without a clock and without a word on what came. RTCP is one port higher.
    fn report(&self, to: u16) {
        let said = self.sent.wrapping_mul(SAMPLES);
        let mut packet = vec![0x80, 200, 0, 6];
        for word in [u32::from(self.port), 0, 0, said, self.sent, said] {
            packet.extend(word.to_be_bytes());
        }
        let _ = self.socket.send_to(&packet, ("127.0.0.1", to.wrapping_add(1)));
    }

    /// What has come since the last time.
    pub(super) fn hear(&self) -> Vec<i16> {
        let mut samples = Vec::new();
        let mut buffer = [0; 2048];
        while let Ok((count, _)) = self.socket.recv_from(&mut buffer) {
            let body = buffer.get(HEAD..count).unwrap_or_default();
            samples.extend(body.iter().copied().map(tone::from_ulaw));
        }
        samples
    }
}
