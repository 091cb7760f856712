// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! For unit tests: a server on 127.0.0.1 that a closure answers for, and that keeps what it got.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What a request is answered with.
pub(crate) enum Answer {
    /// All of it, head and body.
    Text(String),
    /// The connection is closed instead.
    Close,
    /// Nothing comes.
    Silence,
}

impl Answer {
    pub(crate) fn json(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Text(format!(
            "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        ))
    }
}

/// The server.
pub(crate) struct Scripted {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// `script` gets the number of the request, from 0, and its head with what came of its body.
    pub(crate) async fn start(
        script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, script) = (Arc::clone(&requests), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, script) = (Arc::clone(&kept), Arc::clone(&script));
                tokio::spawn(async move {
                    let mut read = vec![0; 65536];
                    while let Ok(count @ 1..) = stream.read(&mut read).await {
                        let request = String::from_utf8_lossy(&read[..count]).into_owned();
                        let number = {
                            let mut kept = kept.lock().unwrap();
                            kept.push(request.clone());
                            kept.len() - 1
                        };
                        match script(number, &request) {
                            Answer::Text(text) => {
                                stream.write_all(text.as_bytes()).await.unwrap();
                            }
                            Answer::Close => return,
                            Answer::Silence => {}
                        }
                    }
                });
            }
        });
        Self { port, requests }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
