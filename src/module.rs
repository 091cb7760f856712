// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! A module's life: load, reload, unload, and the host's end.
//!
//! The descriptor is `module.c` of the module crate, made by Asterisk's own macro; the functions it
//! names are written by [`module!`](crate::module!) and lead here.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::boundary::{self, guard};
use crate::sys;
use crate::text::lossy;

/// How long an unload waits for a callback that is inside the module to return.
const CALLBACKS_END: Duration = Duration::from_secs(5);

/// What a module is to its host.
///
/// `load`, `reload` and `unload` are called with the host's list of modules locked, on the thread
/// of whoever asked (boot, CLI, AMI, ARI), one at a time: no network, no waiting without a bound.
pub trait Module: Sized + Send + Sync + 'static {
    /// Makes the module. On `Err` everything is undone already: the host unmaps a module that
    /// declined without calling anything else of it. The text is logged as ERROR.
    ///
    /// # Errors
    ///
    /// Why the module declines.
    fn load() -> Result<Self, String>;

    /// Called once the value is where [`Slot::current`] finds it, for what leads to callbacks.
    ///
    /// # Errors
    ///
    /// Why the module declines. What was begun is then undone by [`Module::unload`].
    fn start(&self) -> Result<(), String>;

    /// Reads the configuration again and applies it.
    ///
    /// # Errors
    ///
    /// Why it was not applied; what ran before still runs.
    fn reload(&self) -> Result<(), String>;

    /// Ends everything: when it returns `Ok` no thread of the module runs and no callback is
    /// registered. Bounded in time.
    ///
    /// # Errors
    ///
    /// Why that is not so; the module then stays loaded and can be asked again.
    fn unload(&self) -> Result<(), String>;

    /// The host exits without unloading (`core stop now`, SIGTERM). Other threads still run.
    /// Bounded in time.
    fn shutdown(&self);
}

/// Where [`module!`](crate::module!) keeps the module between load and unload.
#[derive(Debug)]
pub struct Slot<M>(Mutex<Option<Arc<M>>>);

impl<M: Module> Default for Slot<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Module> Slot<M> {
    /// An empty slot.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The module, for callbacks that the host gives no data. `None` before load and from unload
    /// on. Unload waits until every clone is dropped, so hold it no longer than the callback.
    #[must_use]
    pub fn current(&self) -> Option<Arc<M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, module: Option<Arc<M>>) -> Option<Arc<M>> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), module)
    }

    /// For [`module!`](crate::module!). 0 is success.
    #[doc(hidden)]
    pub fn load(&self, at_exit: extern "C" fn()) -> c_int {
        boundary::install_hook();
        let result = guard(Err("it panicked".to_owned()), || self.try_load(at_exit));
        match result {
            Ok(()) => 0,
            Err(reason) => {
                self.undo_load(at_exit);
                crate::error!("not loaded: {reason}");
                boundary::remove_hook();
                -1
            }
        }
    }

    fn try_load(&self, at_exit: extern "C" fn()) -> Result<(), String> {
        check_version()?;
        // A load after an unload that left the object mapped finds the old statics: begin anew.
        drop(self.set(None));
        let module = Arc::new(M::load()?);
        self.set(Some(Arc::clone(&module)));
        module.start()?;
        // SAFETY: a function that lives until the unload, which takes it back.
        match unsafe { sys::ast_register_atexit(Some(at_exit)) } {
            0 => Ok(()),
            _ => Err("no memory".to_owned()),
        }
    }

    /// The host unmaps a module that declines, so nothing of it may be left, however long it takes.
    fn undo_load(&self, at_exit: extern "C" fn()) {
        guard((), || {
            while let Err(reason) = self.try_unload(at_exit) {
                crate::warning!("still to be undone: {reason}");
            }
        });
        guard((), || drop(self.set(None)));
    }

    /// For [`module!`](crate::module!). 0 is success.
    #[doc(hidden)]
    pub fn reload(&self) -> c_int {
        let result = guard(Err("it panicked".to_owned()), || {
            self.current().ok_or("it is not loaded")?.reload()
        });
        match result {
            Ok(()) => 0,
            Err(reason) => {
                crate::error!("not reloaded, the configuration before stays: {reason}");
                -1
            }
        }
    }

    /// For [`module!`](crate::module!). 0 is success.
    #[doc(hidden)]
    pub fn unload(&self, at_exit: extern "C" fn()) -> c_int {
        let result = guard(Err("it panicked".to_owned()), || self.try_unload(at_exit));
        match result {
            Ok(()) => {
                boundary::remove_hook();
                0
            }
            Err(reason) => {
                crate::error!("not unloaded: {reason}");
                -1
            }
        }
    }

    fn try_unload(&self, at_exit: extern "C" fn()) -> Result<(), String> {
        let Some(module) = self.current() else {
            return Ok(());
        };
        module.unload()?;
        self.set(None);
        // A callback that came by `current` may still be inside.
        let deadline = Instant::now() + CALLBACKS_END;
        while Arc::strong_count(&module) > 1 {
            if Instant::now() > deadline {
                self.set(Some(module));
                return Err("a callback does not return".to_owned());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // SAFETY: takes back what load registered; one that is not registered changes nothing.
        unsafe { sys::ast_unregister_atexit(Some(at_exit)) };
        drop(module);
        Ok(())
    }

    /// For [`module!`](crate::module!).
    #[doc(hidden)]
    pub fn shutdown(&self) {
        guard((), || {
            if let Some(module) = self.current() {
                module.shutdown();
            }
        });
    }
}

/// The version of the headers this was compiled against.
#[must_use]
pub const fn built_for() -> &'static str {
    env!("ASTERISK_BUILT_FOR")
}

