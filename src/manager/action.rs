// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! AMI actions: ours, and those of others from within.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::boundary::guard;
use crate::inside::Inside;
use crate::sys;
use crate::text::{bytes, c_string, lossy};

/// What an action answers: the headers of a success, or the message of an error.
pub type Answer = Result<Vec<(&'static str, String)>, String>;

/// An action: what it is called and what it does. Its help is in the module's `documentation.xml`.
pub struct Action {
    /// Its name, as `DiscoverySetMaintenance`.
    pub name: &'static str,
    /// Called on the session's thread, with the module's use count raised, so that no unload begins
    /// meanwhile. One that had begun waits, so this must not wait for it.
    pub run: fn(&Request<'_>) -> Answer,
}

/// The help of an action whose documentation the host has not read. Without any it would warn of
/// that, twice for each.
const UNREAD: &CStr = c"Its help is there after the next start of Asterisk";

/// What was asked.
#[derive(Debug)]
pub struct Request<'a> {
    message: &'a sys::message,
}

impl Request<'_> {
    /// The value of a header; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &CStr) -> String {
        // SAFETY: the message lives as long as the call; the name is only read, and the result is
        // never NULL.
        let value = unsafe { sys::astman_get_header(self.message, name.as_ptr().cast_mut()) };
        // SAFETY: NUL-terminated, alive with the message.
        unsafe { lossy(value) }.into_owned()
    }
}

/// The actions of this module that are registered: the host hands a callback no data but the
/// message, which has the name.
static REGISTERED: Mutex<Vec<&'static Action>> = Mutex::new(Vec::new());

/// Registered actions; dropping it takes them back.
#[derive(Debug)]
pub struct Actions {
    names: Vec<CString>,
}

impl Actions {
    /// Registers `actions`, for users that may write `system`. To be called in `load`; dropped in
    /// `unload`.
    ///
    /// # Errors
    ///
    /// The action that the host did not take: another has its name.
    pub fn register(actions: &'static [Action]) -> Result<Self, String> {
        let mut registered = Self { names: Vec::with_capacity(actions.len()) };
        for action in actions {
            REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).push(action);
            let name = c_string(action.name);
            let authority = c_int::try_from(sys::EVENT_FLAG_SYSTEM).unwrap_or_default();
            // SAFETY: the loader has set the module before it calls load.
            let module = unsafe { sys::shim_module_self() };
            // SAFETY: NUL-terminated; copied into a query.
            let is_documented = unsafe { sys::shim_action_is_documented(name.as_ptr()) } != 0;
            let synopsis = if is_documented { ptr::null() } else { UNREAD.as_ptr() };
            // SAFETY: the name outlives its registration, of which the host keeps the pointer; the
            // synopsis is copied, and without one the help is that of the documentation.
            let result = unsafe {
                sys::ast_manager_register2(
                    name.as_ptr(),
                    authority,
                    Some(receive),
                    module,
                    synopsis,
                    c"".as_ptr(),
                )
            };
            if result != 0 {
                forget(&name);
                return Err(format!("the AMI action '{}' is taken", action.name));
            }
            registered.names.push(name);
        }
        Ok(registered)
    }
}

impl Drop for Actions {
    /// Takes the actions back, and waits for those that run for as long as it takes: their code and
    /// their names must outlive them.
    fn drop(&mut self) {
        for name in &self.names {
            // SAFETY: registered by `register`; one that runs meanwhile is waited for below.
            unsafe { sys::ast_manager_unregister(name.as_ptr()) };
            forget(name);
        }
        wait_unused();
    }
}

/// Actions of this module that run.
static INSIDE: Inside = Inside::nobody();

