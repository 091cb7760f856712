// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The keeper against an agent that is simulated as Consul 1.8 was seen to behave.

use std::cell::RefCell;
use std::collections::BTreeMap;

use asterisk::consul::{Method, Response};
use serde_json::{Value, json};

use super::*;
use crate::agent::Line;
use crate::config::{CheckSettings, CheckWay, Settings};
use crate::service::tests::registration;

/// An agent, and what all others have.
#[derive(Default)]
struct Consul(RefCell<State>);

#[derive(Default)]
struct State {
    services: BTreeMap<String, Value>,
    checks: BTreeMap<String, Value>,
    elsewhere: Vec<Value>,
    requests: Vec<String>,
    is_away: bool,
    logins: u64,
    /// What the catalog keeps for ever: checks that went with a token that was revoked.
    stuck: Vec<String>,
    /// Answers this to what begins so.
    refusal: Option<(&'static str, u16)>,
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits: String = rest.by_ref().take(2).map(char::from).collect();
            bytes.push(u8::from_str_radix(&digits, 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

impl State {
    fn answer(&mut self, method: Method, path: &str, body: Option<&str>) -> (u16, String) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (path, query) = (decoded(path), decoded(query));
        if let Some(id) = path.strip_prefix("/v1/agent/health/service/id/") {
            return match self.services.get(id) {
                None => (404, json!({ "Service": null }).to_string()),
                Some(service) => {
                    let checks: Vec<_> =
                        self.checks.values().filter(|check| check["ServiceID"] == *id).collect();
                    (503, json!({ "Service": service, "Checks": checks }).to_string())
                }
            };
        }
        if path.starts_with("/v1/health/service/") {
            return (200, Value::Array(self.elsewhere.clone()).to_string());
        }
        assert_eq!(method, Method::Put);
        if path == "/v1/agent/service/register" {
            assert_eq!(query, "", "existing checks must stay");
            let body: Value = serde_json::from_str(body.unwrap()).unwrap();
            let id = body["ID"].as_str().unwrap().to_owned();
            if let Some(check) = body.get("Check") {
                let mut check = check.clone();
                check["ServiceID"] = json!(id);
                self.checks.insert(check["CheckID"].as_str().unwrap().to_owned(), check);
            }
            let mut service = body;
            service["Service"] = service["Name"].take();
            self.services.insert(id, service);
        } else if let Some(id) = path.strip_prefix("/v1/agent/service/deregister/") {
            self.services.remove(id);
            self.checks.retain(|_, check| check["ServiceID"] != *id);
        } else if path == "/v1/agent/check/register" {
            let mut check: Value = serde_json::from_str(body.unwrap()).unwrap();
            check["Token"] = json!(self.logins);
            check["CheckID"] = check["ID"].take();
            self.checks.insert(check["CheckID"].as_str().unwrap().to_owned(), check);
        } else if let Some(check) = path.strip_prefix("/v1/agent/check/deregister/") {
            self.checks.remove(check);
        } else if let Some(id) = path.strip_prefix("/v1/agent/service/maintenance/") {
            let check = format!("_service_maintenance:{id}");
            match query.strip_prefix("enable=true&reason=") {
                Some(reason) => {
                    let maintenance = json!({
                        "CheckID": check, "ServiceID": id, "Status": "critical", "Notes": reason,
                        "Token": self.logins,
                    });
                    self.checks.entry(check).or_insert(maintenance);
                }
                None => {
                    let gone = self.checks.remove(&check);
                    let is_stuck = gone.is_some_and(|gone| gone["Token"] != self.logins);
                    self.stuck.extend(is_stuck.then_some(check));
                }
            }
        } else if let Some(check) = path.strip_prefix("/v1/agent/check/update/") {
            let Some(known) = self.checks.get_mut(check).filter(|check| check["TTL"].is_string())
            else {
                return (500, format!("CheckID {check:?} does not have associated TTL"));
            };
            let body: Value = serde_json::from_str(body.unwrap()).unwrap();
            known["Status"] = body["Status"].clone();
            known["Output"] = body["Output"].clone();
        } else {
            panic!("{path}");
        }
        (200, String::new())
    }
}

impl Line for Consul {
    fn ask(&self, method: Method, path: &str, body: Option<&str>) -> Result<Response, String> {
        let mut state = self.0.borrow_mut();
        state.requests.push(path.to_owned());
        if state.is_away {
            return Err("connection refused".to_owned());
        }
        let refusal = state.refusal.filter(|(begin, _)| path.starts_with(begin));
        let (status, body) = match refusal {
            Some((_, status)) => (status, "No".to_owned()),
            None => state.answer(method, path, body),
        };
        Ok(Response { status, index: 0, body })
    }

    fn logins(&self) -> u64 {
        self.0.borrow().logins
    }
}

impl Consul {
    fn ids(&self) -> Vec<String> {
        self.0.borrow().services.keys().cloned().collect()
    }

    fn service(&self, id: &str) -> Value {
        self.0.borrow().services[id].clone()
    }

    fn check(&self, id: &str) -> Option<Value> {
        self.0.borrow().checks.get(id).cloned()
    }

    fn status(&self, id: &str) -> String {
        let check = self.check(&format!("service:{id}")).unwrap();
        check["Status"].as_str().unwrap().to_owned()
    }

    fn reason(&self, id: &str) -> Option<String> {
        let check = self.check(&format!("_service_maintenance:{id}"))?;
        check["Notes"].as_str().map(str::to_owned)
    }

    fn wipe(&self) {
        let mut state = self.0.borrow_mut();
        state.services.clear();
        state.checks.clear();
    }

    fn ask_for(&self, path: &str) {
        self.ask(Method::Put, path, None).unwrap();
    }

    fn register(&self, service: &Registration, status: crate::health::Status) {
        let body = service.to_json(status);
        self.ask(Method::Put, "/v1/agent/service/register", Some(&body)).unwrap();
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().requests)
    }
}

fn at(address: &str) -> Registration {
    registration(&Settings::default(), address)
}

fn well() -> Facts {
    Facts { version: "22.10.1".to_owned(), is_booted: true, ..Facts::default() }
}

/// A keeper, its agent, and a clock.
struct Node {
    consul: Consul,
    keeper: Keeper,
    now: Instant,
}

impl Node {
    fn new() -> Self {
        Self::with(Maintenance::default())
    }

    fn with(maintenance: Maintenance) -> Self {
        let consul = Consul::default();
        Self { consul, keeper: Keeper::new(maintenance), now: Instant::now() }
    }

    fn hold_as(&mut self, wanted: &Registration, facts: &Facts) -> Result<(), Failure> {
        self.keeper.hold(&Agent(&self.consul), wanted, facts, self.now)
    }

    #[track_caller]
    fn hold(&mut self, wanted: &Registration) {
        self.hold_as(wanted, &well()).unwrap();
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// Asterisk crashes and starts again.
    fn crash(&mut self) {
        let memory = self.keeper.maintenance().memory();
        self.keeper = Keeper::new(Maintenance::remembered(memory.as_deref()));
    }

    fn events(&mut self) -> Vec<&'static str> {
        let notes = self.keeper.take_notes().into_iter();
        let event = |note| match note {
            Note::Event(name, _) => Some(name),
            Note::Log(..) => None,
        };
        notes.filter_map(event).collect()
    }

    fn lines(&mut self) -> String {
        let notes = self.keeper.take_notes().into_iter();
        let line = |note| match note {
            Note::Log(level, text) => Some(format!("{level:?} {text}\n")),
            Note::Event(..) => None,
        };
        notes.filter_map(line).collect()
    }
}

#[test]
fn it_is_registered_once_and_told_ever_after() {
    let mut node = Node::new();
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.ids(), ["eid"]);
    assert_eq!(node.consul.status("eid"), "passing");
    let output = node.consul.check("service:eid").unwrap()["Output"].clone();
    assert_eq!(output, "Asterisk 22.10.1 is up");
    assert_eq!(node.events(), ["DiscoveryRegister"]);
    node.consul.requests();
    node.wait(5);
    node.hold(&at("10.0.0.1"));
    assert_eq!(
        node.consul.requests(),
        ["/v1/agent/health/service/id/eid", "/v1/agent/check/update/service%3Aeid"]
    );
    assert_eq!(node.lines(), "");
}

#[test]
fn what_is_lost_comes_back() {
    let mut node = Node::new();
    node.hold(&at("10.0.0.1"));
    node.lines();
    node.consul.wipe();
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.status("eid"), "passing");
    assert!(node.lines().contains("it was gone from Consul"));
    // The check alone.
    node.consul.ask_for("/v1/agent/check/deregister/service%3Aeid");
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.status("eid"), "passing");
    // By hand.
    node.consul.0.borrow_mut().services.get_mut("eid").unwrap()["Tags"] = json!(["x"]);
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.service("eid")["Tags"], json!(["asterisk"]));
}

