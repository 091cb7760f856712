// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The users, and proof that a client is one of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Credentials;
use super::hash::{digest, mark, verify};
use crate::config::{User, fits};

/// Proofs at one time: each takes a core and some 20 MB for some 20 ms.
const PROOFS: usize = 2;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// Logins that are remembered as proven.
const REMEMBERED: usize = 4096;

/// A user who has proven to be one.
#[derive(Debug, Clone)]
pub(crate) struct Person(Arc<User>);

impl Person {
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.0.is_read_only
    }

    pub(crate) fn may_use(&self, method: &str) -> bool {
        self.0.verbs.as_ref().is_none_or(|verbs| verbs.iter().any(|verb| verb == method))
    }

    /// Whether only some applications are this user's.
    pub(crate) fn is_limited(&self) -> bool {
        self.0.apps.is_some()
    }

    pub(crate) fn has_app(&self, app: &str) -> bool {
        self.0.apps.as_ref().is_none_or(|apps| apps.iter().any(|pattern| fits(pattern, app)))
    }

    #[cfg(test)]
    pub(crate) fn of(user: User) -> Self {
        Self(Arc::new(user))
    }
}

/// All users.
#[derive(Debug)]
pub(crate) struct Users {
    by_name: HashMap<String, Arc<User>>,
    by_token: HashMap<[u8; 32], Arc<User>>,
    /// Logins whose hash was computed once; with a key that only this process knows.
    proven: RwLock<HashSet<[u8; 32]>>,
    key: [u8; 32],
    proofs: Arc<Semaphore>,
}

impl Users {
    pub(crate) fn new(users: &[User]) -> Self {
        let users: Vec<Arc<User>> = users.iter().cloned().map(Arc::new).collect();
        let by_token = |user: &Arc<User>| Some((user.token_hash?, Arc::clone(user)));
        Self {
            by_token: users.iter().filter_map(by_token).collect(),
            by_name: users.into_iter().map(|user| (user.name.clone(), user)).collect(),
            proven: RwLock::default(),
            key: rand::random(),
            proofs: Arc::new(Semaphore::new(PROOFS)),
        }
    }

    /// Who it is, if these are somebody's credentials.
    pub(crate) async fn person(&self, credentials: &Credentials) -> Option<Person> {
        match credentials {
            Credentials::Missing => None,
            Credentials::Token(token) => {
                self.by_token.get(&digest(token.reveal())).cloned().map(Person)
            }
            Credentials::Login { name, password } => {
                let user = self.by_name.get(name)?;
                let hash = user.password_hash.clone()?;
                let mark = mark(&self.key, name, password.reveal());
                if !self.is_proven(&mark) {
                    self.prove(password.reveal().to_owned(), hash).await?;
                    self.remember(mark);
                }
                Some(Person(Arc::clone(user)))
            }
        }
    }

    /// Some for the right password. Wrong ones cost what right ones do, and only so many are looked
    /// at in a second, so that guessing takes no more than a part of the machine.
    async fn prove(&self, password: String, hash: String) -> Option<()> {
        let turn = timeout(TURN, Arc::clone(&self.proofs).acquire_owned()).await.ok()?.ok()?;
        let proof = tokio::task::spawn_blocking(move || {
            let is_right = verify(&password, &hash);
            drop(turn);
            is_right
        });
        proof.await.ok()?.then_some(())
    }

    fn is_proven(&self, mark: &[u8; 32]) -> bool {
        self.proven.read().unwrap_or_else(PoisonError::into_inner).contains(mark)
    }

    fn remember(&self, mark: [u8; 32]) {
        let mut proven = self.proven.write().unwrap_or_else(PoisonError::into_inner);
        if proven.len() >= REMEMBERED {
            proven.clear();
        }
        proven.insert(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::hash_password;
    use super::*;
    use crate::config::Secret;

    fn user(name: &str) -> User {
        User {
            name: name.to_owned(),
            password_hash: None,
            token_hash: None,
            is_read_only: false,
            apps: None,
            verbs: None,
        }
    }

    fn login(name: &str, password: &str) -> Credentials {
        Credentials::Login { name: name.to_owned(), password: Secret::new(password) }
    }

    #[tokio::test]
    async fn only_the_right_secret_is_taken() {
        let users = Users::new(&[
            User { password_hash: Some(hash_password("p").unwrap()), ..user("a") },
            User { token_hash: Some(digest("t0ken")), ..user("b") },
        ]);
        let name = |credentials| {
            let users = &users;
            async move { users.person(&credentials).await.map(|person| person.name().to_owned()) }
        };
        for _ in 0..2 {
            assert_eq!(name(login("a", "p")).await.as_deref(), Some("a"));
            assert_eq!(name(login("a", "q")).await, None);
        }
        assert_eq!(name(Credentials::Token(Secret::new("t0ken"))).await.as_deref(), Some("b"));
        for wrong in [
            login("a", ""),
            login("b", "t0ken"),
            login("c", "p"),
            Credentials::Token(Secret::new("")),
            Credentials::Token(Secret::new("p")),
            Credentials::Missing,
        ] {
            assert_eq!(name(wrong).await, None);
        }
    }

    #[test]
    fn applications_are_names_or_beginnings() {
        let person = |apps: Option<&[&str]>| {
            let apps = apps.map(|apps| apps.iter().map(|app| (*app).to_owned()).collect());
            Person::of(User { apps, ..user("a") })
        };
        assert!(person(None).has_app("x") && !person(None).is_limited());
        let limited = person(Some(&["conf", "ivr-*"]));
        for (app, wanted) in
            [("conf", true), ("ivr-", true), ("ivr-1", true), ("conf2", false), ("", false)]
        {
            assert_eq!(limited.has_app(app), wanted, "{app}");
        }
        assert!(person(Some(&[])).is_limited() && !person(Some(&[])).has_app("conf"));
    }
}
