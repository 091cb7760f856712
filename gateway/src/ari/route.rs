// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Where a request goes: a pure function of the request, of what is known, and of the fleet.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::operation::Makes;
use super::{Does, Made, Merge, Operation, Params, Plan, Refusal};
use crate::fleet::{Fleet, Slot};
use crate::index::Kind;

/// What is known of where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    At(Slot),
    /// All nodes were asked.
    Nobody,
    /// These could not be asked.
    Unsure(String),
    /// Nobody was asked yet.
    Unknown,
}

/// What questions to all nodes have found out for this request.
pub(crate) type Answers = HashMap<(Kind, String), Whereabouts>;

/// A request, as far as its way depends on it.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub operation: &'static Operation,
    /// The parameters of its path.
    pub names: &'a [(&'static str, String)],
    pub params: &'a Params,
    /// The node that it names.
    pub node: Option<&'a str>,
    /// An id for what it makes, should it have none.
    pub id: &'a str,
}

impl Request<'_> {
    fn first(&self) -> &str {
        self.names.first().map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    fn named(&self, name: &str) -> Option<&str> {
        self.names.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// The application that it is about.
    pub(crate) fn app(&self) -> Option<String> {
        let named = self.named("applicationName").map(str::to_owned);
        // Not both: a node looks at one of them, and what is in the other is anything.
        let parameter = match self.operation.does {
            Does::Notifies | Does::Claims => "application",
            _ => "app",
        };
        named.or_else(|| self.params.given(parameter).map(Cow::into_owned))
    }

    /// The id of a new channel's second half, which only a Local channel has.
    pub(crate) fn second_half(&self) -> Option<Cow<'_, str>> {
        let endpoint = self.params.given("endpoint")?;
        let (technology, _) = endpoint.split_once('/')?;
        let is_local = technology.eq_ignore_ascii_case("Local");
        self.params.given("otherChannelId").filter(|_| is_local)
    }
}

/// What routing looks at beside the request.
pub(crate) struct Known<'a> {
    pub fleet: &'a Fleet,
    pub whereabouts: &'a dyn Fn(Kind, &str) -> Whereabouts,
    /// The same, by the questions that were asked for this request alone.
    pub asked: &'a dyn Fn(Kind, &str) -> Whereabouts,
    /// Chooses the node of something new, for an application.
    pub choose: &'a dyn Fn(Option<&str>) -> Option<Slot>,
    /// Whether a bridge may take channels of several nodes.
    pub may_span: bool,
    /// The nodes that a question to all goes to.
    pub askable: &'a [Slot],
}

/// Finds the way.
pub(crate) fn route(request: &Request<'_>, known: &Known<'_>) -> Plan {
    let named = match request.node {
        None => None,
        Some(eid) => match known.fleet.by_eid(eid) {
            Some(node) => Some(node.slot),
            None => return Plan::Refuse(Refusal::not_found(format!("no node has the id {eid:?}"))),
        },
    };
    let planned = match named {
        Some(slot) => Ok(to_named(request, slot)),
        None if known.fleet.nodes.is_empty() => {
            Err(Way::Refuse(Refusal::unavailable("there is no node")))
        }
        None => find(request, known),
    };
    match planned.and_then(|plan| complete(request, plan)) {
        Ok(plan) => plan,
        Err(Way::Ask(kind, id)) => Plan::Ask(kind, id),
        Err(Way::Refuse(refusal)) => Plan::Refuse(refusal),
    }
}

/// Why there is no plan yet, or none at all.
enum Way {
    Ask(Kind, String),
    Refuse(Refusal),
}