/// Waits until no action runs or is about to, once none can be found any more. The use count was 0
/// when the unload began, but the host gives it to whoever asks until the unload has ended: it raises
/// it before it calls an action that it has found, and lowers it as the last it does with the module.
/// One that is not 0 at the end is never forgotten, and keeps what this module needs loaded for ever.
fn wait_unused() {
    /// For how long others than actions may have the module in use: when an unload is forced, those
    /// that depend on it do.
    const OTHERS: Duration = Duration::from_secs(1);

    let mut told = Instant::now();
    let mut inside = told;
    loop {
        let now = Instant::now();
        if !INSIDE.is_empty() {
            inside = now;
            if now - told > Duration::from_secs(1) {
                crate::warning!("an AMI action does not return");
                told = now;
            }
        } else if uses() == 0 || now - inside > OTHERS {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn uses() -> c_int {
    // SAFETY: in load or unload, on the thread that has the host's list of modules locked.
    unsafe { sys::shim_module_uses() }
}

fn forget(name: &CStr) {
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    registered.retain(|action| action.name.as_bytes() != name.to_bytes());
    if registered.is_empty() {
        // A static is not dropped when the module goes: its memory would be lost with each life.
        *registered = Vec::new();
    }
}

/// Always 0: the host takes anything else for the wish to end the session.
unsafe extern "C" fn receive(session: *mut sys::mansession, message: *const sys::message) -> c_int {
    let _visit = INSIDE.enter();
    let answer = guard(Err("internal error".to_owned()), || {
        // SAFETY: the host gives a message that lives as long as the call.
        let request = Request { message: unsafe { &*message } };
        let name = request.header(c"Action");
        let registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wanted = registered.iter().find(|action| action.name.eq_ignore_ascii_case(&name));
        let headers = (wanted.ok_or("no such action")?.run)(&request)?;
        Ok((request.header(c"ActionID"), headers))
    });
    match answer {
        Err(reason) => {
            let reason = c_string(&one_line(&reason));
            // SAFETY: session and message are the host's, the text outlives the call and is not
            // written to.
            unsafe { sys::astman_send_error(session, message, reason.as_ptr().cast_mut()) };
        }
        Ok((id, headers)) => {
            append(session, c"Response: Success\r\n");
            if !id.is_empty() {
                append(session, &c_string(&format!("ActionID: {}\r\n", one_line(&id))));
            }
            for (name, value) in headers {
                append(session, &c_string(&format!("{name}: {}\r\n", one_line(&value))));
            }
            append(session, c"\r\n");
        }
    }
    0
}

fn append(session: *mut sys::mansession, line: &CStr) {
    // SAFETY: the host's session; a constant format that takes one string.
    unsafe { sys::astman_append(session, c"%s".as_ptr(), line.as_ptr()) };
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

/// What the action in [`perform`] has answered so far: the host's helper takes no data.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Performs an action of any module's, as an AMI user who may do everything would, and gives its
/// answer as AMI writes it. The host counts the action's module as in use meanwhile, which makes
/// this the safe way to ask a module that may be unloaded at any time. Threads of the module, one
/// at a time.
#[must_use]
pub fn perform(action: &str) -> Option<String> {
    static ONE: Mutex<()> = Mutex::new(());

    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    ANSWER.lock().unwrap_or_else(PoisonError::into_inner).clear();
    // SAFETY: a hook of zeroes is an unlinked one, and it is not registered.
    let mut hook: sys::manager_custom_hook = unsafe { std::mem::zeroed() };
    hook.file = c"constellation".as_ptr().cast_mut();
    hook.helper = Some(collect);
    let message = c_string(&format!("Action: {action}\r\n"));
    // SAFETY: the hook and the text outlive the call, which calls `collect` on this thread.
    let result = unsafe { sys::ast_hook_send_action(&raw mut hook, message.as_ptr()) };
    let answer = std::mem::take(&mut *ANSWER.lock().unwrap_or_else(PoisonError::into_inner));
    (result == 0 && !answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned())
}

unsafe extern "C" fn collect(_category: c_int, _event: *const c_char, text: *mut c_char) -> c_int {
    guard((), || {
        // SAFETY: NUL-terminated, or NULL, and alive for the call.
        let text = unsafe { bytes(text) };
        ANSWER.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text);
    });
    0
}