#[test]
fn a_check_of_another_kind_under_our_id_is_made_anew() {
    let mut node = Node::new();
    node.hold(&at("10.0.0.1"));
    let mut state = node.consul.0.borrow_mut();
    state.checks.get_mut("service:eid").unwrap().as_object_mut().unwrap().remove("TTL");
    drop(state);
    node.hold(&at("10.0.0.1"));
    node.hold(&at("10.0.0.1"));
    assert!(node.consul.check("service:eid").unwrap()["TTL"].is_string());
    assert_eq!(node.consul.status("eid"), "passing");
}

#[test]
fn options_change_in_place_and_an_id_does_not() {
    let mut node = Node::new();
    node.hold(&at("10.0.0.1"));
    node.keeper.maintenance_mut().set_operator(Some("x".to_owned()));
    let (name, tags) = ("pbx".to_owned(), vec!["b".to_owned()]);
    let other = Registration { name, port: 5070, tags, ..at("10.0.0.9") };
    node.events();
    node.hold(&other);
    assert_eq!(node.consul.ids(), ["eid"]);
    assert_eq!(node.consul.service("eid")["Address"], "10.0.0.9");
    assert_eq!(node.consul.service("eid")["Service"], "pbx");
    assert_eq!(node.consul.reason("eid").as_deref(), Some("x"));
    assert_eq!(node.events(), ["DiscoveryRegister", "DiscoverySetMaintenance"]);
    let named = Registration { id: "new".to_owned(), ..other };
    node.hold(&named);
    assert_eq!(node.consul.ids(), ["new"]);
    assert_eq!(node.consul.reason("new").as_deref(), Some("x"));
    let wanted = ["DiscoveryDeregister", "DiscoveryRegister", "DiscoverySetMaintenance"];
    assert_eq!(node.events(), wanted);
}

