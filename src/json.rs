// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The host's JSON values (`asterisk/json.h`, jansson inside).
//!
//! Reference counts are atomic and concurrent reads of one value are fine; a value that others can
//! see is never changed: [`Json::copy`] first.

use std::borrow::Cow;
use std::ffi::{CStr, c_char};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::sys;
use crate::text::{bytes, c_string};

/// A reference to a JSON value that this side owns.
pub struct Json {
    value: NonNull<sys::ast_json>,
}

// SAFETY: Asterisk requires a jansson with atomic counts, and values are only read once shared.
unsafe impl Send for Json {}

impl Json {
    /// Takes over a reference that the caller owns; `None` for NULL.
    ///
    /// # Safety
    ///
    /// `value` is NULL or a JSON value whose reference passes to the result.
    pub(crate) unsafe fn from_owned(value: *mut sys::ast_json) -> Option<Self> {
        NonNull::new(value).map(|value| Self { value })
    }

    /// Parses `text`, whose root must be an object or an array; `None` if it is not JSON.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = c_string(text);
        // SAFETY: the text outlives the call; no error structure is asked for.
        let value = unsafe { sys::ast_json_load_string(text.as_ptr(), std::ptr::null_mut()) };
        // SAFETY: the host returns a new reference or NULL.
        unsafe { Self::from_owned(value) }
    }

    /// Sets `key` of this object to a string. `false` if the host refuses: no object, no memory.
    pub fn set_string(&mut self, key: &CStr, text: &str) -> bool {
        let text = c_string(text);
        // SAFETY: a NUL-terminated text; the result is a new reference or NULL.
        let value = unsafe { sys::ast_json_string_create(text.as_ptr()) };
        // SAFETY: the setter takes the value's reference even when it fails, and is safe with NULL.
        unsafe { sys::ast_json_object_set(self.value.as_ptr(), key.as_ptr(), value) == 0 }
    }

    /// Gives the reference to C.
    pub(crate) fn into_raw(self) -> *mut sys::ast_json {
        ManuallyDrop::new(self).value.as_ptr() // the receiver drops it
    }
}

impl Drop for Json {
    fn drop(&mut self) {
        // SAFETY: the reference this value stands for, given back once.
        unsafe { sys::ast_json_unref(self.value.as_ptr()) };
    }
}

impl Deref for Json {
    type Target = Value;

    fn deref(&self) -> &Value {
        // SAFETY: `Value` is a transparent view of the pointer's target, alive while `self` is.
        unsafe { Value::from_raw(self.value.as_ptr()) }
    }
}

/// A JSON value borrowed from whoever owns it.
#[repr(transparent)]
pub struct Value {
    value: sys::ast_json,
}

impl Value {
    /// # Safety
    ///
    /// `value` is not NULL and lives, unchanged, for `'a`.
    pub(crate) unsafe fn from_raw<'a>(value: *mut sys::ast_json) -> &'a Self {
        // SAFETY: transparent over the opaque host type; the caller promises the rest.
        unsafe { &*value.cast_const().cast::<Self>() }
    }

    /// The host's functions take `*mut` for reads as well.
    pub(crate) fn as_ptr(&self) -> *mut sys::ast_json {
        (&raw const self.value).cast_mut()
    }

