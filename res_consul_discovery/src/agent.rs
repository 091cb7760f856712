// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The requests to Consul's agent, and what its answers mean.

use asterisk::consul::{Method, Response, encoded};
use serde::Deserialize;
use serde_json::json;

use crate::found::Found;
use crate::health::Status;
use crate::maintenance::Change;
use crate::service::{Registration, maintenance_id};

/// Asks Consul; `Err` is the reason why it has not answered.
pub(crate) trait Line {
    fn ask(&self, method: Method, path: &str, body: Option<&str>) -> Result<Response, String>;

    /// How often another token has come to apply.
    fn logins(&self) -> u64;
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// `res_consul` has logged that.
    #[error("{0}")]
    Silent(String),
    /// And that.
    #[error("Consul refuses the token for {0}")]
    Denied(&'static str),
    #[error("Consul answers {status} to {what}: {body}")]
    Refused { what: &'static str, status: u16, body: String },
    #[error("Consul's answer to {what} cannot be read: {reason}")]
    Unreadable { what: &'static str, reason: String },
}

impl Failure {
    /// Whether it says that nothing was done, which a fault of Consul's own does not.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Denied(_) => true,
            Self::Refused { status, .. } => *status < 500,
            Self::Silent(_) | Self::Unreadable { .. } => false,
        }
    }

    /// Whether an operator would read no news of one after the other: the words of a fault may
    /// differ each time.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Silent(_), Self::Silent(_)) => true,
            (Self::Denied(one), Self::Denied(other)) => one == other,
            (
                Self::Refused { what, status, .. },
                Self::Refused { what: other, status: other_status, .. },
            ) => what == other && status == other_status,
            (Self::Unreadable { what, .. }, Self::Unreadable { what: other, .. }) => what == other,
            _ => false,
        }
    }
}

/// Consul's agent.
pub(crate) struct Agent<'a>(pub &'a dyn Line);

/// As much of an answer as a line of the log should hold.
const SHOWN: usize = 200;

impl Agent<'_> {
    /// What the agent has under an id.
    pub(crate) fn service(&self, id: &str) -> Result<Option<Found>, Failure> {
        let what = "the lookup of the service";
        let path = format!("/v1/agent/health/service/id/{}", encoded(id));
        let response = self.ask(what, Method::Get, &path, None)?;
        match response.status {
            404 => Ok(None),
            // Its health: passing, warning, critical or in maintenance.
            200 | 429 | 503 => {
                let found: Found = parse(what, &response)?;
                if found.service.id == id {
                    Ok(Some(found))
                } else {
                    let reason = "it is about another".to_owned();
                    Err(Failure::Unreadable { what, reason })
                }
            }
            _ => Err(refusal(what, &response)),
        }
    }

    /// How often another token has come to apply: what was registered before is, in the catalog,
    /// still the old token's.
    pub(crate) fn logins(&self) -> u64 {
        self.0.logins()
    }

    /// What all agents have under a name and an id.
    pub(crate) fn everywhere(&self, name: &str, id: &str) -> Result<Vec<Found>, Failure> {
        let what = "the lookup of the id";
        let mut path = format!("/v1/health/service/{}", encoded(name));
        // An id that Consul's filter would not take as it is goes without; it is compared anyway.
        if !id.contains(['"', '\\']) {
            path.push_str(&format!("?filter={}", encoded(&format!("Service.ID == \"{id}\""))));
        }
        let response = self.done(what, Method::Get, &path, None)?;
        parse(what, &response)
    }

    pub(crate) fn register(&self, wanted: &Registration, status: Status) -> Result<(), Failure> {
        let what = "the registration";
        let body = wanted.to_json(status);
        // Not with replace-existing-checks, which takes maintenance away too.
        self.done(what, Method::Put, "/v1/agent/service/register", Some(&body)).map(drop)
    }

    /// One that is not there is no matter.
    pub(crate) fn deregister(&self, id: &str) -> Result<(), Failure> {
        let what = "the deregistration";
        let path = format!("/v1/agent/service/deregister/{}", encoded(id));
        self.forgiving_404(what, &path)
    }

    /// One that is not there is no matter.
    pub(crate) fn drop_check(&self, check: &str) -> Result<(), Failure> {
        let what = "the removal of the check";
        let path = format!("/v1/agent/check/deregister/{}", encoded(check));
        self.forgiving_404(what, &path)
    }

    pub(crate) fn maintain(&self, id: &str, change: &Change) -> Result<(), Failure> {
        let what = "the change of maintenance";
        let query = match change {
            Change::On(reason) => format!("enable=true&reason={}", encoded(reason)),
            Change::Off => "enable=false".to_owned(),
        };
        let path = format!("/v1/agent/service/maintenance/{}?{query}", encoded(id));
        self.done(what, Method::Put, &path, None).map(drop)
    }

    /// Has the token of now own the maintenance that is there, which is a check. The agent takes it
    /// out of the catalog with the token it was set with: an operator's, or one that is revoked by
    /// now, and then it would stay there for ever, and the agent not tell.
    pub(crate) fn own_maintenance(&self, id: &str, reason: &str) -> Result<(), Failure> {
        let what = "the taking over of maintenance";
        let body = json!({
            "ID": maintenance_id(id),
            "Name": "Service Maintenance Mode",
            "Notes": reason,
            "ServiceID": id,
            "Status": Status::Critical.word(),
            // It must be of some kind. It is lifted long before that is over.
            "TTL": "24h",
        });
        let path = "/v1/agent/check/register";
        self.done(what, Method::Put, path, Some(&body.to_string())).map(drop)
    }

    /// Tells a ttl check. Whether there is one.
    pub(crate) fn tell(&self, check: &str, status: Status, output: &str) -> Result<bool, Failure> {
        let what = "the update of the check";
        let path = format!("/v1/agent/check/update/{}", encoded(check));
        let body = json!({ "Status": status.word(), "Output": output }).to_string();
        let response = self.ask(what, Method::Put, &path, Some(&body))?;
        let is_none = response.status == 404
            || (response.status == 500 && response.body.contains("does not have associated TTL"));
        match response.is_success() {
            true => Ok(true),
            false if is_none => Ok(false),
            false => Err(refusal(what, &response)),
        }
    }

    fn forgiving_404(&self, what: &'static str, path: &str) -> Result<(), Failure> {
        let response = self.ask(what, Method::Put, path, None)?;
        if response.is_success() || response.status == 404 {
            Ok(())
        } else {
            Err(refusal(what, &response))
        }
    }

    fn done(
        &self,
        what: &'static str,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Response, Failure> {
        let response = self.ask(what, method, path, body)?;
        if response.is_success() { Ok(response) } else { Err(refusal(what, &response)) }
    }

    fn ask(
        &self,
        what: &'static str,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Response, Failure> {
        let response = self.0.ask(method, path, body).map_err(Failure::Silent)?;
        if response.status == 403 { Err(Failure::Denied(what)) } else { Ok(response) }
    }
}

