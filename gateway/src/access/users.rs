// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The users, and proof that a client is one of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Credentials;
use super::hash::{digest, mark, verify};
use crate::ari::Refusal;
use crate::config::{Secret, User, fits};

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

    /// Who it is, if these are somebody's credentials. Refused is who had no turn to prove it: the
    /// password may be the right one.
    pub(crate) async fn person(
        &self,
        credentials: &Credentials,
    ) -> Result<Option<Person>, Refusal> {
        let user = match credentials {
            Credentials::Missing => None,
            Credentials::Token(token) => self.by_token.get(&digest(token.reveal())),
            Credentials::Login { name, password } => match self.by_name.get(name) {
                Some(user) if self.has_proven(user, password).await? => Some(user),
                _ => None,
            },
        };
        Ok(user.cloned().map(Person))
    }

    /// Wrong passwords cost what right ones do, and only so many are looked at in a second, so that
    /// guessing takes no more than a part of the machine.
    async fn has_proven(&self, user: &User, password: &Secret) -> Result<bool, Refusal> {
        let Some(hash) = user.password_hash.clone() else { return Ok(false) };
        let mark = mark(&self.key, &user.name, password.reveal());
        if self.is_proven(&mark) {
            return Ok(true);
        }
        let turn = timeout(TURN, Arc::clone(&self.proofs).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Refusal::unavailable("too many logins are being looked at"));
        };
        // Of many requests with one login that come at one time, the first has proven it for all.
        if self.is_proven(&mark) {
            return Ok(true);
        }
        let password = password.reveal().to_owned();
        // The turn lasts as long as the work, also when nobody waits for it any more.
        let work = spawn_blocking(move || (verify(&password, &hash), turn));
        let Ok((is_right, _turn)) = work.await else { return Ok(false) };
        if is_right {
            self.remember(mark);
        }
        Ok(is_right)
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
            async move {
                let person = users.person(&credentials).await.unwrap();
                person.map(|person| person.name().to_owned())
            }
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

    #[tokio::test]
    async fn what_others_have_proven_meanwhile_is_not_proven_again() {
        // Were it, it would be found wrong.
        let hash = hash_password("another").unwrap();
        let users = Users::new(&[User { password_hash: Some(hash), ..user("a") }]);
        let turns = u32::try_from(PROOFS).unwrap();
        let turns = Arc::clone(&users.proofs).acquire_many_owned(turns).await.unwrap();
        let login = login("a", "p");
        let first = async {
            users.remember(mark(&users.key, "a", "p"));
            drop(turns);
        };
        let (person, ()) = tokio::join!(users.person(&login), first);
        assert!(person.unwrap().is_some());
    }

    #[tokio::test]
    async fn who_has_no_turn_may_come_again() {
        let hash = hash_password("p").unwrap();
        let users = Users::new(&[User { password_hash: Some(hash), ..user("a") }]);
        users.proofs.close();
        let refusal = users.person(&login("a", "p")).await.unwrap_err();
        assert_eq!((refusal.status, refusal.retry_after.is_some()), (503, true));
        // Who has proven it before needs none.
        users.remember(mark(&users.key, "a", "p"));
        assert!(users.person(&login("a", "p")).await.unwrap().is_some());
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