    /// The string at `key`, if this is an object that has one.
    #[must_use]
    pub fn string(&self, key: &CStr) -> Option<Cow<'_, str>> {
        // SAFETY: a borrowed value of this object, or NULL; safe on any kind of value.
        let value = unsafe { sys::ast_json_object_get(self.as_ptr(), key.as_ptr()) };
        if value.is_null() {
            return None;
        }
        // SAFETY: not NULL; the text belongs to the value, which this object keeps alive.
        let text = unsafe { sys::ast_json_string_get(value) };
        // SAFETY: NUL-terminated and unchanged while the object is borrowed; NULL is asked for.
        (!text.is_null()).then(|| String::from_utf8_lossy(unsafe { bytes(text) }))
    }

    /// The strings of the array at `key`; empty if there is none.
    #[must_use]
    pub fn strings(&self, key: &CStr) -> Vec<String> {
        // SAFETY: a borrowed value of this object, or NULL; safe on any kind of value.
        let array = unsafe { sys::ast_json_object_get(self.as_ptr(), key.as_ptr()) };
        // SAFETY: the size of NULL and of what is no array is 0.
        let size = unsafe { sys::ast_json_array_size(array) };
        (0..size)
            .filter_map(|index| {
                // SAFETY: a borrowed element, or NULL.
                let element = unsafe { sys::ast_json_array_get(array, index) };
                if element.is_null() {
                    return None;
                }
                // SAFETY: not NULL; NULL comes back for what is no string.
                let text = unsafe { sys::ast_json_string_get(element) };
                // SAFETY: NUL-terminated and alive with the array.
                (!text.is_null()).then(|| String::from_utf8_lossy(unsafe { bytes(text) }).into())
            })
            .collect()
    }

    /// A copy of the outermost level, whose own keys may be set; what is inside stays shared.
    #[must_use]
    pub fn copy(&self) -> Option<Json> {
        // SAFETY: reads this value and returns a new reference or NULL.
        let copy = unsafe { sys::ast_json_copy(self.as_ptr()) };
        // SAFETY: as above.
        unsafe { Json::from_owned(copy) }
    }

    /// What kind of value this is, with what it holds.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        // SAFETY: reads this value.
        let kind = unsafe { sys::ast_json_typeof(self.as_ptr()) };
        match kind {
            sys::AST_JSON_OBJECT => View::Object(Members::of(self)),
            sys::AST_JSON_ARRAY => View::Array(Elements::of(self)),
            sys::AST_JSON_STRING => {
                // SAFETY: reads this value.
                let text = unsafe { sys::ast_json_string_get(self.as_ptr()) };
                // SAFETY: NUL-terminated, alive and unchanged while this value is borrowed.
                View::String(unsafe { bytes(text) })
            }
            sys::AST_JSON_INTEGER => {
                // SAFETY: reads this value.
                View::Integer(unsafe { sys::ast_json_integer_get(self.as_ptr()) })
            }
            sys::AST_JSON_TRUE => View::Bool(true),
            sys::AST_JSON_FALSE => View::Bool(false),
            sys::AST_JSON_NULL => View::Null,
            _ => View::Other,
        }
    }

    /// What an object has at `key`.
    #[must_use]
    pub fn member(&self, key: &CStr) -> Option<&Value> {
        // SAFETY: a borrowed value of this object, or NULL; safe on any kind of value.
        let value = unsafe { sys::ast_json_object_get(self.as_ptr(), key.as_ptr()) };
        // SAFETY: alive as long as this object, which is not changed while it is borrowed.
        (!value.is_null()).then(|| unsafe { Self::from_raw(value) })
    }

    /// This value as compact text in the order its keys were set; `None` without memory.
    #[must_use]
    pub fn dump(&self) -> Option<Text> {
        // SAFETY: reads this value; the result is ours to free, or NULL.
        let text =
            unsafe { sys::ast_json_dump_string_format(self.as_ptr(), sys::AST_JSON_COMPACT) };
        NonNull::new(text).map(|text| Text { text })
    }
}

/// What a value is.
pub enum View<'a> {
    /// An object.
    Object(Members<'a>),
    /// An array.
    Array(Elements<'a>),
    /// A string: UTF-8, by jansson's word.
    String(&'a [u8]),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// A real number.
    Other,
}

/// The members of an object in the order they were set.
pub struct Members<'a> {
    object: &'a Value,
    next: *mut sys::ast_json_iter,
}

impl<'a> Members<'a> {
    fn of(object: &'a Value) -> Self {
        // SAFETY: reads an object that is alive and unchanged for 'a.
        let next = unsafe { sys::ast_json_object_iter(object.as_ptr()) };
        Self { object, next }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        let at = NonNull::new(self.next)?.as_ptr();
        // SAFETY: a place in an object that is alive and unchanged for 'a.
        self.next = unsafe { sys::ast_json_object_iter_next(self.object.as_ptr(), at) };
        // SAFETY: as above.
        let value = NonNull::new(unsafe { sys::ast_json_object_iter_value(at) })?;
        // SAFETY: as above.
        let key = unsafe { sys::ast_json_object_iter_key(at) };
        // SAFETY: NUL-terminated, alive and unchanged with the object.
        let key = unsafe { bytes(key) };
        // SAFETY: alive and unchanged with the object.
        Some((key, unsafe { Value::from_raw(value.as_ptr()) }))
    }
}

/// The elements of an array.
pub struct Elements<'a> {
    array: &'a Value,
    rest: std::ops::Range<usize>,
}

impl<'a> Elements<'a> {
    fn of(array: &'a Value) -> Self {
        // SAFETY: reads an array that is alive and unchanged for 'a.
        let size = unsafe { sys::ast_json_array_size(array.as_ptr()) };
        Self { array, rest: 0..size }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a Value;

    fn next(&mut self) -> Option<&'a Value> {
        let index = self.rest.next()?;
        // SAFETY: reads an array that is alive and unchanged for 'a.
        let element = unsafe { sys::ast_json_array_get(self.array.as_ptr(), index) };
        // SAFETY: not NULL, alive and unchanged with the array.
        NonNull::new(element).map(|element| unsafe { Value::from_raw(element.as_ptr()) })
    }
}

/// JSON text made by the host.
pub struct Text {
    text: NonNull<c_char>,
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        // SAFETY: NUL-terminated by the host and owned by this value.
        let bytes = unsafe { bytes(self.text.as_ptr()) };
        // jansson only takes and writes UTF-8; if it ever did not, no event is better than a
        // wrong one.
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // SAFETY: made by ast_json_dump_string_format, whose free this is, and freed once.
        unsafe { sys::ast_json_free(self.text.as_ptr().cast()) };
    }
}
