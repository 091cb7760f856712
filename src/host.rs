// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The host as a whole: its version, its load, its end.

use crate::sys;
use crate::text::lossy;

/// The version that runs, as `22.10.1`; Debian's addition is left out.
#[must_use]
pub fn version() -> String {
    // SAFETY: takes nothing, returns a constant text.
    let text = unsafe { sys::ast_get_version() };
    // SAFETY: constant and NUL-terminated.
    let text = unsafe { lossy(text) };
    text.split(['~', '+']).next().unwrap_or_default().to_owned()
}

/// Whether the version that runs has the structures of the headers that this was built with: they
/// change from one minor version to another, and never between releases that only mend.
#[must_use]
pub fn is_as_built() -> bool {
    is_same_minor(&version(), crate::module::built_for())
}

fn is_same_minor(running: &str, built_for: &str) -> bool {
    let minor = |version: &str| {
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    minor(running).is_some_and(|running| minor(built_for) == Some(running))
}

/// Whether a stop or restart has begun: at once for `now` and `gracefully`, for `when convenient`
/// only when the last channel is gone. False again after `core abort shutdown`. The host tells of it
/// by no event, so it is polled. Any thread.
#[must_use]
pub fn is_shutting_down() -> bool {
    // SAFETY: reads a variable of the host.
    unsafe { sys::ast_shutting_down() != 0 }
}

/// How many channels there are. Any thread; takes a lock of the host for a moment.
#[must_use]
pub fn active_channels() -> usize {
    // SAFETY: counts the host's container of channels.
    usize::try_from(unsafe { sys::ast_active_channels() }).unwrap_or(0)
}

/// How many task processors are above their high-water mark. While there is one, `res_pjsip`
/// refuses new calls. Any thread.
#[must_use]
pub fn overloaded_task_processors() -> u32 {
    // SAFETY: reads a counter of the host.
    unsafe { sys::ast_taskprocessor_alert_get() }
}

/// Ends the host as SIGTERM does, which is `core stop now`. Any thread; returns at once.
pub fn stop_now() {
    // SAFETY: always succeeds.
    let this = unsafe { libc::getpid() };
    // SAFETY: a signal to this process, whose handler only notes it.
    unsafe { libc::kill(this, libc::SIGTERM) };
}

#[cfg(test)]
mod tests {
    use super::is_same_minor;

    #[test]
    fn only_versions_of_one_minor_version_have_the_same_structures() {
        assert!(is_same_minor("22.10.1", "22.10.1"));
        assert!(is_same_minor("22.10.1", "22.10.2"));
        assert!(!is_same_minor("22.10.1", "22.1.1"));
        assert!(!is_same_minor("22.10.1", "20.10.1"));
        assert!(!is_same_minor("GIT-22-abc", "GIT-22-abc"));
        assert!(!is_same_minor("", "22.10.1"));
    }
}
