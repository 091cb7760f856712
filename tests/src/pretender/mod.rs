// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A server that pretends to be another over HTTP, good or hostile: a script answers each request.

mod answer;
mod writing;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::ports;
use crate::request::{Request, Requests};

pub use answer::Answer;

/// A listener on 127.0.0.1, with a thread for each connection; ends on drop.
#[derive(Debug)]
pub struct Pretender {
    port: u16,
    stage: Arc<Stage>,
    acceptor: Option<JoinHandle<()>>,
}

type Script = Box<dyn FnMut(&Request) -> Answer + Send>;

/// What the threads share.
struct Stage {
    script: Mutex<Script>,
    scene: Mutex<Scene>,
    has_changed: Condvar,
}

#[derive(Debug, Default)]
struct Scene {
    requests: Vec<Request>,
    connections: u64,
    bytes_sent: u64,
    has_ended: bool,
    /// Of the open connections, to end them.
    streams: BTreeMap<u64, TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl Pretender {
    /// Starts one. The script is asked once a request, one request at a time, and must not wait
    /// itself: that is what [`Answer::later`] is for.
    ///
    /// # Panics
    ///
    /// When it can't listen.
    #[track_caller]
    pub fn start(script: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let port = ports::free();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .unwrap_or_else(|error| panic!("the pretender, port {port}: {error}"));
        let stage = Arc::new(Stage {
            script: Mutex::new(Box::new(script)),
            scene: Mutex::default(),
            has_changed: Condvar::new(),
        });
        let accepting = Arc::clone(&stage);
        let acceptor = thread::spawn(move || accept(&accepting, &listener));
        Self { port, stage, acceptor: Some(acceptor) }
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The requests that have come completely, over all connections.
    pub fn requests(&self) -> Vec<Request> {
        self.stage.scene().requests.clone()
    }

    /// How many of them begin so: with `/v1/kv/` the path, with `GET /v1/kv/` method and path.
    pub fn requests_to(&self, beginning: &str) -> usize {
        self.stage.scene().requests.iter().filter(|request| request.begins(beginning)).count()
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> u64 {
        self.stage.scene().connections
    }

    /// How many bytes of answers have been written; some may wait in the kernel.
    pub fn bytes_sent(&self) -> u64 {
        self.stage.scene().bytes_sent
    }
}

impl Drop for Pretender {
    fn drop(&mut self) {
        let threads = {
            let mut scene = self.stage.scene();
            scene.has_ended = true;
            for stream in scene.streams.values() {
                // The client may have closed it.
                let _ = stream.shutdown(Shutdown::Both);
            }
            std::mem::take(&mut scene.threads)
        };
        self.stage.has_changed.notify_all();
        // Wakes the acceptor, which then sees the end.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        for thread in threads.into_iter().chain(self.acceptor.take()) {
            // A script that panicked was printed, and its client got no answer.
            let _ = thread.join();
        }
    }
}

impl Stage {
    fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; `false` when the pretender ends meanwhile.
    fn pause(&self, time: Duration) -> bool {
        let has_begun = |scene: &mut Scene| !scene.has_ended;
        let waited = self.has_changed.wait_timeout_while(self.scene(), time, has_begun);
        let (scene, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !scene.has_ended
    }

    fn answer(&self, request: &Request) -> Answer {
        self.scene().requests.push(request.clone());
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        (script)(request)
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stage").field("scene", &self.scene).finish_non_exhaustive()
    }
}

fn accept(stage: &Arc<Stage>, listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        let mut scene = stage.scene();
        if scene.has_ended {
            return;
        }
        let Ok(to_end) = stream.try_clone() else { continue };
        scene.connections += 1;
        let number = scene.connections;
        scene.streams.insert(number, to_end);
        let serving = Arc::clone(stage);
        scene.threads.push(thread::spawn(move || {
            serve(&serving, &stream);
            // The last of its two: closed.
            serving.scene().streams.remove(&number);
        }));
    }
}

/// Until the client, the script or the pretender ends the connection.
fn serve(stage: &Stage, mut stream: &TcpStream) {
    let mut requests = Requests::default();
    let mut bytes = vec![0; 64 << 10];
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        for request in requests.push(&bytes[..length]) {
            let answer = stage.answer(&request);
            if !writing::write(stage, stream, answer) {
                return;
            }
        }
        if requests.is_opaque() {
            return;
        }
    }
}
