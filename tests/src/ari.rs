// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A client of Asterisk's REST interface and of its event websocket.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};
use ureq::http::Request;

use crate::wait::seconds;

/// ARI as one user.
#[derive(Clone, Debug)]
pub struct Ari {
    agent: ureq::Agent,
    port: u16,
    user: String,
    password: String,
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body; `Null` when there is none, a string when it is no JSON.
    pub body: Value,
}

impl Reply {
    /// The body of a successful answer.
    ///
    /// # Panics
    ///
    /// When the status is no 2xx.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "HTTP status {}: {}", self.status, self.body);
        self.body
    }
}

impl Ari {
    /// The client of the server on this port of 127.0.0.1.
    pub fn new(port: u16, user: &str, password: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(seconds(30)))
            .proxy(None)
            .build()
            .into();
        Self { agent, port, user: user.to_owned(), password: password.to_owned() }
    }

    /// The address of a path below `/ari`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/ari{path}", self.port)
    }

    /// Its user and password, for a person's own client.
    pub fn login(&self) -> (&str, &str) {
        (&self.user, &self.password)
    }

    /// `GET /ari<path>`
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, None)
    }

    /// `POST /ari<path>`
    #[track_caller]
    pub fn post(&self, path: &str) -> Reply {
        self.request("POST", path, None)
    }

    /// `POST /ari<path>` with a JSON body.
    #[track_caller]
    pub fn post_json(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path, Some(body))
    }

    /// `PUT /ari<path>` with a JSON body.
    #[track_caller]
    pub fn put_json(&self, path: &str, body: &Value) -> Reply {
        self.request("PUT", path, Some(body))
    }

    /// `DELETE /ari<path>`
    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path, None)
    }

    /// Any request.
    ///
    /// # Panics
    ///
    /// When there is no HTTP answer within 30 s; see [`Ari::try_request`].
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.try_request(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {}: {error}", self.url(path)))
    }

    /// Any request, to a server that may be gone.
    ///
    /// # Errors
    ///
    /// When there is no HTTP answer.
    pub fn try_request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ureq::Error> {
        http(&self.agent, method, &self.url(path), (&self.user, &self.password), body)
    }

    /// Opens the event websocket as application `app` (several: comma separated).
    ///
    /// # Panics
    ///
    /// When Asterisk refuses.
    #[track_caller]
    pub fn events(&self, app: &str) -> AriEvents {
        AriEvents::open(self, &format!("app={app}"))
    }

    /// Opens the event websocket with any query.
    ///
    /// # Panics
    ///
    /// When Asterisk refuses.
    #[track_caller]
    pub fn events_with(&self, query: &str) -> AriEvents {
        AriEvents::open(self, query)
    }
}

/// One request with basic authentication; shared with RabbitMQ's client.
pub(crate) fn http(
    agent: &ureq::Agent,
    method: &str,
    url: &str,
    (user, password): (&str, &str),
    body: Option<&Value>,
) -> Result<Reply, ureq::Error> {
    let login = format!("Basic {}", base64(format!("{user}:{password}").as_bytes()));
    http_with(agent, method, url, ("Authorization", &login), body)
}

/// One request with a header; shared with Consul's client.
pub(crate) fn http_with(
    agent: &ureq::Agent,
    method: &str,
    url: &str,
    (name, value): (&str, &str),
    body: Option<&Value>,
) -> Result<Reply, ureq::Error> {
    let request = Request::builder().method(method).uri(url).header(name, value);
    let mut answer = match body {
        Some(body) => {
            agent.run(request.header("Content-Type", "application/json").body(body.to_string())?)?
        }
        // Asterisk and RabbitMQ want a length with every POST and PUT.
        None if matches!(method, "POST" | "PUT") => agent.run(request.body(String::new())?)?,
        None => agent.run(request.body(())?)?,
    };
    let text = answer.body_mut().with_config().limit(256 << 20).read_to_string()?;
    let body = match text.as_str() {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    };
    Ok(Reply { status: answer.status().as_u16(), body })
}

