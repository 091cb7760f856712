// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The users, `[[user]]`.

use argon2::password_hash::PasswordHash;
use toml::Value;

use super::{Faults, Section};

/// A user as configured.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub name: String,
    /// A PHC string of argon2, as `gateway hash` prints it.
    pub password_hash: Option<String>,
    /// SHA-256 of a bearer token.
    pub token_hash: Option<[u8; 32]>,
    pub is_read_only: bool,
    /// Patterns of application names, `*` at the end; `None`: all.
    pub apps: Option<Vec<String>>,
    /// Methods; `None`: all.
    pub verbs: Option<Vec<String>>,
}

const VERBS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];

pub(super) fn read(found: Option<Value>, faults: &mut Faults) -> Vec<User> {
    let entries = match found {
        None => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(_) => {
            faults.option("user", "user", "must be written [[user]], once for each user");
            return Vec::new();
        }
    };
    let mut users: Vec<User> = Vec::new();
    for (number, entry) in entries.into_iter().enumerate() {
        let title = format!("[[user]] number {}", number + 1);
        let section = Section::without_environment(&title, Some(entry), faults);
        let user = one(section, faults);
        if users.iter().any(|other| other.name == user.name) {
            faults.option(&title, "name", format!("{:?} is there twice", user.name));
        }
        users.push(user);
    }
    if users.is_empty() {
        faults.option("user", "name", "there is no user, so nobody could do anything");
    }
    users
}

fn one(mut section: Section<'_>, faults: &mut Faults) -> User {
    let name = section.text("name", faults).unwrap_or_default();
    if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
        section.fault("name", "must be a name, without a colon", faults);
    }
    let password_hash = section.text("password_hash", faults);
    if let Some(hash) = &password_hash {
        let parsed = PasswordHash::new(hash);
        if !parsed.is_ok_and(|hash| hash.algorithm.as_str().starts_with("argon2")) {
            section.fault("password_hash", "is no argon2 hash: `gateway hash` makes one", faults);
        }
    }
    let token_hash = section.text("token_hash", faults);
    let token_hash = token_hash.and_then(|text| {
        let hash = text.strip_prefix("sha256:").and_then(digest);
        if hash.is_none() {
            section.fault("token_hash", "must be sha256: and 64 hexadecimal digits", faults);
        }
        hash
    });
    if password_hash.is_none() && token_hash.is_none() {
        section.fault("password_hash", "is missing, and so is token_hash", faults);
    }
    let apps = section.texts("apps", faults);
    for app in apps.iter().flatten() {
        if app.strip_suffix('*').unwrap_or(app).contains('*') {
            section.fault("apps", format!("{app:?}: only the end may be *"), faults);
        }
    }
    let verbs = section.texts("verbs", faults);
    for verb in verbs.iter().flatten() {
        if !VERBS.contains(&verb.as_str()) {
            section.fault("verbs", format!("{verb:?} is none of {}", VERBS.join(", ")), faults);
        }
    }
    let is_read_only = section.yes("read_only", false, faults);
    section.finish(faults);
    User { name, password_hash, token_hash, is_read_only, apps, verbs }
}

fn digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}