#[test]
fn turning_the_check_off_takes_it_away() {
    let mut node = Node::new();
    node.hold(&at("10.0.0.1"));
    let without = Registration { check: None, ..at("10.0.0.1") };
    node.hold(&without);
    assert_eq!(node.consul.check("service:eid"), None);
    node.consul.requests();
    node.hold(&without);
    assert_eq!(node.consul.requests(), ["/v1/agent/health/service/id/eid"]);
}

#[test]
fn health_is_told_and_logged_once() {
    let mut node = Node::new();
    let starting = Facts { is_booted: false, ..well() };
    node.hold_as(&at("10.0.0.1"), &starting).unwrap();
    assert_eq!(node.consul.status("eid"), "critical");
    assert!(!node.lines().contains("health"));
    node.hold(&at("10.0.0.1"));
    assert!(node.lines().contains("Notice health passing"));
    for _ in 0..3 {
        node.hold_as(&at("10.0.0.1"), &Facts { overloaded: 1, ..well() }).unwrap();
    }
    assert_eq!(node.consul.status("eid"), "warning");
    assert_eq!(node.lines().matches("Warning health warning: Asterisk is overloaded").count(), 1);
}

#[test]
fn a_consul_that_is_away_is_no_end() {
    let mut node = Node::new();
    node.consul.0.borrow_mut().is_away = true;
    let failure = node.hold_as(&at("10.0.0.1"), &well()).unwrap_err();
    assert_eq!(failure, Failure::Silent("connection refused".to_owned()));
    node.consul.0.borrow_mut().is_away = false;
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.ids(), ["eid"]);
    node.consul.0.borrow_mut().is_away = true;
    assert!(node.keeper.leave(&Agent(&node.consul)).is_err());
    assert!(!node.keeper.is_gone());
    node.consul.0.borrow_mut().is_away = false;
    node.keeper.leave(&Agent(&node.consul)).unwrap();
    assert!(node.keeper.is_gone() && node.consul.ids().is_empty());
}

