// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One function for each of `consul.h`, written out by [`provide_consul!`](crate::provide_consul!).
//!
//! All of them are unsafe for one reason: their arguments must be as the header asks.

#![allow(clippy::missing_safety_doc, missing_docs)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Answer, Changed, Current, Line, Provider, Service, State};
use crate::boundary::guard;
use crate::consul::Pair;
use crate::sys;
use crate::text::{c_string, lossy};

/// Hands a value to C.
fn to_c<T, C>(value: T) -> *mut C {
    Box::into_raw(Box::new(value)).cast()
}

/// `Ok` as 1, as the predecessors have it; an error is logged and 0.
fn one_or_zero(result: Result<(), String>) -> c_int {
    match result {
        Ok(()) => 1,
        Err(reason) => {
            crate::warning!("{reason}");
            0
        }
    }
}

fn with<P: Provider, T>(
    current: Current<P>,
    act: impl FnOnce(&P) -> Result<T, String>,
) -> Result<T, String> {
    let provider = current().ok_or("res_consul is not loaded")?;
    act(&provider)
}

/// # Safety
///
/// `text` is NULL or NUL-terminated, and alive for the call; as for all texts below.
unsafe fn required(text: *const c_char, what: &str) -> Result<String, String> {
    if text.is_null() {
        return Err(format!("a function of consul.h was called without {what}"));
    }
    // SAFETY: passed on to the caller.
    Ok(unsafe { lossy(text) }.into_owned())
}

/// # Safety
///
/// `texts` is NULL or an array ended by NULL, of NUL-terminated texts, alive for the call.
unsafe fn texts(texts: *mut *const c_char) -> Vec<String> {
    let mut copies = Vec::new();
    if texts.is_null() {
        return copies;
    }
    let mut next = texts;
    loop {
        // SAFETY: not beyond the NULL that ends the array.
        let text = unsafe { *next };
        if text.is_null() {
            return copies;
        }
        // SAFETY: passed on to the caller.
        copies.push(unsafe { lossy(text) }.into_owned());
        // SAFETY: the array goes on, for this was not its end.
        next = unsafe { next.add(1) };
    }
}

/// # Safety
///
/// As [`texts`], of checks.
unsafe fn checks(checks: *mut *mut sys::ast_consul_service_check) -> Vec<(String, u32)> {
    let mut copies = Vec::new();
    if checks.is_null() {
        return copies;
    }
    let mut next = checks;
    loop {
        // SAFETY: not beyond the NULL that ends the array.
        let check = unsafe { *next };
        if check.is_null() {
            return copies;
        }
        // SAFETY: a check, alive for the call.
        let check = unsafe { &*check };
        // SAFETY: passed on to the caller; NULL is the empty text.
        let url = unsafe { lossy(check.http) }.into_owned();
        copies.push((url, u32::try_from(check.interval).unwrap_or(0)));
        // SAFETY: the array goes on, for this was not its end.
        next = unsafe { next.add(1) };
    }
}

#[expect(clippy::too_many_arguments, reason = "the predecessors' function")]
pub unsafe fn service_register<P: Provider>(
    current: Current<P>,
    id: *const c_char,
    name: *const c_char,
    address: *const c_char,
    port: c_int,
    tags: *mut *const c_char,
    meta: *mut *const c_char,
    listed_checks: *mut *mut sys::ast_consul_service_check,
) -> c_int {
    guard(0, || {
        // SAFETY: passed on to the caller.
        let id = unsafe { required(id, "an id") };
        // SAFETY: passed on to the caller.
        let name = unsafe { required(name, "a name") };
        // SAFETY: passed on to the caller; NULL is the empty text.
        let address = unsafe { lossy(address) }.into_owned();
        // SAFETY: passed on to the caller.
        let tags = unsafe { texts(tags) };
        // SAFETY: passed on to the caller.
        let meta = unsafe { texts(meta) };
        // SAFETY: passed on to the caller.
        let checks = unsafe { checks(listed_checks) };
        one_or_zero(with(current, |provider| {
            let mut meta = meta.into_iter();
            let mut pairs = Vec::new();
            while let (Some(key), Some(value)) = (meta.next(), meta.next()) {
                pairs.push((key, value));
            }
            let port = u16::try_from(port).map_err(|_| format!("{port} is no port"))?;
            let (id, name) = (id?, name?);
            provider.register(&Service { id, name, address, port, tags, meta: pairs, checks })
        }))
    })
}

