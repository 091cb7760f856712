// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Resources of ARI (`asterisk/ari.h`, `res_ari`).

use std::ffi::{CStr, CString, c_int};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::boundary::guard;
use crate::inside::Inside;
use crate::json::Json;
use crate::sys;
use crate::text::lossy;

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read-only users may use it.
    Get,
    /// Refused to read-only users by the host.
    Post,
    /// Refused to read-only users by the host.
    Delete,
}

impl Method {
    fn index(self) -> usize {
        let method = match self {
            Self::Get => sys::AST_HTTP_GET,
            Self::Post => sys::AST_HTTP_POST,
            Self::Delete => sys::AST_HTTP_DELETE,
        };
        method as usize
    }
}

/// What a request is answered with.
pub enum Response {
    /// 200 with this value, an object or an array.
    Ok(Json),
    /// 204.
    NoContent,
    /// An error: code, its reason phrase, and the message for the body.
    Error(c_int, &'static CStr, String),
}

/// One operation of a resource. The host calls back without data, so it is a type.
///
/// Called on a thread of the host's HTTP server, or of a websocket, after the host has checked
/// user and rights. Several may run at once.
pub trait Operation {
    /// The method it answers to.
    const METHOD: Method;

    /// Answers one request. A panic is answered with 500.
    fn handle(request: &Request<'_>) -> Response;
}

/// What was asked.
#[derive(Debug)]
pub struct Request<'a> {
    path: *const sys::ast_variable,
    borrowed: std::marker::PhantomData<&'a sys::ast_variable>,
}

impl Request<'_> {
    /// The part of the path that matched the wildcard segment `name`, decoded.
    #[must_use]
    pub fn path_value(&self, name: &str) -> Option<String> {
        let mut next = self.path;
        while !next.is_null() {
            // SAFETY: a link of the host's list, alive for the request.
            let variable = unsafe { &*next };
            // SAFETY: NUL-terminated, alive for the request.
            if unsafe { lossy(variable.name) } == name {
                // SAFETY: as above.
                return Some(unsafe { lossy(variable.value) }.into_owned());
            }
            next = variable.next;
        }
        None
    }
}

type Callback = unsafe extern "C" fn(
    *mut sys::ast_tcptls_session_instance,
    *mut sys::ast_variable,
    *mut sys::ast_variable,
    *mut sys::ast_variable,
    *mut sys::ast_json,
    *mut sys::ast_ari_response,
);

/// A segment of a path, with what answers there and what lies below.
pub struct Segment {
    name: &'static CStr,
    wildcard: bool,
    operations: Vec<(Method, Callback)>,
    children: Vec<Segment>,
}

impl Segment {
    /// The segment that reads `name`.
    #[must_use]
    pub fn named(name: &'static CStr) -> Self {
        Self { name, wildcard: false, operations: Vec::new(), children: Vec::new() }
    }

    /// Any segment, whose value [`Request::path_value`] gives under `name`.
    #[must_use]
    pub fn wildcard(name: &'static CStr) -> Self {
        Self { wildcard: true, ..Self::named(name) }
    }

    /// Answers `O::METHOD` here.
    #[must_use]
    pub fn operation<O: Operation>(mut self) -> Self {
        self.operations.push((O::METHOD, respond::<O>));
        self
    }

    /// Puts `child` below.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// The host's form of it. What was made is in `made` even when a part fails.
    fn build(&self, made: &mut Vec<NonNull<sys::stasis_rest_handlers>>) -> Option<Handler> {
        // SAFETY: memory for the segment and its children, zeroed, ours to free.
        let handler = unsafe { sys::shim_ari_handler_alloc(self.children.len()) };
        let handler = NonNull::new(handler)?;
        made.push(handler);
        for (index, child) in self.children.iter().enumerate() {
            let child = child.build(made)?;
            // SAFETY: the segment was made with room for this many.
            unsafe {
                sys::shim_ari_handler_set_child(handler.as_ptr(), index, child.0.as_ptr());
            }
        }
        // SAFETY: fresh memory that only this function has.
        let fields = unsafe { &mut *handler.as_ptr() };
        fields.path_segment = self.name.as_ptr();
        fields.is_wildcard = c_int::from(self.wildcard);
        for (method, callback) in &self.operations {
            if let Some(place) = fields.callbacks.get_mut(method.index()) {
                *place = Some(*callback);
            }
        }
        Some(Handler(handler))
    }
}