#[test]
fn what_was_refused_need_not_be_taken_back() {
    for (status, is_gone) in [(400, true), (403, true), (500, false)] {
        let mut node = Node::new();
        node.consul.0.borrow_mut().refusal = Some(("/v1/agent/service/register", status));
        node.hold_as(&at("10.0.0.1"), &well()).unwrap_err();
        assert_eq!(node.keeper.is_gone(), is_gone, "{status}");
        // One that was there before a refused change is.
        node.consul.0.borrow_mut().refusal = None;
        node.hold(&at("10.0.0.1"));
        node.consul.0.borrow_mut().refusal = Some(("/v1/agent/service/register", status));
        node.hold_as(&at("10.0.0.5"), &well()).unwrap_err();
        assert!(!node.keeper.is_gone());
    }
}

#[test]
fn without_the_catalog_it_is_registered_all_the_same() {
    let mut node = Node::new();
    node.consul.0.borrow_mut().refusal = Some(("/v1/health/", 500));
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.ids(), ["eid"]);
    node.consul.requests();
    node.wait(5);
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.requests().len(), 2);
    // Later it is asked again.
    node.consul.0.borrow_mut().refusal = None;
    let mut other =
        crate::found::tests::told(&at("10.0.0.2"), crate::health::Status::Passing, None);
    other["Node"] = json!({ "Node": "n2", "Address": "" });
    node.consul.0.borrow_mut().elsewhere.push(other);
    node.wait(10);
    node.hold(&at("10.0.0.1"));
    assert!(node.lines().contains("Error duplicate identity: 'eid' is also at 10.0.0.2"));
}

#[test]
fn maintenance_set_in_consul_outlives_the_agent_and_asterisk() {
    let mut node = Node::new();
    node.hold(&at("10.0.0.1"));
    node.consul.ask_for("/v1/agent/service/maintenance/eid?enable=true&reason=disk");
    node.events();
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.events(), ["DiscoverySetMaintenance"]);
    node.consul.wipe();
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.reason("eid").as_deref(), Some("disk"));
    assert_eq!(node.consul.status("eid"), "passing");
    node.keeper.leave(&Agent(&node.consul)).unwrap();
    assert_eq!(node.consul.ids(), [""; 0]);
    node.crash();
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.reason("eid").as_deref(), Some("disk"));
    // Lifted there, it stays lifted.
    node.consul.ask_for("/v1/agent/service/maintenance/eid?enable=false");
    node.hold(&at("10.0.0.1"));
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.reason("eid"), None);
    assert_eq!(node.keeper.maintenance().memory(), None);
}

#[test]
fn maintenance_set_just_before_the_end_is_remembered() {
    let mut node = Node::new();
    node.hold(&at("10.0.0.1"));
    node.consul.ask_for("/v1/agent/service/maintenance/eid?enable=true&reason=disk");
    node.keeper.leave(&Agent(&node.consul)).unwrap();
    assert_eq!(node.keeper.maintenance().memory().as_deref(), Some("wanted disk"));
}

