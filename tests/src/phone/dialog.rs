// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The requests of one call.

use std::sync::atomic::{AtomicU32, Ordering};

use super::message::Message;

/// The number of the last request in a call.
const END: u32 = 3;

/// A call to a number at a proxy on 127.0.0.1.
#[derive(Debug)]
pub(super) struct Dialog {
    own_port: u16,
    number: String,
    proxy: u16,
    id: String,
    audio_port: u16,
}

impl Dialog {
    pub(super) fn new(own_port: u16, number: &str, proxy: u16, audio_port: u16) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number_of_all = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("phone-{}-{number_of_all}", std::process::id());
        Self { own_port, number: number.to_owned(), proxy, id, audio_port }
    }

    pub(super) fn invite(&self) -> String {
        let own = self.own_port;
        let body = format!(
            "v=0\r\no=rig 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n",
            self.audio_port
        );
        let to = format!("<{}>", self.target());
        let more = format!(
            "Contact: <sip:rig@127.0.0.1:{own}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.request(("INVITE", 1), "first", &self.target(), &to, &more)
    }

    /// Of an answer to the INVITE: the call's begin, or the end of a try.
    pub(super) fn ack(&self, answer: &Message) -> String {
        match answer.status() {
            Some(200..300) => self.within(("ACK", 1), "ack", answer, ""),
            // It belongs to the INVITE itself, and so has its branch.
            _ => {
                let none = "Content-Length: 0\r\n\r\n";
                self.request(("ACK", 1), "first", &self.target(), answer.header("To"), none)
            }
        }
    }

    /// Sends the other side of the call that this answer began to another address (RFC 3515).
    pub(super) fn refer(&self, answer: &Message, to: &str) -> String {
        let own = self.own_port;
        let more = format!(
            "Contact: <sip:rig@127.0.0.1:{own}>\r\nRefer-To: <{to}>\r\n\
             Referred-By: <sip:rig@127.0.0.1:{own}>\r\n"
        );
        self.within(("REFER", 2), "refer", answer, &more)
    }

    /// The end of the call that this answer began.
    pub(super) fn bye(&self, answer: &Message) -> String {
        self.within(("BYE", END), "bye", answer, "")
    }

    /// Whether this answers the BYE of the call, and not that of one more.
    pub(super) fn is_of_end(answer: &Message) -> bool {
        answer.header("CSeq") == format!("{END} BYE")
    }

    /// The end of one more call that the same INVITE began (RFC 3261, 13.2.2.4): a node was passed over
    /// for being slow, and has answered after all.
    pub(super) fn bye_late(&self, answer: &Message) -> String {
        self.within(("BYE", 2), "late", answer, "")
    }

    /// The way of a call is that of its answer, backwards (RFC 3261, 12.1.2).
    fn within(&self, cseq: (&str, u32), branch: &str, answer: &Message, more: &str) -> String {
        let ways = answer.headers("Record-Route");
        let ways: String = ways.iter().rev().map(|way| format!("Route: {way}\r\n")).collect();
        let more = format!("{ways}{more}Content-Length: 0\r\n\r\n");
        self.request(cseq, branch, answer.contact(), answer.header("To"), &more)
    }

    fn request(
        &self,
        (method, number): (&str, u32),
        branch: &str,
        uri: &str,
        to: &str,
        more: &str,
    ) -> String {
        let (own, id) = (self.own_port, &self.id);
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK-{id}-{branch};rport\r\n\
             From: <sip:rig@127.0.0.1:{own}>;tag={id}\r\nTo: {to}\r\nCall-ID: {id}\r\n\
             CSeq: {number} {method}\r\nMax-Forwards: 70\r\n{more}"
        )
    }

    fn target(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.number, self.proxy)
    }
}
