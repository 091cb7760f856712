// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a pretender answers.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// An answer to one request; made by its functions, changed by its methods.
#[derive(Debug)]
pub struct Answer(pub(super) Kind);

pub(super) enum Kind {
    Http(Http),
    /// These bytes, and the end.
    Garbage(Vec<u8>),
    /// A status and headers for ever.
    EndlessHead,
    /// The end.
    Close,
    /// Nothing.
    Never,
    /// What this tells when it is asked again and again.
    Later(Box<dyn FnMut() -> Option<Answer> + Send>),
}

#[derive(Debug)]
pub(super) struct Http {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
    pub(super) framing: Framing,
    /// The time before each byte of the whole answer.
    pub(super) pace: Option<Duration>,
    /// After so many bytes of the body, the connection ends.
    pub(super) cut_after: Option<u64>,
}

#[derive(Debug)]
pub(super) enum Body {
    Bytes(Vec<u8>),
    /// So many bytes, none of which is held.
    Filler(u64),
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length,
    Chunked,
    UntilClose,
}

impl Answer {
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self(Kind::Http(Http {
            status,
            headers: Vec::new(),
            body: Body::Bytes(Vec::new()),
            framing: Framing::Length,
            pace: None,
            cut_after: None,
        }))
    }

    /// 200 and JSON.
    pub fn json(body: &Value) -> Self {
        Self::status(200).header("Content-Type", "application/json").body(body.to_string())
    }

    /// As Consul answers a query that may block: JSON with the index (200).
    pub fn consul(index: u64, body: &Value) -> Self {
        Self::json(body)
            .header("X-Consul-Index", &index.to_string())
            .header("X-Consul-KnownLeader", "true")
            .header("X-Consul-LastContact", "0")
    }

    /// 302 to another address.
    pub fn redirect(location: &str) -> Self {
        Self::status(302).header("Location", location)
    }

    /// 200 and a body of so many bytes, which are made as the client reads them.
    pub fn huge(bytes: u64) -> Self {
        let mut answer = Self::status(200);
        answer.http().body = Body::Filler(bytes);
        answer
    }

    /// These bytes as they are, and the end of the connection.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Kind::Garbage(bytes.into()))
    }

    /// 200, and headers until the client ends the connection.
    pub fn endless_head() -> Self {
        Self(Kind::EndlessHead)
    }

    /// The end of the connection, and no answer.
    pub fn close() -> Self {
        Self(Kind::Close)
    }

    /// No answer, until the client ends the connection.
    pub fn never() -> Self {
        Self(Kind::Never)
    }

    /// What `ready` gives: it is asked every few milliseconds until it gives something. A blocking
    /// query is one that waits for what the test does.
    pub fn later(ready: impl FnMut() -> Option<Answer> + Send + 'static) -> Self {
        Self(Kind::Later(Box::new(ready)))
    }

    /// With another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.http().status = status;
        self
    }

    /// With a header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.http().headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.http().body = Body::Bytes(body.into());
        self
    }

    /// In chunks, instead of a length.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.http().framing = Framing::Chunked;
        self
    }

    /// With no length: the body ends with the connection.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.http().framing = Framing::UntilClose;
        self
    }

    /// Each byte, of the head too, after this time.
    #[must_use]
    pub fn dripping(mut self, each: Duration) -> Self {
        self.http().pace = Some(each);
        self
    }

    /// Ends the connection after so many bytes of the body, whatever its length was told to be.
    #[must_use]
    pub fn cut_after(mut self, bytes: u64) -> Self {
        self.http().cut_after = Some(bytes);
        self
    }

    #[track_caller]
    fn http(&mut self) -> &mut Http {
        match &mut self.0 {
            Kind::Http(http) => http,
            other => panic!("{other:?} has no status, headers and body"),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => http.fmt(formatter),
            Self::Garbage(bytes) => formatter.debug_tuple("Garbage").field(bytes).finish(),
            Self::EndlessHead => formatter.write_str("EndlessHead"),
            Self::Close => formatter.write_str("Close"),
            Self::Never => formatter.write_str("Never"),
            Self::Later(_) => formatter.write_str("Later"),
        }
    }
}