pub unsafe fn service_deregister<P: Provider>(current: Current<P>, id: *const c_char) -> c_int {
    guard(0, || {
        // SAFETY: passed on to the caller.
        let id = unsafe { required(id, "an id") };
        one_or_zero(with(current, |provider| provider.deregister(&id?)))
    })
}

pub unsafe fn service_set_maintenance<P: Provider>(
    current: Current<P>,
    id: *const c_char,
    state: c_int,
    reason: *const c_char,
) -> c_int {
    guard(0, || {
        // SAFETY: passed on to the caller.
        let id = unsafe { required(id, "an id") };
        // SAFETY: passed on to the caller; NULL is the empty text.
        let reason = unsafe { lossy(reason) }.into_owned();
        one_or_zero(with(current, |provider| provider.set_maintenance(&id?, state != 0, &reason)))
    })
}

pub unsafe fn watch_keys<P: Provider>(
    current: Current<P>,
    prefix: *const c_char,
    callback: sys::ast_consul_watch_keys_callback,
) -> c_int {
    guard(-1, || {
        // SAFETY: passed on to the caller.
        let prefix = unsafe { required(prefix, "a prefix") };
        let watched = with(current, |provider| {
            let (prefix, call) = (prefix?, callback.ok_or("a watch needs a callback")?);
            let changed: Changed = Box::new(move |pairs| {
                let keys: Vec<CString> = pairs.iter().map(|pair| c_string(pair.key)).collect();
                let mut keys: Vec<_> = keys.iter().map(|key| key.as_ptr().cast_mut()).collect();
                let count = c_int::try_from(keys.len()).unwrap_or(c_int::MAX);
                // SAFETY: `count` NUL-terminated keys that outlive the call; the callback's code is
                // there until the watch has ended, which the header asks of its module.
                unsafe { call(count, keys.as_mut_ptr()) };
            });
            let make = || {
                let watch = provider.watch(&prefix, changed);
                watch.inspect_err(|reason| crate::warning!("{reason}")).ok()
            };
            Ok(provider.key_watches().add(&prefix, call as usize, make))
        });
        if watched.is_ok_and(|watched| watched) { 0 } else { -1 }
    })
}

pub unsafe fn unwatch_keys<P: Provider>(
    current: Current<P>,
    prefix: *const c_char,
    callback: sys::ast_consul_watch_keys_callback,
) -> c_int {
    guard(-1, || {
        // SAFETY: passed on to the caller.
        let prefix = unsafe { required(prefix, "a prefix") };
        let ended = with(current, |provider| {
            let (prefix, call) = (prefix?, callback.ok_or("a watch has a callback")?);
            Ok(provider.key_watches().remove(&prefix, call as usize))
        });
        if ended.is_ok_and(|ended| ended) { 0 } else { -1 }
    })
}

/// The caller's data, on its way to the callback.
struct Data(*mut c_void);

// SAFETY: the pointer is only handed back to the callback, which the header says is called on
// another thread.
unsafe impl Send for Data {}
// SAFETY: as above; one call at a time.
unsafe impl Sync for Data {}

pub unsafe fn watch<P: Provider>(
    current: Current<P>,
    prefix: *const c_char,
    callback: sys::ast_consul_watch_callback,
    data: *mut c_void,
) -> *mut sys::ast_consul_watch {
    guard(std::ptr::null_mut(), || {
        // SAFETY: passed on to the caller.
        let prefix = unsafe { required(prefix, "a prefix") };
        let data = Data(data);
        let made = with(current, |provider| {
            let call = callback.ok_or("a watch needs a callback")?;
            let changed: Changed = Box::new(move |pairs| call_with_pairs(call, &data, pairs));
            provider.watch(&prefix?, changed)
        });
        match made {
            Ok(watch) => to_c(watch),
            Err(reason) => {
                crate::warning!("{reason}");
                std::ptr::null_mut()
            }
        }
    })
}

type PairsCallback = unsafe extern "C" fn(*mut c_void, *const sys::ast_consul_pair, usize);