/// Whether the host has finished its start.
#[must_use]
pub fn fully_booted() -> bool {
    // SAFETY: reads one of the host's option words; may be called on any thread.
    unsafe { sys::shim_fully_booted() != 0 }
}

/// Nothing in the host's loader tells a module built for 16 from one built for 22: their
/// build-option sums are the same.
fn check_version() -> Result<(), String> {
    // SAFETY: takes nothing, returns a constant text.
    let number = unsafe { sys::ast_get_version_num() };
    // SAFETY: constant and NUL-terminated.
    let number = unsafe { lossy(number) };
    // SAFETY: takes nothing, returns a constant text.
    let running = unsafe { sys::ast_get_version() };
    // SAFETY: constant and NUL-terminated.
    let running = unsafe { lossy(running) };
    match major_of_number(&number) {
        Some(host) if Some(host) != major_of_text(built_for()) => Err(format!(
            "it was built for Asterisk {}, this is Asterisk {running}; install the module built \
             for this version",
            built_for()
        )),
        _ => Ok(()),
    }
}

/// `221001` is 22.10.1; builds from a branch say 999999, which tells nothing.
fn major_of_number(number: &str) -> Option<u32> {
    let number: u32 = number.parse().ok()?;
    (number != 999_999).then_some(number / 10_000)
}

fn major_of_text(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

/// Writes the functions that `module.c` names, for a type that is a [`Module`](module::Module), and
/// a static `MODULE` of type [`Slot`](module::Slot) that callbacks find the module by.
///
/// The functions come out hidden, because `src/shim/shim.h` declares them so: of our modules, several
/// in one process, none can call another's.
#[macro_export]
macro_rules! module {
    ($module:ty) => {
        pub(crate) static MODULE: $crate::module::Slot<$module> = $crate::module::Slot::new();

        #[unsafe(no_mangle)]
        extern "C" fn asterisk_module_load() -> ::std::ffi::c_int {
            MODULE.load(asterisk_module_at_exit)
        }

        #[unsafe(no_mangle)]
        extern "C" fn asterisk_module_reload() -> ::std::ffi::c_int {
            MODULE.reload()
        }

        #[unsafe(no_mangle)]
        extern "C" fn asterisk_module_unload() -> ::std::ffi::c_int {
            MODULE.unload(asterisk_module_at_exit)
        }

        extern "C" fn asterisk_module_at_exit() {
            MODULE.shutdown();
        }
    };
}

#[cfg(test)]
mod tests {
    use super::{major_of_number, major_of_text};

    #[test]
    fn the_major_version_is_read_from_the_hosts_number() {
        assert_eq!(major_of_number("221001"), Some(22));
        assert_eq!(major_of_number("162800"), Some(16));
        assert_eq!(major_of_number("999999"), None);
        assert_eq!(major_of_number("unknown"), None);
    }

    #[test]
    fn the_major_version_is_read_from_a_package_version() {
        assert_eq!(major_of_text("22.10.1+dfsg"), Some(22));
        assert_eq!(major_of_text("16.28.0~dfsg"), Some(16));
        assert_eq!(major_of_text("master"), None);
    }
}
