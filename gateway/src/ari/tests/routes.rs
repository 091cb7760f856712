// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Every operation, whoever owns what.

use std::sync::Arc;

use super::super::catalogue::OPERATIONS;
use super::super::operation::{Does, Makes};
use super::super::*;
use crate::config::Origin;
use crate::fleet::{Fleet, Node, Slot, State};
use crate::index::Kind;

const A: Slot = Slot(0);
const B: Slot = Slot(1);
const C: Slot = Slot(2);

fn fleet(count: u32) -> Fleet {
    let node = |number: u32| {
        Arc::new(Node {
            slot: Slot(number),
            eid: format!("node-{number}"),
            origin: Origin { is_https: false, host: "h".into(), port: 1 },
            service_port: 5060,
            trunk_port: 5060,
            version: String::new(),
            weight: 1,
            state: State::Passing,
        })
    };
    Fleet::new((0..count).map(node).collect())
}

/// The parameters that an operation wants, each naming something else.
fn query(operation: &Operation) -> &'static str {
    match operation.does {
        Does::Joins | Does::Leaves => "channel=chan",
        Does::Subscribes => "eventSource=channel:chan",
        Does::Notifies => "source=channel:chan",
        Does::Claims => "channelId=chan",
        _ => "",
    }
}

fn names(operation: &'static Operation) -> Vec<(&'static str, String)> {
    let parts = operation.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some((name, format!("the-{name}")))
    });
    parts.collect()
}

struct Scene {
    fleet: Fleet,
    askable: Vec<Slot>,
    may_span: bool,
    node: Option<&'static str>,
    query: String,
    chosen: Option<Slot>,
    /// What all questions of this request have found out.
    asked: Whereabouts,
}

impl Scene {
    fn new(query: impl Into<String>) -> Self {
        Self {
            fleet: fleet(3),
            askable: vec![A, B, C],
            may_span: true,
            node: None,
            query: query.into(),
            chosen: Some(C),
            asked: Whereabouts::Nobody,
        }
    }

    fn route(
        &self,
        operation: &'static Operation,
        whereabouts: impl Fn(Kind, &str) -> Whereabouts,
    ) -> Plan {
        let params = Params::parse(&self.query, BodyKind::Ignored, b"").unwrap();
        let names = names(operation);
        let request =
            Request { operation, names: &names, params: &params, node: self.node, id: "new-id" };
        let known = Known {
            fleet: &self.fleet,
            whereabouts: &whereabouts,
            asked: &|_, _| self.asked.clone(),
            choose: &|_| self.chosen,
            may_span: self.may_span,
            askable: &self.askable,
        };
        route(&request, &known)
    }
}

fn operation(method: &str, path: &str) -> &'static Operation {
    OPERATIONS.iter().find(|one| one.method == method && one.path == path).unwrap()
}

/// The kind that decides, with the id it is looked up by.
fn decides(operation: &'static Operation) -> Option<(Kind, String)> {
    let first = names(operation).into_iter().next().map(|(_, value)| value);
    match operation.does {
        Does::Owned(kind) | Does::OwnedMakes(kind, _) | Does::OwnedEnds(kind) => {
            Some((kind, first.unwrap()))
        }
        Does::Joins | Does::Leaves => Some((Kind::Bridge, first.unwrap())),
        Does::Subscribes | Does::Notifies | Does::Claims => {
            Some((Kind::Channel, "chan".to_owned()))
        }
        _ => None,
    }
}

fn slot_of(plan: &Plan) -> Slot {
    match plan {
        Plan::One { slot, .. } => *slot,
        Plan::Spread(parts) if parts.len() == 1 => parts[0].0,
        other => panic!("not to one node: {other:?}"),
    }
}

