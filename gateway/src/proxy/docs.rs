// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `/ari/api-docs`: the description of the interface, from a node, with our address in it.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::Gateway;
use super::reply::{self, Reply, failure};
use crate::ari::Refusal;
use crate::node::Outgoing;

impl Gateway {
    /// One of its files. In a fleet of several versions the oldest node's: what it says is true of
    /// all.
    pub(crate) async fn api_docs(&self, file: &str, base_url: &str) -> Reply {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        if !file
            .strip_suffix(".json")
            .is_some_and(|name| !name.is_empty() && name.chars().all(is_name))
        {
            return failure(&Refusal::not_found("Resource not found"));
        }
        let roster = self.roster();
        let mut members = roster.askable();
        members.sort_by_key(|member| {
            (!member.node.state.is_up(), version(&member.node.version), member.node.slot)
        });
        for member in members {
            let target = format!("/ari/api-docs/{file}");
            let outgoing = Outgoing::get(target, self.config.nodes.question_timeout);
            match member.client.fetch(&outgoing).await {
                Ok((StatusCode::OK, body)) => {
                    let Ok(mut docs) = serde_json::from_slice::<Value>(&body) else { continue };
                    if let Some(base) = docs.get_mut("basePath") {
                        *base = json!(format!("{base_url}/ari"));
                    }
                    return reply::json(StatusCode::OK, docs.to_string());
                }
                Ok((StatusCode::NOT_FOUND, body)) => {
                    return reply::json(StatusCode::NOT_FOUND, body);
                }
                _ => {}
            }
        }
        failure(&Refusal::unavailable("no node answers"))
    }
}

/// The numbers of it; one that is not known is taken for new.
fn version(text: &str) -> Vec<u32> {
    let numbers: Vec<u32> = text.split('.').map_while(|part| part.parse().ok()).collect();
    if numbers.is_empty() { vec![u32::MAX] } else { numbers }
}