#[test]
fn a_crash_within_a_drain_leaves_no_maintenance() {
    let mut node = Node::new();
    node.keeper.maintenance_mut().set_drain(true);
    node.hold(&at("10.0.0.1"));
    assert!(node.consul.reason("eid").is_some());
    node.crash();
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.reason("eid"), None);
}

#[test]
fn a_duplicate_with_our_agent_is_left_alone_until_it_is_gone() {
    use crate::health::Status::Passing;

    let mut node = Node::new();
    node.consul.register(&at("10.0.0.2"), Passing);
    node.hold(&at("10.0.0.1"));
    let aside = "eid@10.0.0.1:5060";
    assert_eq!(node.consul.ids(), ["eid", aside]);
    assert_eq!(node.consul.service("eid")["Address"], "10.0.0.2");
    assert_eq!(node.consul.service(aside)["Meta"]["conflict"], "eid");
    assert_eq!(node.consul.status(aside), "warning");
    let lines = node.lines();
    assert_eq!(lines.matches("Error duplicate identity").count(), 1, "{lines}");
    node.keeper.maintenance_mut().set_operator(Some("x".to_owned()));
    node.wait(20);
    node.hold(&at("10.0.0.1"));
    assert!(!node.lines().contains("Error"));
    assert_eq!(
        (node.consul.reason(aside), node.consul.reason("eid")),
        (Some("x".to_owned()), None)
    );

    node.consul.ask_for("/v1/agent/service/deregister/eid");
    node.wait(20);
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.ids(), ["eid"]);
    assert_eq!(node.consul.service("eid")["Address"], "10.0.0.1");
    assert_eq!(node.consul.service("eid")["Meta"].get("conflict"), None);
    assert_eq!(node.consul.status("eid"), "passing");
    assert_eq!(node.consul.reason("eid").as_deref(), Some("x"));
    assert!(node.lines().contains("Notice the id 'eid' is this node's alone now"));
}

#[test]
fn what_took_our_place_is_not_fought_nor_deregistered() {
    use crate::health::Status::Passing;

    let mut node = Node::new();
    let without = |address| Registration { check: None, ..at(address) };
    node.hold(&without("10.0.0.1"));
    node.consul.register(&without("10.0.0.2"), Passing);
    node.hold(&without("10.0.0.1"));
    assert_eq!(node.consul.ids(), ["eid", "eid@10.0.0.1:5060"]);
    assert_eq!(node.consul.service("eid")["Address"], "10.0.0.2");
    node.keeper.leave(&Agent(&node.consul)).unwrap();
    assert_eq!(node.consul.ids(), ["eid"]);
}

#[test]
fn what_our_crash_left_at_another_address_heals_with_its_check() {
    let mut node = Node::new();
    node.hold(&at("10.0.0.1"));
    node.crash();
    node.hold(&at("10.0.0.9"));
    assert_eq!(node.consul.ids(), ["eid", "eid@10.0.0.9:5060"]);
    node.consul.0.borrow_mut().checks.get_mut("service:eid").unwrap()["Status"] = json!("critical");
    node.wait(20);
    node.hold(&at("10.0.0.9"));
    assert_eq!(node.consul.ids(), ["eid"]);
    assert_eq!(node.consul.service("eid")["Address"], "10.0.0.9");
}

#[test]
fn what_our_crash_left_aside_is_swept() {
    use crate::health::Status::Warning;

    let mut node = Node::new();
    node.consul.register(&at("10.0.0.1").aside(), Warning);
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.ids(), ["eid"]);
}

#[test]
fn an_address_that_changes_is_no_duplicate() {
    let mut node = Node::new();
    node.hold(&at("10.0.0.1"));
    // The catalog lags behind.
    let mut before =
        crate::found::tests::told(&at("10.0.0.1"), crate::health::Status::Passing, None);
    before["Node"] = json!({ "Node": "n1", "Address": "" });
    node.consul.0.borrow_mut().elsewhere.push(before);
    node.hold(&at("10.0.0.5"));
    assert_eq!(node.consul.ids(), ["eid"]);
    assert_eq!(node.consul.service("eid")["Meta"].get("conflict"), None);
}

