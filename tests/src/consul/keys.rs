// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Keys and values, by transactions: a path can't name a key with `//` in it.

use serde_json::{Value, json};

use super::Consul;
use crate::ari::base64;

/// The most operations that Consul takes in a transaction.
const BATCH: usize = 64;

impl Consul {
    /// Sets a key.
    #[track_caller]
    pub fn kv_put(&self, key: &str, value: impl AsRef<[u8]>) {
        self.kv_put_many(&[(key, value)]);
    }

    /// Sets many keys, 64 at a time.
    #[track_caller]
    pub fn kv_put_many<K: AsRef<str>, V: AsRef<[u8]>>(&self, pairs: &[(K, V)]) {
        for batch in pairs.chunks(BATCH) {
            let set = |(key, value): &(K, V)| json!({"Verb": "set", "Key": key.as_ref(), "Value": base64(value.as_ref())});
            self.transaction(batch.iter().map(set).collect());
        }
    }

    /// Removes a key; none there is no fault.
    #[track_caller]
    pub fn kv_delete(&self, key: &str) {
        self.transaction(vec![json!({"Verb": "delete", "Key": key})]);
    }

    /// Removes all keys that begin so; with an empty text, all.
    #[track_caller]
    pub fn kv_delete_tree(&self, prefix: &str) {
        if prefix.is_empty() {
            // A transaction does not take it.
            self.request("DELETE", "/v1/kv/?recurse", None).ok();
        } else {
            self.transaction(vec![json!({"Verb": "delete-tree", "Key": prefix})]);
        }
    }

    /// The keys that begin so, in order.
    #[track_caller]
    pub fn kv_keys(&self, prefix: &str) -> Vec<String> {
        let reply = self.request("GET", "/v1/kv/?keys", None);
        // There are none at all.
        let found = if reply.status == 404 { Value::Null } else { reply.ok() };
        let found = found.as_array().into_iter().flatten().filter_map(Value::as_str);
        found.filter(|key| key.starts_with(prefix)).map(str::to_owned).collect()
    }

    #[track_caller]
    fn transaction(&self, operations: Vec<Value>) {
        let operations: Vec<Value> =
            operations.into_iter().map(|operation| json!({"KV": operation})).collect();
        self.request("PUT", "/v1/txn", Some(&Value::Array(operations))).ok();
    }
}
