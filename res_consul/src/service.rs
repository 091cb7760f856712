// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Services of the local agent, as the predecessors' functions know them.

use asterisk::consul::encoded;
use asterisk::consul::provide::{Answer, Service};
use serde::Serialize;
use std::collections::BTreeMap;

use crate::http::{Method, can_carry};
use crate::line::Client;
use crate::status::words_of;

/// As Consul's JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Registration<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    address: &'a str,
    #[serde(skip_serializing_if = "is_none")]
    port: u16,
    tags: &'a [String],
    meta: BTreeMap<&'a str, &'a str>,
    checks: Vec<Check<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    #[serde(rename = "HTTP")]
    http: &'a str,
    #[serde(rename = "Interval")]
    interval: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_none(port: &u16) -> bool {
    *port == 0
}

pub(crate) fn register(client: &Client, service: &Service) -> Result<(), String> {
    let id = &service.id;
    let body = registration(service)?;
    let path = "/v1/agent/service/register";
    let answer = client.ask(Method::Put, path, Some(body.as_bytes()));
    done(answer, || format!("service '{id}' is not registered"))
}

fn registration(service: &Service) -> Result<String, String> {
    let id = &service.id;
    check_id(id)?;
    if service.name.is_empty() {
        return Err(format!("service '{id}' has no name"));
    }
    let mut checks = Vec::new();
    for (http, interval) in &service.checks {
        if http.is_empty() || *interval == 0 {
            return Err(format!("a check of service '{id}' has no URL or no interval"));
        }
        checks.push(Check { http, interval: format!("{interval}s") });
    }
    let registration = Registration {
        id,
        name: &service.name,
        address: &service.address,
        port: service.port,
        tags: &service.tags,
        meta: service.meta.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        checks,
    };
    serde_json::to_string(&registration)
        .map_err(|error| format!("service '{id}' cannot be registered: {error}"))
}

pub(crate) fn deregister(client: &Client, id: &str) -> Result<(), String> {
    check_id(id)?;
    let path = format!("/v1/agent/service/deregister/{}", encoded(id));
    done(client.ask(Method::Put, &path, None), || format!("service '{id}' is not deregistered"))
}

pub(crate) fn set_maintenance(
    client: &Client,
    id: &str,
    enable: bool,
    reason: &str,
) -> Result<(), String> {
    check_id(id)?;
    let reason = encoded(reason);
    let id_in_path = encoded(id);
    let path =
        format!("/v1/agent/service/maintenance/{id_in_path}?enable={enable}&reason={reason}");
    done(client.ask(Method::Put, &path, None), || {
        let direction = if enable { "put into" } else { "taken out of" };
        format!("service '{id}' is not {direction} maintenance")
    })
}

fn check_id(id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("a service has no id".to_owned());
    }
    match can_carry(id) {
        true => Ok(()),
        false => Err(format!(
            "service id '{id}' cannot be used: Consul takes no path with an empty segment, '.' or \
             '..'"
        )),
    }
}

fn done(answer: Result<Answer, String>, what: impl FnOnce() -> String) -> Result<(), String> {
    match answer {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) => Err(format!("{}: {}", what(), words_of(&answer.body, answer.status))),
        Err(reason) => Err(format!("{}: {reason}", what())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service {
            id: "a/b".to_owned(),
            name: "n".to_owned(),
            address: String::new(),
            port: 0,
            tags: vec!["t".to_owned()],
            meta: vec![("k".to_owned(), "1".to_owned()), ("k".to_owned(), "2".to_owned())],
            checks: vec![("http://x/".to_owned(), 10)],
        }
    }

    #[test]
    fn a_registration_says_what_was_given_and_leaves_out_what_was_not() {
        assert_eq!(
            registration(&service()).unwrap(),
            r#"{"ID":"a/b","Name":"n","Tags":["t"],"Meta":{"k":"2"},"Checks":[{"HTTP":"http://x/","Interval":"10s"}]}"#
        );
        let full = Service { address: "::1".to_owned(), port: 5060, ..service() };
        let text = registration(&full).unwrap();
        assert!(text.contains(r#""Address":"::1","Port":5060"#), "{text}");
    }

    #[test]
    fn what_cannot_be_registered_is_refused_with_the_reason() {
        for id in ["", "/", "a//b", "./x", ".."] {
            assert!(registration(&Service { id: id.to_owned(), ..service() }).is_err(), "{id}");
        }
        let nameless = Service { name: String::new(), ..service() };
        assert_eq!(registration(&nameless).unwrap_err(), "service 'a/b' has no name");
        let hasty = Service { checks: vec![("http://x/".to_owned(), 0)], ..service() };
        assert!(registration(&hasty).unwrap_err().contains("no interval"));
    }
}
