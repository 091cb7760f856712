// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A module's own line to Consul.

use std::ffi::CStr;
use std::fmt;
use std::ptr::NonNull;

use super::Response;
use crate::sys;
use crate::text::{c_string, lossy};

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Writes; may be repeated.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    fn name(self) -> &'static CStr {
        match self {
            Self::Get => c"GET",
            Self::Put => c"PUT",
            Self::Delete => c"DELETE",
        }
    }
}

/// Consul did not answer, or not in a way that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(String);

/// How often another token has come to apply. Consul's agent goes on to use, for a service, the token
/// it was registered with: services of ours are registered again when this changes. Does not wait;
/// any thread.
#[must_use]
pub fn logins() -> u64 {
    // SAFETY: a status of zeroes is one that tells nothing.
    let mut status: sys::ast_consul_status = unsafe { std::mem::zeroed() };
    // SAFETY: memory for a status; what is not told leaves it as it is.
    unsafe { sys::ast_consul_get_status(&raw mut status) };
    status.logins
}

/// A line to Consul (`struct ast_consul_client`). Its requests are made in turn, on a thread of
/// `res_consul`; the caller waits, so the thread must be one of the module's own.
pub struct Client {
    client: NonNull<sys::ast_consul_client>,
}

// SAFETY: consul.h allows its functions on any thread.
unsafe impl Send for Client {}
// SAFETY: as above; requests of several threads are made in turn.
unsafe impl Sync for Client {}

impl Client {
    /// A client whose thread is named `name` in `core show threads`. Does not wait.
    ///
    /// # Errors
    ///
    /// There is no memory, or `res_consul` is being unloaded.
    pub fn new(name: &str) -> Result<Self, String> {
        let name = c_string(name);
        // SAFETY: a NUL-terminated name; the result is ours to free, or NULL.
        let client = unsafe { sys::ast_consul_client_alloc(name.as_ptr()) };
        let client = NonNull::new(client).ok_or("res_consul gives no client")?;
        Ok(Self { client })
    }

    /// Asks Consul. `path` begins with `/v1/` and is percent-encoded (see
    /// [`encoded`](super::encoded)). Waits for the answer.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`] with the reason; any HTTP status is an answer.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Response, NoAnswer> {
        let path = c_string(path);
        let body = body.map(c_string);
        let body = body.as_ref().map_or(std::ptr::null(), |body| body.as_ptr());
        let mut answer =
            sys::ast_consul_response { status: 0, index: 0, body: std::ptr::null_mut(), length: 0 };
        // SAFETY: the client lives as long as `self`; all texts are NUL-terminated and outlive the
        // call, and the answer is memory for one.
        let result = unsafe {
            sys::ast_consul_client_request(
                self.client.as_ptr(),
                method.name().as_ptr(),
                path.as_ptr(),
                body,
                &raw mut answer,
            )
        };
        // SAFETY: the header promises a NUL after the body, which lives until it is freed below.
        let body = unsafe { lossy(answer.body) }.into_owned();
        // SAFETY: filled in by the request, freed once.
        unsafe { sys::ast_consul_response_free(&raw mut answer) };
        match u16::try_from(answer.status) {
            Ok(status) if result == 0 && status > 0 => {
                Ok(Response { status, index: answer.index, body })
            }
            _ => Err(NoAnswer(body)),
        }
    }

    /// Ends the request in flight and has all later ones fail. Any thread; does not wait.
    pub fn interrupt(&self) {
        // SAFETY: the client lives as long as `self`.
        unsafe { sys::ast_consul_client_interrupt(self.client.as_ptr()) };
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once; no request runs, for each borrows `self`.
        unsafe { sys::ast_consul_client_free(self.client.as_ptr()) };
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}
