// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The id and the name the node has in Consul.

use std::fs;

use crate::config::{Id, Name, Settings};

/// A service's id and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub id: String,
    pub name: String,
}

/// What an identity may be made of. It stays the same over reloads.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    /// The node's entity id.
    pub entity_id: String,
    /// For `id = auto`.
    pub uuid: String,
    /// For `name = auto`.
    pub host_name: String,
}

impl Origins {
    /// Of this machine, with a UUID of its own.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub(crate) fn of_this(entity_id: String) -> Result<Self, String> {
        // Both are the kernel's own words: no library, and nothing that a thread could keep.
        Ok(Self {
            entity_id,
            uuid: line("/proc/sys/kernel/random/uuid")?,
            host_name: line("/proc/sys/kernel/hostname")?,
        })
    }
}

fn line(path: &str) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    match text.trim() {
        "" => Err(format!("{path}: it is empty")),
        text => Ok(text.to_owned()),
    }
}

impl Identity {
    pub(crate) fn of(settings: &Settings, origins: &Origins) -> Self {
        Self {
            id: match &settings.id {
                Id::Entity => origins.entity_id.clone(),
                Id::Random => origins.uuid.clone(),
                Id::Given(id) => id.clone(),
            },
            name: match &settings.name {
                Name::Host => origins.host_name.clone(),
                Name::Given(name) => name.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        Origins {
            entity_id: "aa:bb:cc:dd:ee:ff".to_owned(),
            uuid: "a-uuid".to_owned(),
            host_name: "pbx-1".to_owned(),
        }
    }

    #[test]
    fn each_word_has_its_meaning() {
        let identity = |id, name| {
            let settings = Settings { id, name, ..Settings::default() };
            let Identity { id, name } = Identity::of(&settings, &origins());
            (id, name)
        };
        let given = |text: &str| text.to_owned();
        assert_eq!(
            identity(Id::Entity, Name::Given(given("asterisk"))),
            (given("aa:bb:cc:dd:ee:ff"), given("asterisk"))
        );
        assert_eq!(identity(Id::Random, Name::Host), (given("a-uuid"), given("pbx-1")));
        assert_eq!(
            identity(Id::Given(given("x")), Name::Given(given("y"))),
            (given("x"), given("y"))
        );
    }

    #[test]
    fn a_uuid_is_another_each_time() {
        let one = Origins::of_this(String::new()).unwrap();
        let other = Origins::of_this(String::new()).unwrap();
        assert_eq!(one.uuid.len(), 36);
        assert_ne!(one.uuid, other.uuid);
        assert!(!one.host_name.is_empty() && one.host_name == other.host_name);
    }
}
