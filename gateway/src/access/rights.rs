// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What a user may do: a pure function of the user and the request. Who is limited to applications
//! may touch what belongs to them; whose a resource is, is found out where this asks for it.

use super::Person;
use crate::ari::{Does, Merge, Operation, Params, Refusal, Request};
use crate::index::Kind;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    /// When all of these belong to the user's applications.
    IfTheirs(Vec<Named>),
    /// And only what belongs to the user's applications is shown.
    Filtered,
    Refused(Refusal),
}

/// What a request names, and somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub kind: Kind,
    pub id: String,
    /// A node takes it for a channel's name too, and minds no case: that nobody has such an id does
    /// not say that there is none.
    pub is_loose: bool,
}

impl Named {
    pub(crate) fn new(kind: Kind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into(), is_loose: false }
    }

    fn loose(id: impl Into<String>) -> Self {
        Self { kind: Kind::Channel, id: id.into(), is_loose: true }
    }
}

const NOT_ALL: &str = "this user is limited to applications, not to all";

/// Judges a request.
pub(crate) fn judge(person: &Person, request: &Request<'_>) -> Verdict {
    let operation = request.operation;
    if person.is_read_only() && !operation.is_reading() {
        return refused("Write access denied");
    }
    if !person.may_use(operation.method) {
        return refused(&format!("{} is not allowed to this user", operation.method));
    }
    if !person.is_limited() {
        return Verdict::Allowed;
    }
    limited(person, request)
}

fn refused(message: &str) -> Verdict {
    Verdict::Refused(Refusal::forbidden(message))
}

fn limited(person: &Person, request: &Request<'_>) -> Verdict {
    let operation = request.operation;
    let apps = match operation.does {
        Does::Events => request.params.all("app"),
        _ => request.app().into_iter().collect(),
    };
    if let Some(other) = apps.iter().find(|app| !person.has_app(app)) {
        return refused(&format!("application {other} is not this user's"));
    }
    // What all applications have in common is nobody's of them.
    if operation.area() == "asterisk"
        && !matches!(operation.path, "asterisk/info" | "asterisk/ping")
    {
        return refused("this user is limited to applications");
    }
    let first = || request.names.first().map(|(_, value)| value.clone()).unwrap_or_default();
    let mut theirs = Vec::new();
    match operation.does {
        Does::Creates(makes) => {
            if makes.kind == Kind::Channel && apps.is_empty() {
                return refused("this user is limited to applications: name one");
            }
            let near = request.params.given("originator");
            theirs.extend(near.map(Named::loose));
            // A bridge that is there is changed by this; a channel is refused by its node.
            if makes.kind == Kind::Bridge {
                let given = request.params.given(makes.id).map(std::borrow::Cow::into_owned);
                let id = Some(first()).filter(|id| !id.is_empty()).or(given);
                theirs.extend(id.map(|id| Named::new(Kind::Bridge, id)));
            }
        }
        Does::Owned(kind) | Does::OwnedMakes(kind, _) | Does::OwnedEnds(kind) => {
            theirs.push(Named::new(kind, first()));
            theirs.extend(also_named(operation, request.params));
        }
        Does::Joins | Does::Leaves => {
            theirs.push(Named::new(Kind::Bridge, first()));
            theirs.extend(also_named(operation, request.params));
        }
        Does::Claims => {
            // Whose it will be is what a claim decides.
        }
        Does::Subscribes | Does::Notifies => {
            let parameter =
                if operation.does == Does::Subscribes { "eventSource" } else { "source" };
            for source in request.params.all(parameter) {
                match source.split_once(':') {
                    Some(("channel" | "bridge", "")) => return refused(NOT_ALL),
                    Some(("channel", id)) => theirs.push(Named::new(Kind::Channel, id)),
                    Some(("bridge", id)) => theirs.push(Named::new(Kind::Bridge, id)),
                    // Who subscribes to a technology is told of all its calls.
                    Some(("endpoint", name))
                        if operation.does == Does::Subscribes
                            && !name.is_empty()
                            && !name.contains('/') =>
                    {
                        return refused(NOT_ALL);
                    }
                    _ => {}
                }
            }
        }
        Does::Events if apps.is_empty() => {
            return refused("this user is limited to applications: name one");
        }
        Does::Events if request.params.is_true("subscribeAll") => {
            return refused(NOT_ALL);
        }
        Does::Reads(Merge::Lists) if matches!(operation.area(), "channels" | "bridges") => {
            return Verdict::Filtered;
        }
        Does::Reads(Merge::ListsByName(_)) if operation.area() == "applications" => {
            return Verdict::Filtered;
        }
        _ => {}
    }
    // Files on a node's disk are nobody's.
    theirs.retain(|named| named.kind != Kind::StoredRecording);
    if theirs.is_empty() { Verdict::Allowed } else { Verdict::IfTheirs(theirs) }
}

