// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The functions of `include/asterisk/consul.h`, for the module that has the connection: it is a
//! [`Provider`], and [`provide_consul!`](crate::provide_consul!) exports them.
//!
//! A client or a watch is handed to C as a pointer to the provider's own value; it is C's until C
//! gives it back. What C hands over is copied before anything waits.

#[doc(hidden)]
pub mod functions;
mod key_watches;

use std::sync::Arc;
use std::time::SystemTime;

use super::Pair;

pub use key_watches::KeyWatches;

/// The types of `consul.h`, for [`provide_consul!`](crate::provide_consul!).
#[doc(hidden)]
pub mod raw {
    pub use crate::sys::{
        ast_consul_client, ast_consul_response, ast_consul_service_check, ast_consul_status,
        ast_consul_watch, ast_consul_watch_callback, ast_consul_watch_keys_callback,
    };
}

/// What a watch calls, on a thread of its own.
pub type Changed = Box<dyn Fn(&[Pair<'_>]) + Send + Sync>;

/// An answer to a request of C.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// `X-Consul-Index`; 0 if there was none.
    pub index: u64,
    /// The body as it came.
    pub body: Vec<u8>,
}

/// A service as the predecessors' function describes it.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its address; empty: the agent's.
    pub address: String,
    /// Its port; 0: none.
    pub port: u16,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its meta, in the order given.
    pub meta: Vec<(String, String)>,
    /// URL and interval in seconds of each check.
    pub checks: Vec<(String, u32)>,
}

/// How the connection is; the same as `enum ast_consul_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The configuration says not to connect.
    Disabled,
    /// Consul has not been asked yet.
    Unknown,
    /// Consul answers.
    Reachable,
    /// Consul does not answer.
    Unreachable,
    /// Consul answers but refuses the token for something that was asked.
    Refused,
    /// Consul answers but has a fault of its own, such as no leader.
    Failing,
}

/// What `ast_consul_get_status` tells.
#[derive(Clone, Debug)]
pub struct Status {
    /// How the connection is.
    pub state: State,
    /// When Consul last answered.
    pub last_answer: Option<SystemTime>,
    /// When a request last failed, and why.
    pub last_failure: Option<(SystemTime, String)>,
    /// Requests made.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Watches there are.
    pub watches: usize,
    /// How often another token has come to apply.
    pub logins: u64,
}

/// A client, as C has it. Dropping it waits for the request in flight.
pub trait Line: Send + Sync + 'static {
    /// Makes a request and waits for its answer. `path` begins with `/v1/`.
    ///
    /// # Errors
    ///
    /// Why there was none.
    fn request(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Answer, String>;

    /// Ends the request in flight, and has all later ones fail. Does not wait.
    fn interrupt(&self);
}

/// A watch, as C has it. Dropping it ends it and waits for its callback, except on its own thread.
pub trait Watching: Send + Sync + 'static {
    /// Whether this is called from the watch's callback.
    fn is_on_own_thread(&self) -> bool;

    /// Has the callback not be called again. Does not wait.
    fn stop(&self);
}

/// The module that has the connection. All of it may be called on any thread.
pub trait Provider: Send + Sync + 'static {
    /// Its clients.
    type Client: Line;
    /// Its watches.
    type Watch: Watching;

    /// The client of the functions that name none.
    fn shared_client(&self) -> &Self::Client;

    /// Another client.
    ///
    /// # Errors
    ///
    /// Why there is none.
    fn new_client(&self, name: &str) -> Result<Self::Client, String>;

    /// A watch. Does not wait.
    ///
    /// # Errors
    ///
    /// Why there is none.
    fn watch(&self, prefix: &str, changed: Changed) -> Result<Self::Watch, String>;

    /// Where the watches of `ast_consul_watch_keys` are kept.
    fn key_watches(&self) -> &KeyWatches<Self::Watch>;

    /// Registers a service. Waits.
    ///
    /// # Errors
    ///
    /// Why it is not registered, as all that follow.
    fn register(&self, service: &Service) -> Result<(), String>;

    /// Deregisters a service. Waits.
    ///
    /// # Errors
    ///
    /// As [`Provider::register`].
    fn deregister(&self, id: &str) -> Result<(), String>;

    /// Puts a service into maintenance or takes it out. Waits.
    ///
    /// # Errors
    ///
    /// As [`Provider::register`].
    fn set_maintenance(&self, id: &str, enable: bool, reason: &str) -> Result<(), String>;

    /// The value of a key, if there is one. Waits.
    ///
    /// # Errors
    ///
    /// As [`Provider::register`].
    fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, String>;

    /// Sets a key. Waits.
    ///
    /// # Errors
    ///
    /// As [`Provider::register`].
    fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), String>;

    /// Deletes a key. Waits.
    ///
    /// # Errors
    ///
    /// As [`Provider::register`].
    fn kv_delete(&self, key: &str) -> Result<(), String>;

    /// Deletes all keys below a prefix. Waits.
    ///
    /// # Errors
    ///
    /// As [`Provider::register`].
    fn kv_delete_tree(&self, prefix: &str) -> Result<(), String>;

    /// How it goes. Does not wait.
    fn status(&self) -> Status;
}

