// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Reference-counted objects of the host (`asterisk/astobj2.h`).

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use crate::sys;

/// One reference to an ao2 object, given back on drop. References may be held and dropped on any
/// thread: the host counts them atomically.
pub struct Ref<T> {
    object: NonNull<T>,
}

// SAFETY: a reference is a count the host keeps atomically; what `T` allows is asked of `T`.
unsafe impl<T: Send + Sync> Send for Ref<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Ref<T> {}

impl<T> Ref<T> {
    /// Takes over a reference that the caller owns; `None` for NULL.
    ///
    /// # Safety
    ///
    /// `object` is NULL or an ao2 object of type `T` whose reference passes to the result.
    pub(crate) unsafe fn from_owned(object: *mut T) -> Option<Self> {
        NonNull::new(object).map(|object| Self { object })
    }

    /// The object, for a call into the host.
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.object.as_ptr()
    }

    /// How many references there are, this one included. Exact only if no other thread can make
    /// one: see [`crate::stasis_app::App::end`].
    #[must_use]
    pub fn count(&self) -> usize {
        // SAFETY: the reference keeps the object alive; a delta of 0 only reads the count.
        let count = unsafe { sys::shim_ao2_ref(self.object.as_ptr().cast(), 0) };
        usize::try_from(count).unwrap_or(0)
    }
}

impl<T: Send + Sync + 'static> Ref<Owned<T>> {
    /// A new object that holds `value` and drops it with the last reference. `None` if the host
    /// has no memory.
    #[must_use]
    pub fn new(value: T) -> Option<Self> {
        // SAFETY: the size is that of the object, and the destructor below is of the same type.
        let object = unsafe { sys::shim_ao2_alloc(size_of::<Owned<T>>(), Some(destroy::<T>)) };
        let object = NonNull::new(object.cast::<Owned<T>>())?;
        let boxed = Box::into_raw(Box::new(value));
        // SAFETY: fresh memory of the right size; nobody else has the pointer yet. ao2 aligns its
        // objects for any C type, and a pointer is one.
        unsafe { object.as_ptr().write(Owned { value: boxed }) };
        Some(Self { object })
    }
}

impl<T> Drop for Ref<T> {
    fn drop(&mut self) {
        // SAFETY: this is the reference that the value stands for, and it is given back once.
        unsafe { sys::shim_ao2_cleanup(self.object.as_ptr().cast()) };
    }
}

/// An ao2 object that holds a Rust value. The value is boxed so that its alignment is Rust's.
#[repr(C)]
pub struct Owned<T> {
    value: *mut T,
}

// SAFETY: the pointer owns its value, as a Box does.
unsafe impl<T: Send> Send for Owned<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Owned<T> {}

impl<T> Owned<T> {
    /// The value that an object's data pointer leads to.
    ///
    /// # Safety
    ///
    /// `object` was made by [`Ref::new`] with the same `T`, and a reference to it is held for `'a`.
    pub(crate) unsafe fn value<'a>(object: *mut c_void) -> &'a T {
        // SAFETY: the caller promises the type and a live reference; `new` wrote the pointer.
        let owned = unsafe { &*object.cast::<Self>() };
        // SAFETY: the box lives until the destructor, which runs after the last reference.
        unsafe { &*owned.value }
    }
}

unsafe extern "C" fn destroy<T>(object: *mut c_void) {
    crate::boundary::guard((), || {
        // SAFETY: the host calls this once, with the object that `new` made with the same `T`.
        let owned = unsafe { &mut *object.cast::<Owned<T>>() };
        let value = std::mem::replace(&mut owned.value, ptr::null_mut());
        if !value.is_null() {
            // SAFETY: `new` made the pointer by Box::into_raw, and it was taken out above.
            drop(unsafe { Box::from_raw(value) });
        }
    });
}