/// The channels in an operation's parameters.
fn also_named(operation: &Operation, params: &Params) -> Vec<Named> {
    match operation.path.rsplit('/').next() {
        Some("addChannel" | "removeChannel") => {
            let ids = params.all("channel").into_iter();
            ids.map(|id| Named::new(Kind::Channel, id)).collect()
        }
        Some("dial") => params.given("caller").map(Named::loose).into_iter().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ari::{BodyKind, Found, Path, find};
    use crate::config::User;

    fn person(change: impl FnOnce(&mut User)) -> Person {
        let mut user = User {
            name: "n".into(),
            password_hash: None,
            token_hash: None,
            is_read_only: false,
            apps: None,
            verbs: None,
        };
        change(&mut user);
        Person::of(user)
    }

    /// Who may do everything.
    pub(crate) fn anybody() -> Person {
        person(|_| {})
    }

    /// Who is limited to these applications.
    pub(crate) fn limited_to(apps: &[&str]) -> Person {
        person(|user| user.apps = Some(apps.iter().map(|app| (*app).to_owned()).collect()))
    }

    fn of(person: &Person, method: &str, path: &str, query: &str) -> Verdict {
        let path = Path::parse(&format!("/ari/{path}")).unwrap();
        let Found::Operation(operation, names) = find(method, &path) else { panic!("{path:?}") };
        let params = Params::parse(query, BodyKind::Ignored, b"").unwrap();
        let request = Request { operation, names: &names, params: &params, node: None, id: "i" };
        judge(person, &request)
    }

    fn is_refused(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Refused(refusal) if refusal.status == 403)
    }

    #[test]
    fn who_only_reads_does_nothing_else() {
        let reader = person(|user| user.is_read_only = true);
        assert_eq!(of(&reader, "GET", "channels", ""), Verdict::Allowed);
        for (method, path) in [
            ("POST", "channels"),
            ("DELETE", "channels/x"),
            ("PUT", "deviceStates/x"),
            ("POST", "events/claim"),
        ] {
            assert!(is_refused(&of(&reader, method, path, "")), "{path}");
        }
    }

    #[test]
    fn verbs_are_kept_to() {
        let person = person(|user| user.verbs = Some(vec!["GET".into(), "POST".into()]));
        assert_eq!(of(&person, "POST", "channels", ""), Verdict::Allowed);
        assert!(is_refused(&of(&person, "DELETE", "channels/x", "")));
    }

    #[test]
    fn applications_of_others_are_closed() {
        let person = limited_to(&["mine"]);
        for (method, path, query) in [
            ("GET", "applications/other", ""),
            ("POST", "applications/other/subscription", "eventSource=endpoint:x"),
            ("POST", "applications/mine/subscription", "eventSource=channel:"),
            ("POST", "applications/mine/subscription", "eventSource=endpoint:PJSIP"),
            ("POST", "channels", "endpoint=x&app=other"),
            ("POST", "channels", "endpoint=x&extension=1"),
            ("POST", "channels/x/move", "app=other"),
            ("POST", "events/user/e", "application=other"),
            ("POST", "events/user/e", "application=other&app=mine"),
            ("POST", "events/claim", "application=other&channelId=c"),
            ("POST", "events/claim", "application=other&channelId=c&app=mine"),
            ("POST", "channels", "endpoint=x&application=mine"),
            ("GET", "events", "app=mine,other"),
            ("GET", "events", ""),
            ("GET", "events", "app=mine&subscribeAll=Yes"),
            ("GET", "events", "app=mine&subscribeAll=no&subscribeAll=1"),
            ("POST", "asterisk/modules/x", ""),
            ("GET", "asterisk/variable", "variable=x"),
        ] {
            assert!(is_refused(&of(&person, method, path, query)), "{method} {path}?{query}");
        }
        for (method, path, query) in [
            ("GET", "applications/mine", ""),
            ("POST", "events/user/e", "application=mine&source=endpoint:PJSIP"),
            ("POST", "applications/mine/subscription", "eventSource=endpoint:,endpoint:PJSIP/a"),
            ("POST", "channels", "endpoint=x&app=mine"),
            ("GET", "events", "app=mine"),
            ("GET", "events", "app=mine&subscribeAll=false"),
            ("GET", "asterisk/info", ""),
            ("GET", "endpoints", ""),
            ("GET", "recordings/stored/x", ""),
            ("POST", "bridges", ""),
        ] {
            assert_eq!(of(&person, method, path, query), Verdict::Allowed, "{path}");
        }
        let theirs = |kind, id: &str| Named::new(kind, id);
        for (method, path, query, wanted) in [
            ("GET", "channels/c", "", vec![theirs(Kind::Channel, "c")]),
            ("POST", "playbacks/p/control", "", vec![theirs(Kind::Playback, "p")]),
            (
                "POST",
                "bridges/b/addChannel",
                "channel=c,d",
                vec![
                    theirs(Kind::Bridge, "b"),
                    theirs(Kind::Channel, "c"),
                    theirs(Kind::Channel, "d"),
                ],
            ),
            (
                "POST",
                "applications/mine/subscription",
                "eventSource=bridge:b",
                vec![theirs(Kind::Bridge, "b")],
            ),
            ("POST", "channels", "app=mine&originator=c", vec![Named::loose("c")]),
            ("POST", "channels/create", "app=mine&originator=c", vec![Named::loose("c")]),
            (
                "POST",
                "channels/c/dial",
                "caller=d,e",
                vec![theirs(Kind::Channel, "c"), Named::loose("d,e")],
            ),
        ] {
            assert_eq!(of(&person, method, path, query), Verdict::IfTheirs(wanted), "{path}");
        }
        for path in ["channels", "bridges", "applications"] {
            assert_eq!(of(&person, "GET", path, ""), Verdict::Filtered, "{path}");
        }
    }
}