/// How the provider is found: `None` before its load and from its unload on.
pub type Current<P> = fn() -> Option<Arc<P>>;

/// Exports the functions of `include/asterisk/consul.h` for a [`Provider`](provide::Provider) that
/// `$current` finds.
#[macro_export]
macro_rules! provide_consul {
    ($provider:ty, $current:expr) => {
        mod consul_h {
            use std::ffi::{c_char, c_int, c_void};

            use $crate::consul::provide::{self, functions, raw};

            use super::*;

            type P = $provider;

            const CURRENT: provide::Current<P> = $current;

            $crate::provide_consul! { @functions
                ast_consul_service_register => service_register(CURRENT) (
                    id: *const c_char, name: *const c_char, address: *const c_char, port: c_int,
                    tags: *mut *const c_char, meta: *mut *const c_char,
                    checks: *mut *mut raw::ast_consul_service_check
                ) -> c_int;
                ast_consul_service_deregister => service_deregister(CURRENT)
                    (id: *const c_char) -> c_int;
                ast_consul_service_set_maintenance => service_set_maintenance(CURRENT)
                    (id: *const c_char, state: c_int, reason: *const c_char) -> c_int;
                ast_consul_watch_keys => watch_keys(CURRENT)
                    (key: *const c_char, callback: raw::ast_consul_watch_keys_callback) -> c_int;
                ast_consul_unwatch_keys => unwatch_keys(CURRENT)
                    (key: *const c_char, callback: raw::ast_consul_watch_keys_callback) -> c_int;
                ast_consul_watch => watch(CURRENT) (
                    prefix: *const c_char, callback: raw::ast_consul_watch_callback,
                    data: *mut c_void
                ) -> *mut raw::ast_consul_watch;
                ast_consul_kv_get => kv_get(CURRENT)
                    (key: *const c_char, value: *mut *mut c_char, length: *mut usize) -> c_int;
                ast_consul_kv_put => kv_put(CURRENT)
                    (key: *const c_char, value: *const c_char, length: usize) -> c_int;
                ast_consul_kv_delete => kv_delete(CURRENT) (key: *const c_char) -> c_int;
                ast_consul_kv_delete_tree => kv_delete_tree(CURRENT)
                    (prefix: *const c_char) -> c_int;
                ast_consul_get_client => shared_client(CURRENT) () -> *mut raw::ast_consul_client;
                ast_consul_client_alloc => client_alloc(CURRENT)
                    (name: *const c_char) -> *mut raw::ast_consul_client;
                ast_consul_get_status => get_status(CURRENT)
                    (status: *mut raw::ast_consul_status) -> c_int;
            }
            $crate::provide_consul! { @functions
                ast_consul_unwatch => unwatch::<P>() (watch: *mut raw::ast_consul_watch) -> ();
                ast_consul_client_request => client_request::<P>() (
                    client: *mut raw::ast_consul_client, method: *const c_char,
                    path: *const c_char, body: *const c_char,
                    response: *mut raw::ast_consul_response
                ) -> c_int;
                ast_consul_response_free => response_free()
                    (response: *mut raw::ast_consul_response) -> ();
                ast_consul_client_interrupt => client_interrupt::<P>()
                    (client: *mut raw::ast_consul_client) -> ();
                ast_consul_client_free => client_free::<P>()
                    (client: *mut raw::ast_consul_client) -> ();
            }
        }
    };
    (@functions $(
        $name:ident => $function:ident $(:: <$type:ty>)? ($($current:ident)?)
            ($($argument:ident : $kind:ty),*) -> $result:ty;
    )+) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($($argument: $kind),*) -> $result {
                // SAFETY: consul.h asks its callers for arguments as these functions want them.
                unsafe { functions::$function$(::<$type>)?($($current,)? $($argument),*) }
            }
        )+
    };
}
