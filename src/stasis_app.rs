// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Stasis applications (`asterisk/stasis_app.h`, `res_stasis`).

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::ao2::{Owned, Ref};
use crate::boundary::guard;
use crate::json::{Json, Value};
use crate::sys;
use crate::text::{c_string, lossy};

/// What an application's events go to.
///
/// Called on the application's own thread of the host, but also on others and by several at once
/// (registration, device states, messages): it must not wait, and the event is shared with others.
pub trait Handler: Send + Sync + 'static {
    /// An event of `app`, as ARI shows it, with `asterisk_id` set.
    fn event(&self, app: &str, event: &Value);

    /// Another client of ARI has taken the name over, of which the last event has just told
    /// (`ApplicationReplaced`). Only forget the application: ending it now would end the new owner's.
    fn replaced(&self, app: &str);
}

/// A registered application.
pub struct App {
    name: CString,
    data: Ref<Owned<Data>>,
    ended: AtomicBool,
}

struct Data {
    handler: Box<dyn Handler>,
    /// Set when another client has the name: it is no longer ours to unregister.
    replaced: AtomicBool,
}

impl App {
    /// Registers `name`. The host never refuses a name that is taken, it takes it over: look with
    /// [`exists`] first. No lock may be held that `handler` takes, which may be called from here.
    ///
    /// # Errors
    ///
    /// The host has no memory.
    pub fn register(name: &str, handler: impl Handler) -> Result<Self, String> {
        let data = Data { handler: Box::new(handler), replaced: AtomicBool::new(false) };
        let data = Ref::new(data).ok_or("no memory")?;
        let name = c_string(name);
        // SAFETY: the data is an ao2 object: the host takes its own references to it.
        let result = unsafe {
            sys::stasis_app_register(name.as_ptr(), Some(receive), data.as_ptr().cast::<c_void>())
        };
        if result != 0 {
            return Err(format!("the Stasis application '{}' was refused", name.to_string_lossy()));
        }
        Ok(Self { name, data, ended: AtomicBool::new(false) })
    }

    /// Whether another client has taken the name over.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.data().replaced.load(Ordering::Acquire)
    }

    /// Unregisters the application, if it is still ours, and waits up to `limit` until no handler
    /// runs or is about to. `false` if one still does; it may be asked again, and what it holds
    /// must stay until then. Not to be called from a handler.
    ///
    /// Exact because the host takes a reference to the data, under the application's lock, for
    /// each call of the handler, and drops its own at the end (`app_send`, the same from 16 on).
    pub fn end(&self, limit: Duration) -> bool {
        if !self.ended.swap(true, Ordering::AcqRel) && !self.is_replaced() {
            self.drop_subscriptions();
            // SAFETY: a name that is registered, by us.
            unsafe { sys::stasis_app_unregister(self.name.as_ptr()) };
        }
        let deadline = Instant::now() + limit;
        while self.data.count() > 1 {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// An application that is unregistered with subscriptions left stays as an inactive entry that
    /// nothing tells from an active one, and its name is taken. From 20.14 and 22.4 on the host
    /// drops those that clients made, but not what a call that lives on in it holds.
    fn drop_subscriptions(&self) {
        /// Each subscription is counted, a call's twice; one round takes one from each.
        const ROUNDS: usize = 16;

        for _ in 0..ROUNDS {
            let sources = describe(&self.name).map_or_else(Vec::new, |app| sources(&app));
            if sources.is_empty() {
                return;
            }
            for source in sources {
                let uri = c_string(&source);
                let mut uris = [uri.as_ptr()];
                // SAFETY: one NUL-terminated source; no description of the result is asked for.
                unsafe {
                    sys::stasis_app_unsubscribe(
                        self.name.as_ptr(),
                        uris.as_mut_ptr(),
                        1,
                        std::ptr::null_mut(),
                    )
                };
            }
        }
    }

    fn data(&self) -> &Data {
        // SAFETY: made by Ref::new with this type in `register`; `self` holds a reference.
        unsafe { Owned::value(self.data.as_ptr().cast()) }
    }
}

impl Drop for App {
    /// Ends the application, for as long as it takes: the handler's code must outlive its calls.
    fn drop(&mut self) {
        while !self.end(Duration::from_secs(1)) {
            crate::warning!("a handler of '{}' does not return", self.name.to_string_lossy());
        }
    }
}

unsafe extern "C" fn receive(data: *mut c_void, app: *const c_char, event: *mut sys::ast_json) {
    guard((), || {
        if event.is_null() {
            return;
        }
        // SAFETY: the object that `register` gave, of which the host holds a reference here.
        let data: &Data = unsafe { Owned::value(data) };
        // SAFETY: NUL-terminated, alive for the call.
        let app = unsafe { lossy(app) };
        // SAFETY: not NULL, alive for the call, and nobody changes it meanwhile.
        let event = unsafe { Value::from_raw(event) };
        data.handler.event(&app, event);
        if event.string(c"type").as_deref() == Some("ApplicationReplaced") {
            data.replaced.store(true, Ordering::Release);
            data.handler.replaced(&app);
        }
    });
}

/// Whether an application of that name is registered, by anyone. On 16 and 18 one that was ended
/// with subscriptions of another client left still is.
#[must_use]
pub fn exists(name: &str) -> bool {
    Registration::find(name).is_some()
}

/// An application as the host has it registered, by anyone. It stays the same when another client
/// takes the name over, with its subscriptions; a name that was given up and registered anew is
/// another.
pub struct Registration(Ref<sys::stasis_app>);

impl Registration {
    /// The registration that `name` has now.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let name = c_string(name);
        // SAFETY: a NUL-terminated name; the result is a reference of ours, or NULL.
        let app = unsafe { sys::stasis_app_get_by_name(name.as_ptr()) };
        // SAFETY: as above.
        unsafe { Ref::from_owned(app) }.map(Self)
    }
}