/// Events from the websocket, gathered in the background.
#[derive(Debug)]
pub struct AriEvents {
    incoming: Receiver<Value>,
    closing: Arc<Mutex<Option<TcpStream>>>,
}

impl AriEvents {
    #[track_caller]
    fn open(ari: &Ari, query: &str) -> Self {
        let key = base64(format!("{}:{}", ari.user, ari.password).as_bytes());
        let url = format!("ws://127.0.0.1:{}/ari/events?{query}", ari.port);
        let stream = TcpStream::connect(("127.0.0.1", ari.port))
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        let closing = stream.try_clone().unwrap_or_else(|error| panic!("{url}: {error}"));
        let mut request =
            url.as_str().into_client_request().unwrap_or_else(|error| panic!("{url}: {error}"));
        let login = format!("Basic {key}").parse().expect("base64 makes a valid header");
        request.headers_mut().insert("Authorization", login);
        let (socket, _) =
            tungstenite::client(request, stream).unwrap_or_else(|error| panic!("{url}: {error}"));
        let (sender, incoming) = channel();
        thread::spawn(move || gather(socket, &sender));
        Self { incoming, closing: Arc::new(Mutex::new(Some(closing))) }
    }

    /// The next event.
    ///
    /// # Panics
    ///
    /// When none comes `within`, or the websocket has ended.
    #[track_caller]
    pub fn next(&self, within: Duration) -> Value {
        match self.incoming.recv_timeout(within) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => panic!("no ARI event within {within:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the ARI websocket has ended"),
        }
    }

    /// The next event of this type; the others before it are dropped.
    ///
    /// # Panics
    ///
    /// When none comes `within`, with the types that came instead.
    #[track_caller]
    pub fn next_of(&self, kind: &str, within: Duration) -> Value {
        let deadline = Instant::now() + within;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.incoming.recv_timeout(left) {
                Ok(event) if event["type"] == kind => return event,
                Ok(event) => seen.push(event["type"].as_str().unwrap_or("?").to_owned()),
                Err(error) => {
                    panic!("no ARI event {kind} within {within:?} ({error}); seen: {seen:?}")
                }
            }
        }
    }

    /// What has come so far.
    pub fn drain(&self) -> Vec<Value> {
        self.incoming.try_iter().collect()
    }

    /// Sends a text, as REST over the websocket has it.
    ///
    /// # Panics
    ///
    /// When the connection has ended.
    #[track_caller]
    pub fn send(&self, text: &str) {
        let length = text.len();
        // One final frame of text, masked with zeros.
        let mut frame = vec![0x81];
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length @ ..126), _) => frame.push(0x80 | length),
            (_, Ok(length)) => {
                frame.extend([[0x80 | 126].as_slice(), &length.to_be_bytes()].concat())
            }
            _ => panic!("{length} bytes are too long"),
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        let mut stream = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = stream.as_mut().unwrap_or_else(|| panic!("the ARI websocket has ended"));
        stream.write_all(&frame).unwrap_or_else(|error| panic!("the ARI websocket: {error}"));
    }

    /// Ends the connection without a farewell, as a client that dies.
    pub fn cut(&self) {
        if let Some(stream) = self.closing.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for AriEvents {
    fn drop(&mut self) {
        self.cut();
    }
}

fn gather(mut socket: WebSocket<TcpStream>, events: &Sender<Value>) {
    // Its end, whatever the reason, shows as the end of the channel.
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else {
            continue;
        };
        let Ok(event) = serde_json::from_str(&text) else {
            continue;
        };
        if events.send(event).is_err() {
            return;
        }
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(DIGITS[bits as usize & 63]);
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let third = if chunk.len() > 1 { digit(bits >> 6) } else { '=' };
            let fourth = if chunk.len() > 2 { digit(bits) } else { '=' };
            [digit(bits >> 18), digit(bits >> 12), third, fourth]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_pads() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(super::base64(plain.as_bytes()), coded);
        }
    }
}
