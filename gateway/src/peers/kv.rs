// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Keys and values, by transactions: a path cannot name every key.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Peers, SessionId};
use crate::consul::{Fault, Question};

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub key: String,
    pub value: Vec<u8>,
    /// Another at each change: for what is only to be done if nobody was quicker.
    pub index: u64,
    /// Whose lock it is.
    pub session: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Told {
    key: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    modify_index: u64,
    #[serde(default)]
    session: Option<String>,
}

impl Told {
    pub(super) fn entry(self) -> Result<Entry, Fault> {
        let value = BASE64_STANDARD.decode(self.value.unwrap_or_default());
        let value = value.map_err(|error| Fault::Unreadable(error.to_string()))?;
        Ok(Entry { key: self.key, value, index: self.modify_index, session: self.session })
    }
}

/// What came of a transaction.
enum Outcome {
    Done(Vec<Entry>),
    /// It was not as it had to be: nothing is changed.
    Otherwise,
}

fn operation(verb: &str, key: &str, more: Value) -> Value {
    let mut operation = json!({"Verb": verb, "Key": key});
    if let (Value::Object(operation), Value::Object(more)) = (&mut operation, more) {
        operation.extend(more);
    }
    json!({"KV": operation})
}

fn carried(value: &[u8]) -> String {
    BASE64_STANDARD.encode(value)
}

impl Peers {
    /// The key's value, when there is one.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Entry>, Fault> {
        match self.transact(vec![operation("get", key, Value::Null)]).await? {
            Outcome::Done(entries) => Ok(entries.into_iter().next()),
            Outcome::Otherwise => Ok(None),
        }
    }

    /// All keys that begin so.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Fault> {
        match self.transact(vec![operation("get-tree", prefix, Value::Null)]).await? {
            Outcome::Done(entries) => Ok(entries),
            Outcome::Otherwise => Ok(Vec::new()),
        }
    }

    /// Sets it, whatever it was.
    pub(crate) async fn put(&self, key: &str, value: &[u8]) -> Result<(), Fault> {
        let more = json!({"Value": carried(value)});
        self.transact(vec![operation("set", key, more)]).await.map(drop)
    }

    /// Sets it if it has not changed since it had this index; 0: if there is none. Its new index,
    /// or `None` when somebody was quicker.
    pub(crate) async fn put_if(
        &self,
        key: &str,
        value: &[u8],
        index: u64,
    ) -> Result<Option<u64>, Fault> {
        let more = json!({"Value": carried(value), "Index": index});
        match self.transact(vec![operation("cas", key, more)]).await? {
            Outcome::Done(entries) => match entries.first() {
                Some(entry) => Ok(Some(entry.index)),
                None => Err(Fault::Unreadable("no index of what was set".to_owned())),
            },
            Outcome::Otherwise => Ok(None),
        }
    }

    /// Sets it for as long as our session lives, unless another session's is there: then `false`.
    pub(crate) async fn put_held(&self, key: &str, value: &[u8]) -> Result<bool, Fault> {
        let session = self.session().ok_or(Fault::NoSession)?;
        self.hold(key, value, &session).await
    }

    /// The same, of this session of ours.
    pub(super) async fn hold(
        &self,
        key: &str,
        value: &[u8],
        session: &SessionId,
    ) -> Result<bool, Fault> {
        let more = json!({"Value": carried(value), "Session": &**session});
        let outcome = self.transact(vec![operation("lock", key, more)]).await?;
        Ok(matches!(outcome, Outcome::Done(_)))
    }

    /// Removes it; none there is no fault.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), Fault> {
        self.transact(vec![operation("delete", key, Value::Null)]).await.map(drop)
    }

    /// Removes it if it has not changed since it had this index.
    pub(crate) async fn delete_if(&self, key: &str, index: u64) -> Result<bool, Fault> {
        let more = json!({"Index": index});
        let outcome = self.transact(vec![operation("delete-cas", key, more)]).await?;
        Ok(matches!(outcome, Outcome::Done(_)))
    }

    async fn transact(&self, operations: Vec<Value>) -> Result<Outcome, Fault> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Done {
            #[serde(default)]
            results: Option<Vec<Result>>,
            #[serde(default)]
            errors: Option<Vec<Error>>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "UPPERCASE")]
        struct Result {
            kv: Told,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Error {
            what: String,
        }
        let question = Question::put("/v1/txn", Value::Array(operations).to_string());
        let answer = self.agent.ask(&question).await?;
        let status = answer.status;
        if !matches!(status, StatusCode::OK | StatusCode::CONFLICT) {
            return Err(Fault::Status(status.as_u16()));
        }
        let told: Done = serde_json::from_slice(&answer.body)
            .map_err(|error| Fault::Unreadable(error.to_string()))?;
        if status == StatusCode::OK {
            let results = told.results.unwrap_or_default().into_iter();
            let entries =
                results.map(|result| result.kv.entry()).collect::<std::result::Result<_, _>>()?;
            return Ok(Outcome::Done(entries));
        }
        let errors = told.errors.unwrap_or_default();
        let says = |text: &str| errors.iter().any(|error| error.what.contains(text));
        if says("invalid session") {
            self.session.doubt();
            return Err(Fault::NoSession);
        }
        // Consul 1.8's words; there are no codes.
        const OTHERWISE: [&str; 4] =
            ["index is stale", "doesn't exist", "already held", "lock delay"];
        if OTHERWISE.into_iter().any(says) {
            return Ok(Outcome::Otherwise);
        }
        Err(Fault::Status(status.as_u16()))
    }
}