impl From<Refusal> for Way {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

fn one(slot: Slot) -> Plan {
    Plan::One { slot, made: None, ends: None }
}

fn to_named(request: &Request<'_>, slot: Slot) -> Plan {
    match request.operation.does {
        Does::Reads(merge) => Plan::Many { slots: vec![slot], merge },
        Does::Events => Plan::Events,
        _ => one(slot),
    }
}

fn find(request: &Request<'_>, known: &Known<'_>) -> Result<Plan, Way> {
    match request.operation.does {
        Does::Owned(kind) | Does::OwnedEnds(kind) => owner_of_first(request, known, kind).map(one),
        Does::OwnedMakes(kind, makes) => {
            let slot = owner_of_first(request, known, kind)?;
            check_new(request, known, makes, slot)?;
            Ok(one(slot))
        }
        Does::Joins | Does::Leaves => joins(request, known),
        Does::Creates(makes) => create(request, known, makes),
        Does::Reads(merge) | Does::Tells(merge) => all(known, merge),
        Does::OfNode => match known.fleet.nodes.as_slice() {
            [only] => Ok(one(only.slot)),
            _ => Err(Refusal::bad(
                "this is of one node: name it in the header X-Asterisk-ID or as asteriskId",
            )
            .into()),
        },
        Does::OfAny => match known.askable.first() {
            Some(slot) => Ok(one(*slot)),
            None => Err(Refusal::unavailable("no node can be reached").into()),
        },
        Does::Sends => chosen(request, known).map(one),
        Does::ToEndpoint => Ok(Plan::AskEndpoint),
        Does::Subscribes => subscribe(request, known),
        Does::Notifies => notify(request, known),
        Does::Claims => match request.params.given("channelId") {
            Some(channel) => {
                owner(known, Kind::Channel, &channel, Kind::Channel.not_found()).map(one)
            }
            None => Err(Refusal::bad("channelId is missing").into()),
        },
        Does::Events => Ok(Plan::Events),
    }
}

/// Adds what comes of the request, and what ends by it.
fn complete(request: &Request<'_>, plan: Plan) -> Result<Plan, Way> {
    let Plan::One { slot, .. } = plan else { return Ok(plan) };
    let (makes, ends) = match request.operation.does {
        Does::Creates(makes) | Does::OwnedMakes(_, makes) => (Some(makes), None),
        Does::OwnedEnds(kind) => (None, Some((kind, request.first().to_owned()))),
        _ => (None, None),
    };
    let made = makes.map(|makes| made(request, makes)).transpose()?;
    Ok(Plan::One { slot, made: made.flatten(), ends })
}

fn made(request: &Request<'_>, makes: Makes) -> Result<Option<Made>, Refusal> {
    let kind = makes.kind;
    if let Some(id) = given_id(request, makes) {
        return Ok(Some(Made { kind, id, parameter: None }));
    }
    if request.params.is_in_json(makes.id) {
        // An empty one there would go before ours.
        return Err(Refusal::bad(format!("{} in the body is empty", makes.id)));
    }
    if !makes.is_invented {
        // Asterisk itself will say that it is missing.
        return Ok(None);
    }
    Ok(Some(Made { kind, id: request.id.to_owned(), parameter: Some(makes.id) }))
}

fn given_id(request: &Request<'_>, makes: Makes) -> Option<String> {
    let in_path = request.named(makes.id).map(str::to_owned);
    // In the paths of what an owner makes, a channel or bridge is that owner.
    in_path.or_else(|| request.params.given(makes.id).map(Cow::into_owned))
}

fn owner(known: &Known<'_>, kind: Kind, id: &str, none: &str) -> Result<Slot, Way> {
    match (known.whereabouts)(kind, id) {
        Whereabouts::At(slot) => Ok(slot),
        Whereabouts::Nobody => Err(Refusal::not_found(none).into()),
        Whereabouts::Unsure(who) => Err(Refusal::unsure(&who).into()),
        Whereabouts::Unknown => Err(Way::Ask(kind, id.to_owned())),
    }
}

fn owner_of_first(request: &Request<'_>, known: &Known<'_>, kind: Kind) -> Result<Slot, Way> {
    owner(known, kind, request.first(), request.operation.not_found(kind))
}

/// A channel that comes of another is made on that one's node, which knows of no other's ids. They
/// are asked, also where one is known to have it: that may have ended.
fn check_new(
    request: &Request<'_>,
    known: &Known<'_>,
    makes: Makes,
    slot: Slot,
) -> Result<(), Way> {
    let given = given_id(request, makes).filter(|_| makes.kind == Kind::Channel);
    let Some(id) = given else { return Ok(()) };
    match (known.asked)(makes.kind, &id) {
        Whereabouts::Unknown => Err(Way::Ask(makes.kind, id)),
        Whereabouts::At(there) if there != slot => {
            Err(Refusal::new(409, "Channel with given unique ID already exists").into())
        }
        // What the node itself has is its to refuse.
        Whereabouts::At(_) | Whereabouts::Nobody | Whereabouts::Unsure(_) => Ok(()),
    }
}

fn create(request: &Request<'_>, known: &Known<'_>, makes: Makes) -> Result<Plan, Way> {
    let channel = |id: Cow<'_, str>| (Kind::Channel, id.into_owned());
    let other = request.params.given("otherChannelId").filter(|_| makes.kind == Kind::Channel);
    let decisive = [
        // An id that exists is its owner's to refuse: Asterisk looks at both, whatever is made.
        given_id(request, makes).map(|id| (makes.kind, id)),
        other.map(channel),
        // The new channel takes over from this one, on the same node.
        request.params.given("originator").map(channel),
    ];
    for (kind, id) in decisive.into_iter().flatten() {
        match (known.whereabouts)(kind, &id) {
            Whereabouts::At(slot) => return Ok(one(slot)),
            Whereabouts::Unknown => return Err(Way::Ask(kind, id)),
            Whereabouts::Nobody | Whereabouts::Unsure(_) => {}
        }
    }
    chosen(request, known).map(one)
}

fn chosen(request: &Request<'_>, known: &Known<'_>) -> Result<Slot, Way> {
    let app = request.app();
    let chosen = (known.choose)(app.as_deref());
    chosen.ok_or_else(|| Refusal::unavailable("no node takes new calls").into())
}

fn all(known: &Known<'_>, merge: Merge) -> Result<Plan, Way> {
    if known.askable.is_empty() {
        return Err(Refusal::unavailable("no node can be reached").into());
    }
    Ok(Plan::Many { slots: known.askable.to_vec(), merge })
}

fn joins(request: &Request<'_>, known: &Known<'_>) -> Result<Plan, Way> {
    let bridge = owner(known, Kind::Bridge, request.first(), Kind::Bridge.not_found())?;
    let mut parts: BTreeMap<Slot, Vec<String>> = BTreeMap::new();
    for channel in request.params.all("channel") {
        let slot = match (known.whereabouts)(Kind::Channel, &channel) {
            Whereabouts::At(slot) if slot != bridge && !known.may_span => {
                return Err(spans(&channel, known, slot, bridge).into());
            }
            Whereabouts::At(slot) => slot,
            Whereabouts::Unknown => return Err(Way::Ask(Kind::Channel, channel)),
            // The bridge's node will say that it does not know it.
            Whereabouts::Nobody | Whereabouts::Unsure(_) => bridge,
        };
        parts.entry(slot).or_default().push(channel);
    }
    match parts.keys().all(|slot| *slot == bridge) {
        true => Ok(one(bridge)),
        false => Ok(Plan::Span { home: bridge, parts: parts.into_iter().collect() }),
    }
}

fn spans(what: &str, known: &Known<'_>, there: Slot, here: Slot) -> Refusal {
    let name = |slot| known.fleet.by_slot(slot).map_or("?", |node| node.eid.as_str());
    let (there, here) = (name(there), name(here));
    Refusal::new(409, format!("{what} is on node {there}, and this would join it to node {here}"))
}

/// The resource of an event source: `channel:<id>`, `bridge:<id>`.
fn owned_source(source: &str) -> Option<(Kind, &str)> {
    let (scheme, id) = source.split_once(':')?;
    let kind = match scheme {
        "channel" => Kind::Channel,
        "bridge" => Kind::Bridge,
        _ => return None,
    };
    // Without an id it means all.
    (!id.is_empty()).then_some((kind, id))
}

fn subscribe(request: &Request<'_>, known: &Known<'_>) -> Result<Plan, Way> {
    let sources = request.params.all("eventSource");
    if sources.is_empty() {
        return Err(Refusal::bad("eventSource is missing").into());
    }
    if known.askable.is_empty() {
        return Err(Refusal::unavailable("no node can be reached").into());
    }
    let mut parts: BTreeMap<Slot, Vec<String>> = BTreeMap::new();
    for source in sources {
        let Some((kind, id)) = owned_source(&source) else {
            for slot in known.askable {
                parts.entry(*slot).or_default().push(source.clone());
            }
            continue;
        };
        match (known.whereabouts)(kind, id) {
            Whereabouts::At(slot) => parts.entry(slot).or_default().push(source),
            Whereabouts::Unknown => return Err(Way::Ask(kind, id.to_owned())),
            Whereabouts::Unsure(who) => return Err(Refusal::unsure(&who).into()),
            Whereabouts::Nobody => {
                return Err(Refusal::new(422, "Event source does not exist").into());
            }
        }
    }
    Ok(Plan::Spread(parts.into_iter().collect()))
}

fn notify(request: &Request<'_>, known: &Known<'_>) -> Result<Plan, Way> {
    let mut place = None;
    for source in request.params.all("source") {
        let Some((kind, id)) = owned_source(&source) else { continue };
        let slot = match (known.whereabouts)(kind, id) {
            Whereabouts::At(slot) => slot,
            Whereabouts::Unknown => return Err(Way::Ask(kind, id.to_owned())),
            Whereabouts::Unsure(who) => return Err(Refusal::unsure(&who).into()),
            Whereabouts::Nobody => {
                return Err(Refusal::new(422, "Event source was not found").into());
            }
        };
        match place {
            Some(place) if place != slot => {
                return Err(spans(&source, known, slot, place).into());
            }
            _ => place = Some(slot),
        }
    }
    match place {
        Some(slot) => Ok(one(slot)),
        None => chosen(request, known).map(one),
    }
}