struct Handler(NonNull<sys::stasis_rest_handlers>);

/// A resource that ARI serves until this is dropped.
pub struct Resource {
    root: NonNull<sys::stasis_rest_handlers>,
    made: Vec<NonNull<sys::stasis_rest_handlers>>,
    removed: AtomicBool,
}

// SAFETY: the host only reads the segments, on any thread, and so do we.
unsafe impl Send for Resource {}
// SAFETY: as above.
unsafe impl Sync for Resource {}

impl Resource {
    /// Adds `root` to ARI.
    ///
    /// # Errors
    ///
    /// ARI is not there, or something else answers at that path.
    pub fn add(root: &Segment) -> Result<Self, String> {
        let mut made = Vec::new();
        let Some(Handler(handler)) = root.build(&mut made) else {
            free(&made);
            return Err("no memory".to_owned());
        };
        // SAFETY: the segments live until `drop` has taken them out.
        if unsafe { sys::shim_ari_add_handler(handler.as_ptr()) } != 0 {
            free(&made);
            return Err(format!(
                "ARI does not take the resource '{}' (is res_ari loaded?)",
                root.name.to_string_lossy()
            ));
        }
        Ok(Self { root: handler, made, removed: AtomicBool::new(false) })
    }
}

impl Resource {
    /// Takes the resource out and waits up to `limit` until no request is inside. `false` if one
    /// still is; it may be asked again.
    ///
    /// The host counts nothing for us. A request that had found the segment but not called yet
    /// would be missed, so a moment is left for it; the host's own modules have the same gap.
    pub fn end(&self, limit: Duration) -> bool {
        const MOMENT: Duration = Duration::from_millis(50);

        if !self.removed.swap(true, Ordering::AcqRel) {
            // SAFETY: added by `add`; unknown to the host if res_ari went and came back meanwhile.
            unsafe { sys::shim_ari_remove_handler(self.root.as_ptr()) };
            std::thread::sleep(MOMENT);
        }
        let deadline = Instant::now() + limit;
        while !INSIDE.is_empty() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Drop for Resource {
    /// Ends the resource, for as long as it takes: its code must outlive its requests.
    fn drop(&mut self) {
        while !self.end(Duration::from_secs(1)) {
            crate::warning!("a request to ARI does not return");
        }
        free(&self.made);
    }
}

fn free(made: &[NonNull<sys::stasis_rest_handlers>]) {
    for handler in made {
        // SAFETY: made by shim_ari_handler_alloc, freed once, and nobody has it any more.
        unsafe { sys::shim_free(handler.as_ptr().cast()) };
    }
}

/// Requests that are inside an operation of this module.
static INSIDE: Inside = Inside::nobody();

unsafe extern "C" fn respond<O: Operation>(
    _session: *mut sys::ast_tcptls_session_instance, // NULL when asked over a websocket
    _query: *mut sys::ast_variable,
    path: *mut sys::ast_variable,
    _headers: *mut sys::ast_variable,
    _body: *mut sys::ast_json,
    response: *mut sys::ast_ari_response,
) {
    let _visit = INSIDE.enter();
    let failure =
        Response::Error(500, c"Internal Server Error", "Internal error, see the log".to_owned());
    let answer =
        guard(failure, || O::handle(&Request { path, borrowed: std::marker::PhantomData }));
    guard((), || {
        match answer {
            // SAFETY: the response of this request; the value's reference passes to it.
            Response::Ok(json) => unsafe { sys::shim_ari_response_ok(response, json.into_raw()) },
            // SAFETY: the response of this request.
            Response::NoContent => unsafe { sys::shim_ari_response_no_content(response) },
            Response::Error(code, reason, message) => {
                let message = CString::new(message).unwrap_or_default();
                let (reason, message) = (reason.as_ptr(), message.as_ptr());
                // SAFETY: the reason is static, as the response keeps it; the message is copied.
                unsafe { sys::shim_ari_response_error(response, code, reason, message) };
            }
        }
    });
}