fn refusal(what: &'static str, response: &Response) -> Failure {
    Failure::Refused { what, status: response.status, body: shown(&response.body) }
}

fn parse<'a, T: Deserialize<'a>>(what: &'static str, response: &'a Response) -> Result<T, Failure> {
    serde_json::from_str(&response.body).map_err(|error| {
        // Not in serde's words, which may quote the answer, and that our token.
        let (line, column) = (error.line(), error.column());
        let reason = format!("it is not what was expected, line {line} column {column}");
        Failure::Unreadable { what, reason }
    })
}

fn shown(text: &str) -> String {
    let text = text.trim().chars().take(SHOWN);
    text.map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers everything alike.
    struct Always(u16, &'static str);

    impl Line for Always {
        fn ask(&self, _: Method, _: &str, _: Option<&str>) -> Result<Response, String> {
            Ok(Response { status: self.0, index: 0, body: self.1.to_owned() })
        }

        fn logins(&self) -> u64 {
            0
        }
    }

    #[test]
    fn garbage_is_an_error_that_says_what_was_asked() {
        for garbage in
            ["", "<html>", "[]", "{}", "null", r#"{"Service":{"ID":1}}"#, "{\"Serv", "\"hunter2\""]
        {
            let line = Always(200, garbage);
            let failure = Agent(&line).service("a").unwrap_err().to_string();
            assert!(failure.contains("the lookup of the service cannot be read"), "{failure}");
            assert!(!failure.contains("hunter2"), "{failure}");
            if garbage != "[]" {
                assert!(Agent(&line).everywhere("n", "a").is_err(), "{garbage}");
            }
        }
        let other = Always(200, r#"{"Service":{"ID":"b","Service":"n"}}"#);
        assert!(Agent(&other).service("a").unwrap_err().to_string().contains("another"));
    }

    #[test]
    fn statuses_are_told_apart() {
        assert!(Agent(&Always(404, "")).service("a").unwrap().is_none());
        assert!(Agent(&Always(404, "")).deregister("a").is_ok());
        assert!(Agent(&Always(404, "")).maintain("a", &Change::Off).is_err());
        assert_eq!(
            Agent(&Always(403, "Permission denied")).deregister("a"),
            Err(Failure::Denied("the deregistration"))
        );
        let failure = Agent(&Always(500, "rpc\nerror: x")).service("a").unwrap_err();
        let text = "Consul answers 500 to the lookup of the service: rpc error: x";
        assert_eq!(failure.to_string(), text);
        let long: &'static str = Box::leak("ü".repeat(5000).into_boxed_str());
        let failure = Agent(&Always(400, long)).deregister("a").unwrap_err();
        assert!(failure.to_string().chars().count() < 300);
    }

    #[test]
    fn other_words_for_the_same_are_no_news() {
        let failure = |status, body| Agent(&Always(status, body)).service("a").unwrap_err();
        assert!(failure(500, "one").is_like(&failure(500, "other")));
        assert!(!failure(500, "one").is_like(&failure(400, "one")));
        assert!(failure(200, "{").is_like(&failure(200, "<html>")));
        assert!(!failure(200, "{").is_like(&failure(500, "{")));
        let other = Agent(&Always(500, "one")).deregister("a").unwrap_err();
        assert!(!failure(500, "one").is_like(&other));
    }

    #[test]
    fn a_check_that_cannot_be_told_is_no_failure() {
        let tell =
            |status, body| Agent(&Always(status, body)).tell("service:a", Status::Passing, "");
        assert_eq!(tell(200, ""), Ok(true));
        let lost = "CheckID \"service:a\" does not have associated TTL";
        assert_eq!(tell(500, lost), Ok(false));
        assert_eq!(tell(404, "Unknown check ID"), Ok(false));
        assert!(tell(500, "No cluster leader").is_err());
    }
}
