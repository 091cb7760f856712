// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! One section as it is read: which options there are is what is asked for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use super::{Faults, Secret, nearest, value};

const PREFIX: &str = "GATEWAY_";

/// The variables of the environment, and which of them were asked for.
#[derive(Debug)]
pub(super) struct Environment {
    variables: BTreeMap<String, String>,
    read: RefCell<BTreeSet<String>>,
}

impl Environment {
    pub(super) fn new(variables: BTreeMap<String, String>) -> Self {
        Self { variables, read: RefCell::default() }
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.read.borrow_mut().insert(name.to_owned());
        self.variables.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Variables that begin like one of ours and name no option. What else begins with `GATEWAY_`
    /// may be others': Kubernetes sets such for a service named so.
    pub(super) fn unread(&self, sections: &[&str]) -> Vec<String> {
        let read = self.read.borrow();
        let is_ours = |name: &str| {
            let rest = name.strip_prefix(PREFIX).unwrap_or_default().to_ascii_lowercase();
            let is_of = |section: &&str| {
                rest.strip_prefix(section).is_some_and(|option| option.starts_with('_'))
            };
            sections.iter().any(is_of)
        };
        let names = self.variables.keys().filter(|name| is_ours(name) && !read.contains(*name));
        names.cloned().collect()
    }
}

/// A section whose options are taken out one by one.
#[derive(Debug)]
pub(super) struct Section<'a> {
    name: String,
    options: toml::Table,
    environment: Option<&'a Environment>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        name: &str,
        found: Option<Value>,
        environment: &'a Environment,
        faults: &mut Faults,
    ) -> Self {
        let mut section = Self::without_environment(name, found, faults);
        section.environment = Some(environment);
        section
    }

    pub(super) fn without_environment(
        name: &str,
        found: Option<Value>,
        faults: &mut Faults,
    ) -> Self {
        let options = match found {
            None => toml::Table::new(),
            Some(Value::Table(options)) => options,
            Some(_) => {
                faults.unknown_option("", name, None);
                toml::Table::new()
            }
        };
        Self { name: name.to_owned(), options, environment: None, known: Vec::new() }
    }

    fn take(&mut self, option: &'static str) -> Option<Value> {
        self.known.push(option);
        let written = self.options.remove(option);
        let variable = format!("{PREFIX}{}_{option}", self.name).to_ascii_uppercase();
        let set = self.environment.and_then(|environment| environment.variable(&variable));
        set.map(|text| Value::String(text.to_owned())).or(written)
    }

    /// A text; an empty one is none.
    pub(super) fn text(&mut self, option: &'static str, faults: &mut Faults) -> Option<String> {
        match self.take(option)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text),
            other => self.wrong(option, &other, "a text in quotes", faults),
        }
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(
        &mut self,
        option: &'static str,
        words: &[(&'static str, T)],
        default: T,
        faults: &mut Faults,
    ) -> T {
        let Some(text) = self.text(option, faults) else { return default };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = nearest(&text, &names).map(|near| format!(" (did you mean {near}?)"));
        let near = near.unwrap_or_default();
        self.fault(option, format!("{text:?} is none of {}{near}", names.join(", ")), faults);
        default
    }

    pub(super) fn yes(&mut self, option: &'static str, default: bool, faults: &mut Faults) -> bool {
        match self.take(option) {
            None => default,
            Some(Value::Boolean(value)) => value,
            // The environment has only texts.
            Some(Value::String(text)) if text == "true" || text == "yes" => true,
            Some(Value::String(text)) if text == "false" || text == "no" => false,
            Some(other) => self.wrong(option, &other, "true or false", faults).unwrap_or(default),
        }
    }

    pub(super) fn number(
        &mut self,
        option: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
        faults: &mut Faults,
    ) -> u64 {
        let number = match self.take(option) {
            None => return default,
            Some(Value::Integer(number)) => u64::try_from(number).ok(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        self.within(option, number, default, range, "a number", faults)
    }

    pub(super) fn size(
        &mut self,
        option: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
        faults: &mut Faults,
    ) -> usize {
        let size = match self.take(option) {
            None => Some(default),
            Some(Value::Integer(number)) => u64::try_from(number).ok(),
            Some(Value::String(text)) => value::size(&text),
            Some(_) => None,
        };
        let size = self.within(option, size, default, range, "a size (65536, \"64k\")", faults);
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    pub(super) fn duration(
        &mut self,
        option: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
        faults: &mut Faults,
    ) -> Duration {
        let time = match self.take(option) {
            None => return default,
            Some(Value::String(text)) => value::duration(&text),
            Some(_) => None,
        };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let range = millis(*range.start())..=millis(*range.end());
        match time.map(millis) {
            Some(time) if range.contains(&time) => Duration::from_millis(time),
            Some(_) => {
                let (least, most) = (range.start(), range.end());
                self.fault(option, format!("must be from {least}ms to {most}ms"), faults);
                default
            }
            None => {
                self.fault(option, "is no duration (\"250ms\", \"5s\", \"2m\")", faults);
                default
            }
        }
    }

    /// Several texts; `None` when the option is absent, which is another thing than none at all.
    pub(super) fn texts(
        &mut self,
        option: &'static str,
        faults: &mut Faults,
    ) -> Option<Vec<String>> {
        let found = self.take(option)?;
        let Value::Array(entries) = found else {
            return self.wrong(option, &found, "a list of texts", faults);
        };
        let mut texts = Vec::new();
        for entry in entries {
            match entry {
                Value::String(text) if !text.is_empty() => texts.push(text),
                other => return self.wrong(option, &other, "a list of texts", faults),
            }
        }
        Some(texts)
    }

    /// One text or several; the environment separates them by commas.
    pub(super) fn text_or_texts(
        &mut self,
        option: &'static str,
        faults: &mut Faults,
    ) -> Option<Vec<String>> {
        match self.take(option)? {
            Value::String(text) => {
                let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
                Some(texts.map(str::to_owned).collect())
            }
            other => {
                self.options.insert(option.to_owned(), other);
                self.texts(option, faults)
            }
        }
    }

    /// A secret of the option, or the first line of the file that `<option>_file` names.
    pub(super) fn secret(
        &mut self,
        option: &'static str,
        file_option: &'static str,
        faults: &mut Faults,
    ) -> Option<Secret> {
        let written = self.text(option, faults).map(Secret::new);
        let Some(path) = self.text(file_option, faults) else { return written };
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.lines().next().map(str::trim) {
                Some(line) if !line.is_empty() => Some(Secret::new(line)),
                _ => {
                    self.fault(file_option, format!("{path} is empty"), faults);
                    None
                }
            },
            Err(error) => {
                self.fault(file_option, format!("{path} cannot be read: {error}"), faults);
                None
            }
        }
    }

    /// A file that must be there.
    pub(super) fn file(&mut self, option: &'static str, faults: &mut Faults) -> Option<PathBuf> {
        let path = self.text(option, faults)?;
        if let Err(error) = std::fs::File::open(Path::new(&path)) {
            self.fault(option, format!("{path} cannot be read: {error}"), faults);
        }
        Some(PathBuf::from(path))
    }

    pub(super) fn fault(&self, option: &'static str, what: impl fmt::Display, faults: &mut Faults) {
        faults.option(&self.name, option, what);
    }

    /// What was not asked for is no option.
    pub(super) fn finish(self, faults: &mut Faults) {
        for option in self.options.keys() {
            faults.unknown_option(&self.name, option, nearest(option, &self.known));
        }
    }

    fn within(
        &self,
        option: &'static str,
        found: Option<u64>,
        default: u64,
        range: RangeInclusive<u64>,
        form: &str,
        faults: &mut Faults,
    ) -> u64 {
        match found {
            Some(number) if range.contains(&number) => number,
            Some(_) => {
                let (least, most) = (range.start(), range.end());
                self.fault(option, format!("must be from {least} to {most}"), faults);
                default
            }
            None => {
                self.fault(option, format!("is not {form}"), faults);
                default
            }
        }
    }

    fn wrong<T>(
        &self,
        option: &'static str,
        found: &Value,
        wanted: &str,
        faults: &mut Faults,
    ) -> Option<T> {
        // Not the value: it may be a secret in the wrong form.
        let kind = found.type_str();
        self.fault(option, format!("must be {wanted}, and is of type {kind}"), faults);
        None
    }
}