#[test]
fn an_answer_of_404_is_warned_of_once() {
    let timeout = Duration::from_secs(5);
    let check = CheckSettings {
        way: CheckWay::Http { port: 8088, timeout },
        interval: Duration::from_secs(15),
        deregister_after: None,
    };
    let wanted = registration(&Settings { check: Some(check), ..Settings::default() }, "10.0.0.1");
    let mut node = Node::new();
    node.hold(&wanted);
    assert_eq!(node.consul.status("eid"), "passing");
    let output = "HTTP GET http://10.0.0.1:8088/httpstatus: 404 Not Found Output: ";
    node.consul.0.borrow_mut().checks.get_mut("service:eid").unwrap()["Output"] = json!(output);
    node.lines();
    node.hold(&wanted);
    node.hold(&wanted);
    let lines = node.lines();
    assert_eq!(lines.matches("enable_status=yes").count(), 1, "{lines}");
    assert!(lines.contains("http://10.0.0.1:8088/httpstatus is answered with 404"));
}

#[test]
fn another_token_has_it_registered_again_in_place() {
    let mut node = Node::new();
    node.hold(&at("10.0.0.1"));
    node.consul.requests();
    node.consul.0.borrow_mut().logins = 1;
    node.hold(&at("10.0.0.1"));
    let register = "/v1/agent/service/register".to_owned();
    assert!(node.consul.requests().contains(&register));
    assert_eq!(node.consul.ids(), ["eid"]);
    node.hold(&at("10.0.0.1"));
    assert!(!node.consul.requests().contains(&register));
    // Also to leave, for the catalog would keep it for ever.
    node.consul.0.borrow_mut().logins = 2;
    node.keeper.leave(&Agent(&node.consul)).unwrap();
    let deregister = "/v1/agent/service/deregister/eid".to_owned();
    assert_eq!(node.consul.requests().split_off(1), [register.clone(), deregister.clone()]);
    node.hold(&at("10.0.0.1"));
    node.consul.requests();
    node.keeper.leave(&Agent(&node.consul)).unwrap();
    assert_eq!(node.consul.requests().split_off(1), [deregister]);
}

#[test]
fn maintenance_that_another_token_has_set_goes_from_the_catalog_too() {
    let mut node = Node::new();
    node.keeper.maintenance_mut().set_operator(Some("disk".to_owned()));
    node.hold(&at("10.0.0.1"));
    node.consul.0.borrow_mut().logins = 1;
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.reason("eid").as_deref(), Some("disk"));
    node.keeper.maintenance_mut().set_operator(None);
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.reason("eid"), None);
    assert_eq!(node.consul.0.borrow().stuck, [""; 0]);
    // An agent that does not do that lifts it all the same.
    node.consul.0.borrow_mut().refusal = Some(("/v1/agent/check/register", 400));
    node.keeper.maintenance_mut().set_drain(true);
    node.hold(&at("10.0.0.1"));
    node.keeper.maintenance_mut().set_drain(false);
    node.lines();
    node.hold(&at("10.0.0.1"));
    assert_eq!(node.consul.reason("eid"), None);
    assert!(node.lines().contains("Warning the maintenance of 'eid' is lifted as it was set"));
    // One that went away in between is in maintenance for the same reason still.
    node.consul.0.borrow_mut().refusal = None;
    node.keeper.maintenance_mut().set_drain(true);
    node.hold(&at("10.0.0.1"));
    node.keeper.maintenance_mut().set_drain(false);
    node.consul.0.borrow_mut().refusal = Some(("/v1/agent/service/maintenance/", 500));
    node.hold_as(&at("10.0.0.1"), &well()).unwrap_err();
    assert!(node.consul.reason("eid").unwrap().starts_with("Asterisk: "));
}