/// Whether both are the same; exact, for each keeps its object's address from being used again.
impl PartialEq for Registration {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ptr() == other.0.as_ptr()
    }
}

/// Whether `app`'s event filter (`PUT /applications/{app}/eventFilter`) lets `event` pass. The
/// host leaves it to the handler to ask.
#[must_use]
pub fn event_allowed(app: &CStr, event: &Value) -> bool {
    // SAFETY: a NUL-terminated name and a live value, which is only read.
    unsafe { sys::stasis_app_event_allowed(app.as_ptr(), event.as_ptr()) != 0 }
}

/// Whether there is this event source, in ARI's form. The host logs a warning for each subscription
/// to one there is not.
fn has_source(source: &str) -> bool {
    type Find<T> = unsafe extern "C" fn(*const c_char) -> *mut T;

    fn is_found<T>(find: Find<T>, id: &str) -> bool {
        let id = c_string(id);
        // SAFETY: a NUL-terminated id; the result is a reference of ours, or NULL.
        let found = unsafe { find(id.as_ptr()) };
        // SAFETY: as above.
        unsafe { Ref::from_owned(found) }.is_some()
    }

    match source.split_once(':') {
        // All of that kind.
        Some((_, "")) => true,
        Some(("channel", id)) => is_found(sys::ast_channel_get_by_name, id),
        Some(("bridge", id)) => is_found(sys::stasis_app_bridge_find_by_id, id),
        Some(("endpoint", id)) => is_found(sys::ast_endpoint_find_by_id, id),
        // A device has a state as soon as it is asked for.
        _ => true,
    }
}

/// What `app` is subscribed to, by anyone, as ARI's event sources. One that was subscribed by
/// another name of it (a channel's) or with all of its kind is not there by its own.
#[must_use]
pub fn subscriptions(app: &str) -> Vec<String> {
    describe(&c_string(app)).map_or_else(Vec::new, |app| sources(&app))
}

/// What [`subscribe`] says where the channel, bridge or endpoint is not there.
pub const NO_SOURCE: &str = "there is no such event source";

/// Subscribes `app` to an event source in ARI's form (`endpoint:PJSIP/alice`), which counts: each
/// needs its own [`unsubscribe`].
///
/// # Errors
///
/// Why not, in words. [`NO_SOURCE`] leaves nothing in the log, so that it may be tried often.
pub fn subscribe(app: &str, source: &str) -> Result<(), &'static str> {
    if !has_source(source) {
        return Err(NO_SOURCE);
    }
    change_subscription(app, source, sys::stasis_app_subscribe)
}

/// Takes back one [`subscribe`].
///
/// # Errors
///
/// Why not, in words.
pub fn unsubscribe(app: &str, source: &str) -> Result<(), &'static str> {
    change_subscription(app, source, sys::stasis_app_unsubscribe)
}

type ChangeSubscription = unsafe extern "C" fn(
    *const c_char,
    *mut *const c_char,
    std::ffi::c_int,
    *mut *mut sys::ast_json,
) -> sys::stasis_app_subscribe_res;

fn change_subscription(
    app: &str,
    source: &str,
    change: ChangeSubscription,
) -> Result<(), &'static str> {
    let (app, source) = (c_string(app), c_string(source));
    let mut sources = [source.as_ptr()];
    // SAFETY: one NUL-terminated source; no description of the result is asked for.
    let result = unsafe { change(app.as_ptr(), sources.as_mut_ptr(), 1, std::ptr::null_mut()) };
    match result {
        sys::STASIS_ASR_OK => Ok(()),
        sys::STASIS_ASR_APP_NOT_FOUND => Err("there is no such application"),
        sys::STASIS_ASR_EVENT_SOURCE_NOT_FOUND => Err(NO_SOURCE),
        sys::STASIS_ASR_EVENT_SOURCE_BAD_SCHEME => Err("such sources are not known"),
        _ => Err("the host failed"),
    }
}

/// Sets the event filter of `app`, in the form of ARI's `PUT /applications/{app}/eventFilter`; an
/// empty object lets all events pass.
///
/// # Errors
///
/// Why not, in words.
pub fn set_event_filter(app: &str, filter: &Json) -> Result<(), &'static str> {
    let app = Registration::find(app).ok_or("there is no such application")?;
    // SAFETY: a live application; the filter is copied.
    match unsafe { sys::stasis_app_event_filter_set(app.0.as_ptr(), filter.as_ptr()) } {
        0 => Ok(()),
        _ => Err("the host does not take this filter"),
    }
}

/// ARI's Application object of `name`.
fn describe(name: &CString) -> Option<Json> {
    // SAFETY: a NUL-terminated name; the result is a reference of ours, or NULL.
    let app = unsafe { sys::stasis_app_to_json(name.as_ptr()) };
    // SAFETY: as above.
    unsafe { Json::from_owned(app) }
}

/// What an application is subscribed to, from ARI's Application object, as ARI's event sources.
fn sources(app: &Json) -> Vec<String> {
    let kinds = [
        (c"channel_ids", "channel:"),
        (c"bridge_ids", "bridge:"),
        (c"endpoint_ids", "endpoint:"),
        (c"device_names", "deviceState:"),
    ];
    kinds
        .into_iter()
        .flat_map(|(key, scheme)| {
            app.strings(key).into_iter().map(move |id| format!("{scheme}{id}"))
        })
        .collect()
}