fn call_with_pairs(call: PairsCallback, data: &Data, pairs: &[Pair<'_>]) {
    let texts: Vec<(CString, Vec<u8>)> =
        pairs.iter().map(|pair| (c_string(pair.key), [pair.value, b"\0"].concat())).collect();
    let pairs: Vec<sys::ast_consul_pair> = pairs
        .iter()
        .zip(&texts)
        .map(|(pair, (key, value))| sys::ast_consul_pair {
            key: key.as_ptr(),
            value: value.as_ptr().cast(),
            length: pair.value.len(),
            flags: pair.flags,
            modify_index: pair.modify_index,
        })
        .collect();
    // SAFETY: pairs and texts outlive the call; the callback's code and data are there until the
    // watch has ended, which the header asks of its module.
    unsafe { call(data.0, pairs.as_ptr(), pairs.len()) };
}

pub unsafe fn unwatch<P: Provider>(watch: *mut sys::ast_consul_watch) {
    guard((), || {
        if !watch.is_null() {
            // SAFETY: made by `watch` with this type, and given back once.
            drop(unsafe { Box::from_raw(watch.cast::<P::Watch>()) });
        }
    });
}

/// A copy of `bytes` with a NUL after it, for `ast_free`. NULL without memory.
fn to_host(bytes: &[u8]) -> *mut c_char {
    // SAFETY: any size; the result is memory of that size, or NULL.
    let copy = unsafe { sys::shim_malloc(bytes.len() + 1) }.cast::<u8>();
    if !copy.is_null() {
        // SAFETY: fresh memory, larger than what is copied.
        unsafe { copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        // SAFETY: its last byte.
        let end = unsafe { copy.add(bytes.len()) };
        // SAFETY: as above.
        unsafe { end.write(0) };
    }
    copy.cast()
}

pub unsafe fn kv_get<P: Provider>(
    current: Current<P>,
    key: *const c_char,
    value: *mut *mut c_char,
    length: *mut usize,
) -> c_int {
    guard(-1, || {
        if value.is_null() {
            return -1;
        }
        // SAFETY: the caller's variable, as the header asks.
        unsafe { value.write(std::ptr::null_mut()) };
        // SAFETY: passed on to the caller.
        let key = unsafe { required(key, "a key") };
        let bytes = match with(current, |provider| provider.kv_get(&key?)) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return 0,
            Err(reason) => {
                crate::warning!("{reason}");
                return -1;
            }
        };
        let copy = to_host(&bytes);
        if copy.is_null() {
            return -1;
        }
        // SAFETY: the caller's variable, as above.
        unsafe { value.write(copy) };
        if !length.is_null() {
            // SAFETY: the caller's variable.
            unsafe { length.write(bytes.len()) };
        }
        1
    })
}

pub unsafe fn kv_put<P: Provider>(
    current: Current<P>,
    key: *const c_char,
    value: *const c_char,
    length: usize,
) -> c_int {
    guard(0, || {
        // SAFETY: passed on to the caller.
        let key = unsafe { required(key, "a key") };
        let value = if value.is_null() {
            &[]
        } else {
            // SAFETY: `length` bytes, alive for the call, as the header asks.
            unsafe { std::slice::from_raw_parts(value.cast::<u8>(), length) }
        };
        one_or_zero(with(current, |provider| provider.kv_put(&key?, value)))
    })
}

pub unsafe fn kv_delete<P: Provider>(current: Current<P>, key: *const c_char) -> c_int {
    guard(0, || {
        // SAFETY: passed on to the caller.
        let key = unsafe { required(key, "a key") };
        one_or_zero(with(current, |provider| provider.kv_delete(&key?)))
    })
}

pub unsafe fn kv_delete_tree<P: Provider>(current: Current<P>, prefix: *const c_char) -> c_int {
    guard(0, || {
        // SAFETY: passed on to the caller.
        let prefix = unsafe { required(prefix, "a prefix") };
        one_or_zero(with(current, |provider| {
            let prefix = prefix?;
            if prefix.is_empty() {
                return Err("refused to delete all keys: the prefix is empty".to_owned());
            }
            provider.kv_delete_tree(&prefix)
        }))
    })
}

pub unsafe fn shared_client<P: Provider>(current: Current<P>) -> *mut sys::ast_consul_client {
    guard(std::ptr::null_mut(), || {
        let provider = current();
        // The value lives in the provider, which lives until the unload of its module.
        provider.map_or(std::ptr::null_mut(), |provider| {
            std::ptr::from_ref(provider.shared_client()).cast_mut().cast()
        })
    })
}

pub unsafe fn client_alloc<P: Provider>(
    current: Current<P>,
    name: *const c_char,
) -> *mut sys::ast_consul_client {
    guard(std::ptr::null_mut(), || {
        // SAFETY: passed on to the caller.
        let name = unsafe { required(name, "a name") };
        match with(current, |provider| provider.new_client(&name?)) {
            Ok(client) => to_c(client),
            Err(reason) => {
                crate::warning!("{reason}");
                std::ptr::null_mut()
            }
        }
    })
}

pub unsafe fn client_request<P: Provider>(
    client: *mut sys::ast_consul_client,
    method: *const c_char,
    path: *const c_char,
    body: *const c_char,
    response: *mut sys::ast_consul_response,
) -> c_int {
    if response.is_null() {
        return -1;
    }
    let answer = guard(Err("internal error".to_owned()), || {
        if client.is_null() {
            return Err("there is no client".to_owned());
        }
        // SAFETY: made by `client_alloc` or `shared_client` with this type, and not freed.
        let client = unsafe { &*client.cast::<P::Client>() };
        // SAFETY: passed on to the caller.
        let method = unsafe { required(method, "a method") }?;
        // SAFETY: passed on to the caller.
        let path = unsafe { required(path, "a path") }?;
        // SAFETY: passed on to the caller; alive for the call.
        let body = (!body.is_null()).then(|| unsafe { crate::text::bytes(body) });
        client.request(&method, &path, body)
    });
    let (result, status, index, body) = match answer {
        Ok(Answer { status, index, body }) => (0, c_int::from(status), index, body),
        Err(reason) => (-1, 0, 0, reason.into_bytes()),
    };
    let copy = to_host(&body);
    let length = if copy.is_null() { 0 } else { body.len() };
    // SAFETY: the caller's structure, as the header asks.
    unsafe { response.write(sys::ast_consul_response { status, index, body: copy, length }) };
    if copy.is_null() { -1 } else { result }
}

pub unsafe fn response_free(response: *mut sys::ast_consul_response) {
    if response.is_null() {
        return;
    }
    // SAFETY: the caller's structure, filled in by `client_request`.
    let response = unsafe { &mut *response };
    // SAFETY: memory of `to_host`, or NULL, freed once for it is forgotten below.
    unsafe { sys::shim_free(response.body.cast()) };
    response.body = std::ptr::null_mut();
    response.length = 0;
}

pub unsafe fn client_interrupt<P: Provider>(client: *mut sys::ast_consul_client) {
    guard((), || {
        if !client.is_null() {
            // SAFETY: made by `client_alloc` with this type, and not freed.
            unsafe { &*client.cast::<P::Client>() }.interrupt();
        }
    });
}

pub unsafe fn client_free<P: Provider>(client: *mut sys::ast_consul_client) {
    guard((), || {
        if !client.is_null() {
            // SAFETY: made by `client_alloc` with this type, and given back once.
            drop(unsafe { Box::from_raw(client.cast::<P::Client>()) });
        }
    });
}

pub unsafe fn get_status<P: Provider>(
    current: Current<P>,
    status: *mut sys::ast_consul_status,
) -> c_int {
    guard(-1, || {
        let Ok(known) = with(current, |provider| Ok(provider.status())) else {
            return -1;
        };
        if status.is_null() {
            return -1;
        }
        let seconds = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            since.as_secs().try_into().unwrap_or(0)
        };
        let (failed, why) = known.last_failure.unzip();
        let mut failure = [0; 256];
        let why = c_string(&why.unwrap_or_default());
        let room = failure.len() - 1;
        for (to, from) in failure.iter_mut().zip(why.as_bytes().iter().take(room)) {
            *to = from.cast_signed() as c_char;
        }
        let state = match known.state {
            State::Disabled => sys::AST_CONSUL_DISABLED,
            State::Unknown => sys::AST_CONSUL_UNKNOWN,
            State::Reachable => sys::AST_CONSUL_REACHABLE,
            State::Unreachable => sys::AST_CONSUL_UNREACHABLE,
            State::Refused => sys::AST_CONSUL_REFUSED,
            State::Failing => sys::AST_CONSUL_FAILING,
        };
        let told = sys::ast_consul_status {
            state,
            last_answer: known.last_answer.map_or(0, seconds),
            last_failure: failed.map_or(0, seconds),
            failure,
            requests: known.requests,
            failures: known.failures,
            watches: u32::try_from(known.watches).unwrap_or(u32::MAX),
            logins: known.logins,
        };
        // SAFETY: the caller's structure, as the header asks.
        unsafe { status.write(told) };
        0
    })
}
