// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The line to Consul, which another thread can cut so that the module's end need not wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use asterisk::consul::{self, Client, Method, Response};

use crate::agent::Line;

#[derive(Default)]
pub(crate) struct Lines {
    inner: Mutex<Inner>,
    is_last: AtomicBool,
}

#[derive(Default)]
struct Inner {
    current: Option<Arc<Client>>,
    /// Those that were cut. To drop one may take a moment.
    cut: Vec<Arc<Client>>,
    /// No more lines are made.
    is_over: bool,
}

impl Lines {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the current line: the request in flight ends, and the next is made on a new line.
    pub(crate) fn cut(&self) {
        let mut inner = self.inner();
        if let Some(client) = inner.current.take() {
            client.interrupt();
            inner.cut.push(client);
        }
    }

    /// As [`Lines::cut`], unless the last requests have begun.
    pub(crate) fn cut_but_the_last(&self) {
        if !self.is_last.load(Ordering::Acquire) {
            self.cut();
        }
    }

    /// Cuts the current line for good: the request in flight ends, and all later ones fail.
    pub(crate) fn end(&self) {
        self.inner().is_over = true;
        self.cut();
    }

    /// From now on the requests are the last.
    pub(crate) fn begin_last(&self) {
        self.is_last.store(true, Ordering::Release);
    }

    /// Gives all lines back, when nothing is asked any more.
    pub(crate) fn close(&self) {
        self.cut();
        let clients = std::mem::take(&mut self.inner().cut);
        drop(clients);
    }
}

impl Line for Lines {
    fn ask(&self, method: Method, path: &str, body: Option<&str>) -> Result<Response, String> {
        let client = {
            let mut inner = self.inner();
            match &inner.current {
                _ if inner.is_over => return Err("there is no more time to ask Consul".to_owned()),
                Some(client) => Arc::clone(client),
                None => Arc::clone(inner.current.insert(Arc::new(Client::new("discovery-line")?))),
            }
        };
        client.request(method, path, body).map_err(|failure| failure.to_string())
    }

    fn logins(&self) -> u64 {
        consul::logins()
    }
}
