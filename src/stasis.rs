// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The Stasis bus: topics, subscriptions, messages (`asterisk/stasis.h`).

use std::ffi::{c_long, c_void};
use std::ptr::NonNull;

use crate::ao2::Ref;
use crate::boundary::guard;
use crate::json::Json;
use crate::manager::AmiEvent;
use crate::sys;

/// A topic that the core owns for as long as it runs.
#[derive(Clone, Copy, Debug)]
pub enum Topic {
    /// What every channel publishes (`ast_channel_topic_all`).
    Channels,
    /// What the core turns into AMI events (`ast_manager_get_topic`).
    Manager,
}

impl Topic {
    fn host(self) -> *mut sys::stasis_topic {
        match self {
            // SAFETY: returns the core's own topic, which lives until the core ends.
            Self::Channels => unsafe { sys::ast_channel_topic_all() },
            // SAFETY: as above.
            Self::Manager => unsafe { sys::ast_manager_get_topic() },
        }
    }
}

/// What a subscription wants a message to be able to become; others are dropped by the publisher
/// before they are queued.
#[derive(Clone, Copy, Debug)]
pub enum Formatter {
    /// [`Message::to_json`].
    Json,
    /// [`Message::to_ami`].
    Ami,
}

/// A subscription with a thread of the host's of its own. Messages come one at a time, in order.
pub struct Subscription {
    host: NonNull<sys::stasis_subscription>,
    /// Boxed twice: the host has one pointer's room for what is a fat one.
    callback: *mut Callback,
}

type Callback = Box<dyn Fn(&Message<'_>) + Send + Sync>;

// SAFETY: the host's subscription may be ended on any thread, and the callback is Send and Sync.
unsafe impl Send for Subscription {}
// SAFETY: nothing is done through a shared reference.
unsafe impl Sync for Subscription {}

impl Subscription {
    /// Subscribes to `topic`. `callback` runs on the subscription's thread and must not wait.
    ///
    /// `high_water` is the number of waiting messages from which the host warns and, by default,
    /// has `res_pjsip` refuse calls; its own 500 is passed by an ordinary burst.
    ///
    /// `None` if the host has no memory.
    pub fn new(
        topic: Topic,
        formatter: Formatter,
        high_water: u32,
        callback: impl Fn(&Message<'_>) + Send + Sync + 'static,
    ) -> Option<Self> {
        let callback: *mut Callback = Box::into_raw(Box::new(Box::new(callback)));
        // SAFETY: the callback lives until `drop` has ended the subscription.
        let host =
            unsafe { sys::shim_stasis_subscribe(topic.host(), Some(receive), callback.cast()) };
        let Some(host) = NonNull::new(host) else {
            // SAFETY: the host did not take the pointer, which `into_raw` made above.
            drop(unsafe { Box::from_raw(callback) });
            return None;
        };
        let formatter = match formatter {
            Formatter::Json => sys::STASIS_SUBSCRIPTION_FORMATTER_JSON,
            Formatter::Ami => sys::STASIS_SUBSCRIPTION_FORMATTER_AMI,
        };
        // SAFETY: a live subscription of ours.
        unsafe { sys::stasis_subscription_accept_formatters(host.as_ptr(), formatter) };
        let high = c_long::from(i32::try_from(high_water).unwrap_or(i32::MAX));
        // SAFETY: as above; -1 lets the host set the low mark.
        unsafe { sys::stasis_subscription_set_congestion_limits(host.as_ptr(), -1, high) };
        Some(Self { host, callback })
    }
}

impl Drop for Subscription {
    /// Ends the subscription and waits until its callback has returned for the last time. Not to
    /// be called from the callback.
    fn drop(&mut self) {
        // SAFETY: the subscription is ours and ended once; the call returns after the callback for
        // the final message, so nothing uses the callback after it.
        unsafe { sys::stasis_unsubscribe_and_join(self.host.as_ptr()) };
        // SAFETY: made by Box::into_raw in `new`; see above.
        drop(unsafe { Box::from_raw(self.callback) });
    }
}

unsafe extern "C" fn receive(
    data: *mut c_void,
    subscription: *mut sys::stasis_subscription,
    message: *mut sys::stasis_message,
) {
    guard((), || {
        // SAFETY: both are the host's, alive for this call.
        if unsafe { sys::stasis_subscription_final_message(subscription, message) } != 0 {
            return;
        }
        // SAFETY: the pointer that `new` gave; `drop` frees it only after the last call.
        let callback = unsafe { &*data.cast::<Callback>() };
        if let Some(message) = NonNull::new(message) {
            callback(&Message { host: message, borrowed: std::marker::PhantomData });
        }
    });
}

/// A message, borrowed for the time of a callback. Immutable, and shared with other subscribers.
#[derive(Debug)]
pub struct Message<'a> {
    host: NonNull<sys::stasis_message>,
    borrowed: std::marker::PhantomData<&'a sys::stasis_message>,
}

impl Message<'_> {
    /// For the host's functions that read a message.
    pub(crate) fn as_ptr(&self) -> *mut sys::stasis_message {
        self.host.as_ptr()
    }

    /// The event as ARI shows it. `None` for a message that has no such form, which a type that
    /// can have one may still say of a single message.
    ///
    /// The outermost level is the caller's own; what is inside may be shared.
    #[must_use]
    pub fn to_json(&self) -> Option<Json> {
        // SAFETY: a live message; no sanitizer, as the predecessors did.
        let json = unsafe { sys::stasis_message_to_json(self.host.as_ptr(), std::ptr::null_mut()) };
        // SAFETY: a new reference or NULL.
        unsafe { Json::from_owned(json) }
    }

    /// The event as AMI shows it. `None` for a message that has no such form.
    #[must_use]
    pub fn to_ami(&self) -> Option<AmiEvent> {
        // SAFETY: a live message; the result is a reference of ours, or NULL.
        let blob = unsafe { sys::stasis_message_to_ami(self.host.as_ptr()) };
        // SAFETY: as above.
        unsafe { Ref::from_owned(blob) }.map(AmiEvent::new)
    }
}
