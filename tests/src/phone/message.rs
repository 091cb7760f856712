// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a phone says and hears over SIP.

/// A message as it came.
#[derive(Clone, Debug)]
pub(super) struct Message(pub(super) String);

impl Message {
    /// Of an answer, its status.
    pub(super) fn status(&self) -> Option<u16> {
        self.0.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// Of a request, its method; of an answer, that of its request.
    pub(super) fn method(&self) -> &str {
        let first = self.0.split(' ').next().unwrap_or_default();
        match self.status() {
            Some(_) => self.header("CSeq").split(' ').nth(1).unwrap_or_default(),
            None => first,
        }
    }

    /// The first header of a name; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers(name).first().copied().unwrap_or_default()
    }

    /// All headers of a name, in order, also where one line has several.
    pub(super) fn headers(&self, name: &str) -> Vec<&str> {
        let head = self.0.lines().take_while(|line| !line.is_empty());
        let of_name = head.filter_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.trim().eq_ignore_ascii_case(name).then_some(value)
        });
        of_name.flat_map(|value| value.split(',')).map(str::trim).collect()
    }

    /// The address in `Contact`.
    pub(super) fn contact(&self) -> &str {
        let contact = self.header("Contact");
        contact.split_once('<').and_then(|(_, rest)| rest.split('>').next()).unwrap_or(contact)
    }

    /// Whether another answer to the same request is of another call: another has given it.
    pub(super) fn begins_another(&self, other: &Self) -> bool {
        self.header("To") != other.header("To")
    }

    /// The call that this answer began, as another's `Refer-To` names what is to be replaced
    /// (RFC 3891): seen from the side that answered.
    pub(super) fn replaces(&self) -> String {
        let tag = |name| self.header(name).split_once(";tag=").map_or("", |(_, tag)| tag);
        let id = self.header("Call-ID");
        format!("Replaces={id}%3Bto-tag%3D{}%3Bfrom-tag%3D{}", tag("To"), tag("From"))
    }

    /// The port of the audio that it offers or takes.
    pub(super) fn audio_port(&self) -> Option<u16> {
        let line = self.0.lines().find_map(|line| line.strip_prefix("m=audio "))?;
        line.split(' ').next()?.parse().ok()
    }

    /// An answer to this request.
    pub(super) fn answered(&self, status: &str) -> String {
        let kept = ["via", "from", "to", "call-id", "cseq", "record-route"];
        let is_kept = |line: &&str| {
            line.split_once(':').is_some_and(|(name, _)| kept.contains(&&*name.to_lowercase()))
        };
        let lines = self.0.lines().take_while(|line| !line.is_empty()).filter(is_kept);
        let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
        format!("SIP/2.0 {status}\r\n{lines}Content-Length: 0\r\n\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn what_a_phone_needs_of_an_answer() {
        let answer = Message(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5;branch=z\r\n\
             Record-Route: <sip:127.0.0.1:1;lr>, <sip:127.0.0.1:2;lr>\r\n\
             CSeq: 1 INVITE\r\nCall-ID: one\r\nFrom: <sip:rig@127.0.0.1>;tag=ours\r\n\
             To: <sip:8000@127.0.0.1>;tag=theirs\r\n\
             Contact: <sip:127.0.0.1:5070>\r\nContent-Length: 9\r\n\r\nv=0\r\nm=audio 4000 RTP/AVP 0\r\n"
                .to_owned(),
        );
        assert_eq!((answer.status(), answer.method()), (Some(200), "INVITE"));
        assert_eq!((answer.contact(), answer.audio_port()), ("sip:127.0.0.1:5070", Some(4000)));
        assert_eq!(answer.replaces(), "Replaces=one%3Bto-tag%3Dtheirs%3Bfrom-tag%3Dours");
        let late = Message(answer.0.replace("theirs", "another's"));
        assert!(answer.begins_another(&late) && !answer.begins_another(&answer.clone()));
        let ways = answer.headers("record-route");
        assert_eq!(ways, ["<sip:127.0.0.1:1;lr>", "<sip:127.0.0.1:2;lr>"]);
    }

    #[test]
    fn an_answer_has_what_its_request_had() {
        let bye = Message("BYE sip:me SIP/2.0\r\nVia: a\r\nFrom: b\r\nX: c\r\n\r\n".to_owned());
        assert_eq!((bye.status(), bye.method()), (None, "BYE"));
        let wanted = "SIP/2.0 200 OK\r\nVia: a\r\nFrom: b\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(bye.answered("200 OK"), wanted);
    }
}