fn refused(plan: Plan) -> Refusal {
    match plan {
        Plan::Refuse(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_named_node_goes_before_everything() {
    for operation in OPERATIONS {
        let mut scene = Scene::new(query(operation));
        scene.node = Some("node-1");
        let plan = scene.route(operation, |_, _| panic!("nothing is looked up"));
        match plan {
            Plan::One { slot, .. } => assert_eq!(slot, B, "{operation:?}"),
            Plan::Many { slots, .. } => assert_eq!(slots, [B], "{operation:?}"),
            Plan::Events => assert_eq!(operation.does, Does::Events),
            other => panic!("{operation:?}: {other:?}"),
        }
        scene.node = Some("node-9");
        assert_eq!(refused(scene.route(operation, |_, _| Whereabouts::At(A))).status, 404);
    }
}

#[test]
fn an_owner_gets_what_is_its() {
    let mut count = 0;
    for operation in OPERATIONS {
        let Some((kind, id)) = decides(operation) else { continue };
        count += 1;
        let scene = Scene::new(query(operation));
        let plan = scene.route(operation, |asked, name| {
            let is_it = asked == kind && name == id;
            if is_it || name == "chan" { Whereabouts::At(B) } else { panic!("{asked:?} {name}") }
        });
        assert_eq!(slot_of(&plan), B, "{operation:?}");
    }
    assert_eq!(count, 63);
}

#[test]
fn what_is_unknown_is_asked_for_and_what_nobody_has_is_not_there() {
    for operation in OPERATIONS {
        let Some((kind, id)) = decides(operation) else { continue };
        let scene = Scene::new(query(operation));
        let plan = scene.route(operation, |_, _| Whereabouts::Unknown);
        assert_eq!(plan, Plan::Ask(kind, id), "{operation:?}");
        let refusal = refused(scene.route(operation, |_, _| Whereabouts::Nobody));
        let wanted = match operation.does {
            Does::Subscribes | Does::Notifies => 422,
            _ => 404,
        };
        assert_eq!((refusal.status, refusal.retry_after), (wanted, None), "{operation:?}");
        let unsure = |_: Kind, _: &str| Whereabouts::Unsure("node-2".into());
        let refusal = refused(scene.route(operation, unsure));
        assert_eq!(refusal.status, 503, "{operation:?}");
        assert!(refusal.retry_after.is_some() && refusal.message.contains("node-2"));
    }
}

#[test]
fn what_is_created_gets_an_id_and_a_node() {
    let mut count = 0;
    for operation in OPERATIONS {
        let Does::Creates(makes) = operation.does else { continue };
        count += 1;
        let scene = Scene::new("");
        let in_path = operation.path.contains('{');
        let plan = scene.route(operation, |_, _| Whereabouts::Nobody);
        let id = if in_path { format!("the-{}", makes.id) } else { "new-id".into() };
        let parameter = (!in_path).then_some(makes.id);
        let made = Some(Made { kind: makes.kind, id, parameter });
        assert_eq!(plan, Plan::One { slot: C, made, ends: None }, "{operation:?}");
    }
    assert_eq!(count, 6);
}

#[test]
fn an_id_of_the_clients_is_looked_up_first() {
    for operation in OPERATIONS {
        let Does::Creates(Makes { kind, id, .. }) = operation.does else { continue };
        let scene = Scene::new(format!("{id}=mine"));
        let wanted =
            if operation.path.contains('{') { format!("the-{id}") } else { "mine".to_owned() };
        let plan = scene.route(operation, |_, _| Whereabouts::Unknown);
        assert_eq!(plan, Plan::Ask(kind, wanted.clone()), "{operation:?}");
        // Its owner refuses it.
        let plan = scene.route(operation, |_, _| Whereabouts::At(A));
        assert_eq!(slot_of(&plan), A, "{operation:?}");
        for nowhere in [Whereabouts::Nobody, Whereabouts::Unsure("x".into())] {
            let plan = scene.route(operation, |_, _| nowhere.clone());
            let made = Some(Made { kind, id: wanted.clone(), parameter: None });
            assert_eq!(plan, Plan::One { slot: C, made, ends: None }, "{operation:?}");
        }
    }
}

#[test]
fn an_id_in_the_body_is_the_one() {
    let operation = operation("POST", "channels");
    let params =
        |body: &str| Params::parse("channelId=q", BodyKind::Json, body.as_bytes()).unwrap();
    let plan = |params: &Params| {
        let fleet = fleet(1);
        let request = Request { operation, names: &[], params, node: None, id: "new-id" };
        let known = Known {
            fleet: &fleet,
            whereabouts: &|_, _| Whereabouts::Nobody,
            asked: &|_, _| Whereabouts::Nobody,
            choose: &|_| Some(A),
            may_span: true,
            askable: &[A],
        };
        route(&request, &known)
    };
    let Plan::One { made: Some(made), .. } = plan(&params(r#"{"channelId":"b"}"#)) else {
        panic!()
    };
    assert_eq!(made.id, "b");
    assert_eq!(refused(plan(&params(r#"{"channelId":""}"#))).status, 400);
}

#[test]
fn what_comes_of_an_owned_thing_gets_an_id_but_a_recording_has_its_name() {
    for operation in OPERATIONS {
        let Does::OwnedMakes(_, makes) = operation.does else { continue };
        let at = |_: Kind, _: &str| Whereabouts::At(A);
        let made = |query: &str| match Scene::new(query).route(operation, at) {
            Plan::One { slot: A, made, ends: None } => made,
            other => panic!("{other:?}"),
        };
        if operation.path.contains(&format!("{{{}}}", makes.id)) {
            assert_eq!(made("").unwrap().id, format!("the-{}", makes.id));
        } else if makes.is_invented {
            let invented = made("").unwrap();
            assert_eq!((invented.id.as_str(), invented.parameter), ("new-id", Some(makes.id)));
            assert_eq!(made(&format!("{}=x", makes.id)).unwrap().parameter, None);
        } else {
            assert_eq!(made(""), None);
            assert_eq!(made("name=r").unwrap().id, "r");
        }
    }
}

#[test]
fn a_channel_that_comes_of_another_is_looked_for_on_all_nodes() {
    let mut count = 0;
    for operation in OPERATIONS {
        let Does::OwnedMakes(_, Makes { kind: Kind::Channel, id, .. }) = operation.does else {
            continue;
        };
        count += 1;
        let mut scene = Scene::new(format!("{id}=mine"));
        let wanted =
            if operation.path.contains(id) { format!("the-{id}") } else { "mine".to_owned() };
        // Where it was seen last is not enough.
        let mut plan = |asked: Whereabouts| {
            scene.asked = asked;
            let at = |_: Kind, id: &str| Whereabouts::At(if *id == wanted { B } else { A });
            scene.route(operation, at)
        };
        assert_eq!(plan(Whereabouts::Unknown), Plan::Ask(Kind::Channel, wanted.clone()));
        let refusal = refused(plan(Whereabouts::At(B)));
        assert_eq!(refusal, Refusal::new(409, "Channel with given unique ID already exists"));
        for elsewhere in
            [Whereabouts::Nobody, Whereabouts::At(A), Whereabouts::Unsure("x".to_owned())]
        {
            assert_eq!(slot_of(&plan(elsewhere)), A);
        }
    }
    assert_eq!(count, 2);
}

#[test]
fn the_id_of_a_second_half_is_its_owners_to_refuse() {
    let originate = operation("POST", "channels");
    // Asterisk looks for it whatever the technology.
    for technology in ["Local", "PJSIP"] {
        let query = format!("endpoint={technology}/x&channelId=new&otherChannelId=mine");
        let scene = Scene::new(query);
        let plan = |found: Whereabouts| {
            scene.route(originate, |_, id| match id {
                "mine" => found.clone(),
                _ => Whereabouts::Nobody,
            })
        };
        assert_eq!(plan(Whereabouts::Unknown), Plan::Ask(Kind::Channel, "mine".to_owned()));
        assert_eq!(slot_of(&plan(Whereabouts::At(A))), A);
        assert_eq!(slot_of(&plan(Whereabouts::Nobody)), C);
    }
}

#[test]
fn only_a_local_channel_has_a_second_half() {
    let half = |query: &str| {
        let params = Params::parse(query, BodyKind::Ignored, b"").unwrap();
        let operation = operation("POST", "channels");
        let request = Request { operation, names: &[], params: &params, node: None, id: "" };
        request.second_half().map(|half| half.into_owned())
    };
    for technology in ["Local", "local"] {
        let query = format!("endpoint={technology}/x@y&otherChannelId=mine");
        assert_eq!(half(&query).as_deref(), Some("mine"));
    }
    assert_eq!(half("endpoint=Local/x@y"), None);
    assert_eq!(half("endpoint=PJSIP/Local/x&otherChannelId=mine"), None);
}

#[test]
fn what_ends_is_told() {
    let at = |_: Kind, _: &str| Whereabouts::At(A);
    let hangup = operation("DELETE", "channels/{channelId}");
    let Plan::One { ends, .. } = Scene::new("").route(hangup, at) else { panic!() };
    assert_eq!(ends, Some((Kind::Channel, "the-channelId".to_owned())));
    let unhold = operation("DELETE", "channels/{channelId}/hold");
    let Plan::One { ends, .. } = Scene::new("").route(unhold, at) else { panic!() };
    assert_eq!(ends, None);
}

#[test]
fn lists_and_broadcasts_go_to_all_that_can_be_asked() {
    for operation in OPERATIONS {
        let (Does::Reads(wanted) | Does::Tells(wanted)) = operation.does else { continue };
        let mut scene = Scene::new("");
        scene.askable = vec![A, C];
        let plan = scene.route(operation, |_, _| panic!("nothing is looked up"));
        assert_eq!(plan, Plan::Many { slots: vec![A, C], merge: wanted }, "{operation:?}");
        scene.askable.clear();
        assert_eq!(refused(scene.route(operation, |_, _| panic!())).status, 503);
    }
}

#[test]
fn what_is_of_one_node_wants_its_name_unless_there_is_one() {
    let mut count = 0;
    for operation in OPERATIONS.iter().filter(|one| one.does == Does::OfNode) {
        count += 1;
        let mut scene = Scene::new("");
        let refusal = refused(scene.route(operation, |_, _| panic!()));
        assert_eq!(refusal.status, 400);
        assert!(refusal.message.contains("X-Asterisk-ID"));
        scene.fleet = fleet(1);
        assert_eq!(slot_of(&scene.route(operation, |_, _| panic!())), A);
    }
    assert_eq!(count, 12);
}

#[test]
fn without_a_node_nothing_goes() {
    for operation in OPERATIONS {
        let mut scene = Scene::new(query(operation));
        scene.fleet = fleet(0);
        let refusal = refused(scene.route(operation, |_, _| panic!("nothing is looked up")));
        assert_eq!((refusal.status, refusal.retry_after.is_some()), (503, true));
    }
    let mut scene = Scene::new("");
    scene.chosen = None;
    for operation in OPERATIONS.iter().filter(|one| matches!(one.does, Does::Creates(_))) {
        let refusal = refused(scene.route(operation, |_, _| Whereabouts::Nobody));
        assert_eq!((refusal.status, refusal.retry_after.is_some()), (503, true));
    }
}

#[test]
fn a_bridge_spans_nodes_where_it_may() {
    let join = operation("POST", "bridges/{bridgeId}/addChannel");
    let leave = operation("POST", "bridges/{bridgeId}/removeChannel");
    let mut scene = Scene::new("channel=here,there,also");
    let at = |id: &str| if id == "there" { Whereabouts::At(B) } else { Whereabouts::At(A) };
    let wanted = Plan::Span {
        home: A,
        parts: vec![(A, vec!["here".into(), "also".into()]), (B, vec!["there".into()])],
    };
    for operation in [join, leave] {
        assert_eq!(scene.route(operation, |_, id| at(id)), wanted);
    }
    scene.may_span = false;
    let place = |there: Whereabouts| {
        scene.route(join, |_, id| if id == "there" { there.clone() } else { Whereabouts::At(A) })
    };
    let refusal = refused(place(Whereabouts::At(B)));
    assert_eq!(refusal.status, 409);
    assert!(refusal.message.contains("there") && refusal.message.contains("node-1"));
    assert_eq!(slot_of(&place(Whereabouts::At(A))), A);
    // The node says what it thinks of a channel that nobody has.
    assert_eq!(slot_of(&place(Whereabouts::Nobody)), A);
    assert_eq!(place(Whereabouts::Unknown), Plan::Ask(Kind::Channel, "there".into()));
    assert_eq!(slot_of(&scene.route(leave, |_, _| Whereabouts::At(A))), A);
}

#[test]
fn subscriptions_go_where_their_sources_are() {
    let subscribe = operation("POST", "applications/{applicationName}/subscription");
    let scene = Scene::new("eventSource=channel:a,bridge:b,endpoint:PJSIP/x&eventSource=channel:");
    let plan = scene.route(subscribe, |kind, id| match (kind, id) {
        (Kind::Channel, "a") => Whereabouts::At(A),
        (Kind::Bridge, "b") => Whereabouts::At(B),
        other => panic!("{other:?}"),
    });
    let everywhere = ["endpoint:PJSIP/x", "channel:"];
    let with = |own: Option<&str>| -> Vec<String> {
        own.into_iter().chain(everywhere).map(str::to_owned).collect()
    };
    let wanted = vec![(A, with(Some("channel:a"))), (B, with(Some("bridge:b"))), (C, with(None))];
    assert_eq!(plan, Plan::Spread(wanted));
    assert_eq!(refused(Scene::new("").route(subscribe, |_, _| panic!())).status, 400);
}

#[test]
fn events_go_where_their_sources_are_or_anywhere() {
    let notify = operation("POST", "events/user/{eventName}");
    let at = |_: Kind, id: &str| Whereabouts::At(if id == "a" { A } else { B });
    let plan = |query: &str| Scene::new(query).route(notify, at);
    assert_eq!(slot_of(&plan("application=x&source=endpoint:y,channel:a")), A);
    assert_eq!(slot_of(&plan("application=x")), C);
    assert_eq!(refused(plan("source=channel:a,channel:b")).status, 409);
}

#[test]
fn a_new_channel_is_where_its_originator_is() {
    let originate = operation("POST", "channels");
    let scene = Scene::new("originator=first");
    let plan = scene.route(originate, |_, id| {
        assert_eq!(id, "first");
        Whereabouts::At(B)
    });
    assert_eq!(slot_of(&plan), B);
    let plan = scene.route(originate, |_, _| Whereabouts::Unknown);
    assert_eq!(plan, Plan::Ask(Kind::Channel, "first".into()));
    assert_eq!(slot_of(&scene.route(originate, |_, _| Whereabouts::Nobody)), C);
}
