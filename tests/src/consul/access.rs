// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Tokens, and what they allow.

use serde_json::{Value, json};

use super::Consul;

impl Consul {
    /// The token that may do everything.
    ///
    /// # Panics
    ///
    /// When the agent was made without [`default_deny`](super::ConsulBuilder::default_deny).
    #[track_caller]
    pub fn management_token(&self) -> &str {
        self.management_token.as_deref().unwrap_or_else(|| panic!("an agent made with tokens"))
    }

    /// A new token that may do what `rules` say: `key_prefix "applications/" { policy = "read" }`.
    #[track_caller]
    pub fn policy_token(&self, rules: &str) -> String {
        let policy = json!({"Name": super::builder::uuid(), "Rules": rules});
        let policy = self.request("PUT", "/v1/acl/policy", Some(&policy)).ok();
        let token = json!({"Policies": [{"ID": policy["ID"]}]});
        let token = self.request("PUT", "/v1/acl/token", Some(&token)).ok();
        text(&token["SecretID"])
    }

    /// Changes what a token of [`Consul::policy_token`] may do.
    #[track_caller]
    pub fn set_rules(&self, token: &str, rules: &str) {
        let policy = &self.token_of(token)["Policies"][0];
        let id = text(&policy["ID"]);
        let policy = json!({"ID": id, "Name": policy["Name"], "Rules": rules});
        self.request("PUT", &format!("/v1/acl/policy/{id}"), Some(&policy)).ok();
    }

    /// Deletes a token: with it, every request is answered 403 from now on.
    #[track_caller]
    pub fn revoke_token(&self, token: &str) {
        let accessor = text(&self.token_of(token)["AccessorID"]);
        self.request("DELETE", &format!("/v1/acl/token/{accessor}"), None).ok();
    }

    #[track_caller]
    fn token_of(&self, token: &str) -> Value {
        self.request_as(token, "GET", "/v1/acl/token/self", None).ok()
    }
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("Consul told {value}, no text")).to_owned()
}
