// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Applications' names as numbers, so that a channel's entry is small.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::App;

/// More names than any fleet has applications; those beyond share the last number.
const MOST: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Names(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    pub(super) fn number(&self, name: &str) -> App {
        if let Some(number) =
            self.0.read().unwrap_or_else(PoisonError::into_inner).numbers.get(name)
        {
            return App(*number);
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = table.numbers.get(name) {
            return App(*number);
        }
        if table.names.len() >= MOST {
            return App(u32::MAX);
        }
        let number = u32::try_from(table.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        table.names.push(Arc::clone(&name));
        table.numbers.insert(name, number);
        App(number)
    }

    pub(super) fn name(&self, app: App) -> Option<Arc<str>> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.names.get(usize::try_from(app.0).ok()?).cloned()
    }
}
