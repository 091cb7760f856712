// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Asterisk's logger.
//!
//! ERROR: a function is lost. WARNING: it is degraded. NOTICE: the operator wants to know. Debug:
//! detail, made only when the level is set. The macros are for any thread; the host's logger
//! queues the line.

use std::ffi::c_int;
use std::fmt;

use crate::sys;
use crate::text::c_string;

/// A level of `asterisk/logger.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Detail, behind `core set debug`.
    Debug,
    /// For the operator, nothing is wrong.
    Notice,
    /// Something is degraded.
    Warning,
    /// A function is lost.
    Error,
}

impl Level {
    fn host(self) -> c_int {
        let level = match self {
            Self::Debug => sys::__LOG_DEBUG,
            Self::Notice => sys::__LOG_NOTICE,
            Self::Warning => sys::__LOG_WARNING,
            Self::Error => sys::__LOG_ERROR,
        };
        level as c_int
    }
}

/// Whether a debug line of `level` would be shown: `core set debug`, for all or for this module.
#[must_use]
pub fn debug_at_least(level: u32) -> bool {
    // SAFETY: reads two of the host's option words; may be called on any thread.
    unsafe { sys::shim_debug_at_least(level as c_int) != 0 }
}

/// Writes one line. Use the macros, which fill in the place.
pub fn emit(level: Level, file: &str, line: u32, function: &str, message: fmt::Arguments<'_>) {
    let file = c_string(file);
    let function = c_string(function);
    let message = c_string(&message.to_string());
    // SAFETY: the format is a constant that takes one string; all pointers outlive the call.
    unsafe {
        sys::ast_log(
            level.host(),
            file.as_ptr(),
            line as c_int,
            function.as_ptr(),
            c"%s\n".as_ptr(),
            message.as_ptr(),
        );
    }
}

/// Logs an ERROR: a function is lost.
#[macro_export]
macro_rules! error {
    ($($arg:tt)+) => { $crate::__log!(Error, $($arg)+) };
}

/// Logs a WARNING: something is degraded.
#[macro_export]
macro_rules! warning {
    ($($arg:tt)+) => { $crate::__log!(Warning, $($arg)+) };
}

/// Logs a NOTICE for the operator.
#[macro_export]
macro_rules! notice {
    ($($arg:tt)+) => { $crate::__log!(Notice, $($arg)+) };
}

/// Logs detail if `core set debug` is at the level given first.
#[macro_export]
macro_rules! debug {
    ($level:expr, $($arg:tt)+) => {
        if $crate::log::debug_at_least($level) {
            $crate::__log!(Debug, $($arg)+)
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $($arg:tt)+) => {
        $crate::log::emit(
            $crate::log::Level::$level,
            file!(),
            line!(),
            module_path!(),
            format_args!($($arg)+),
        )
    };
}
