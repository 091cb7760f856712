// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What becomes of endpoints and devices, and what they write.

use rig::{Asterisk, Builder, SipSocket};

use super::told::Witness;

pub(super) fn furnish(builder: Builder) -> Builder {
    builder
        .load("res_manager_devicestate")
        .load("res_pjsip_registrar")
        .load("res_pjsip_messaging")
        .append(
            "pjsip.conf",
            "[rig]\ntype = endpoint\ncontext = default\ndisallow = all\nallow = ulaw\n\
             direct_media = no\naors = rig\n[rig]\ntype = aor\nmax_contacts = 1\n",
        )
}

/// A device whose state is what a client says.
pub(super) fn devices(asterisk: &Asterisk, witness: &Witness) {
    for state in ["INUSE", "RINGINUSE"] {
        let path = format!("/deviceStates/Stasis:odd%22?deviceState={state}");
        assert_eq!(asterisk.ari().request("PUT", &path, None).status, 204);
        witness.hears(&format!("\"name\":\"Stasis:odd\\\"\",\"state\":\"{state}\""));
    }
}

/// A phone that has registered as the endpoint `rig`.
pub(super) struct Registered<'a> {
    asterisk: &'a Asterisk,
    socket: SipSocket,
}

impl<'a> Registered<'a> {
    pub(super) fn new(asterisk: &'a Asterisk) -> Self {
        let phone = Self { asterisk, socket: SipSocket::new() };
        phone.register(60);
        phone
    }

    pub(super) fn end(self) {
        self.register(0);
    }

    fn register(&self, expires: u32) {
        let port = self.asterisk.sip_port();
        let more = format!("To: <sip:rig@127.0.0.1>\r\nExpires: {expires}\r\n");
        let request = self.socket.request("REGISTER", &format!("sip:127.0.0.1:{port}"), &more);
        assert_eq!(self.socket.status(port, &request), 200);
    }

    /// Sends a text to nobody in particular.
    fn write(&self, text: &str) {
        let port = self.asterisk.sip_port();
        let head = "Content-Type: text/plain;charset=UTF-8\r\nX-Odd: a: \"b\"; c\r\n";
        let message = self.socket.request("MESSAGE", &format!("sip:reader@127.0.0.1:{port}"), head);
        let length = format!("Content-Length: {}\r\n\r\n{text}", text.len());
        let message = message.replace("Content-Length: 0\r\n\r\n", &length);
        assert_eq!(self.socket.status(port, &message), 202);
    }
}

/// A phone registers, writes a text to whoever reads it, and goes.
pub(super) fn a_phone_registers_and_writes(asterisk: &Asterisk, witness: &Witness) {
    let phone = Registered::new(asterisk);
    witness.hears("\"peer_status\":\"Reachable\"");
    phone.write("Grüße, \"you\" \\ there");
    witness.hears_of("TextMessageReceived");
    phone.end();
    witness.hears("\"peer_status\":\"Unreachable\"");
}
