// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Apps written in Python, on real servers: one node, broker and agent of their own, the gateway.

use std::time::Duration;

use rig::{
    App, Asterisk, Broker, Call, Consul, Gateway, Reply, Tenant, Version, eventually, seconds,
};
use serde_json::{Value, json};

use crate::fleet::{load_all, node, wait_app, wait_status};
use crate::gateway_fleet::{ids, scenarios, text};
use crate::member::quick;
use crate::pair::{self, AmqpConf};

const CONFERENCE: &str = "apps/conference/conference.py";
const ANNOUNCEMENT: &str = "apps/announcement/announcement.py";

/// The longest wait, on a machine that is busy with others: queues write to its disk.
const PATIENCE: Duration = seconds(180);

scenarios!(the_conference_joins_its_callers, the_announcement_is_played_and_calls_a_person,);

/// Servers of one scenario's own, but for the broker.
struct Stage<'a> {
    gateway: Gateway,
    asterisk: Asterisk,
    consul: Consul,
    tenant: Tenant<'a>,
}

impl<'a> Stage<'a> {
    /// On a virtual host of this broker.
    fn on(broker: &'a Broker) -> Self {
        Self::with(broker, Consul::start(), "")
    }

    /// With an agent of which the servers are to use this token.
    fn with(broker: &'a Broker, consul: Consul, token: &str) -> Self {
        let tenant = broker.tenant();
        let conf = quick(consul.port()).consul("token", token);
        let asterisk = node(Version::V22, &AmqpConf::new(&tenant.url()).text(), &conf)
            .extension("8000", &["Stasis(conf)", "Hangup()"])
            .extension("press", &["Answer()", "Wait(1)", "SendDTMF(2)", "Wait(600)"])
            .load("app_senddtmf")
            .start();
        load_all(&asterisk);
        pair::wait_for_state(&asterisk, "connected");
        wait_status(&consul, asterisk.entity_id(), "passing");
        let gateway = Gateway::start(consul.port(), &[("consul", &format!("token = \"{token}\""))]);
        Self { gateway, asterisk, consul, tenant }
    }

    /// A copy of an app that asks the gateway.
    #[track_caller]
    fn app(&self, program: &str, more: &[(&str, &str)]) -> App {
        let (user, password) = ("rig", rig::gateway::PASSWORD);
        self.app_at(program, &self.gateway.ari().url(""), (user, password), more)
    }

    #[track_caller]
    fn app_at(
        &self,
        program: &str,
        endpoint: &str,
        (user, password): (&str, &str),
        more: &[(&str, &str)],
    ) -> App {
        let consul = self.consul.port().to_string();
        let url = self.tenant.url();
        let settings = [
            ("API_ENDPOINT", endpoint),
            ("API_USERNAME", user),
            ("API_PASSWORD", password),
            ("AMQP_URL", &url),
            ("CONSUL_PORT", &consul),
            ("CONSUL_CHECK_INTERVAL", "500ms"),
            ("APP_RECONCILE", "5s"),
        ];
        App::start(program, &[settings.as_slice(), more].concat())
    }

    /// The channels in the conference's bridge.
    fn bridged(&self) -> Vec<String> {
        match self.gateway.ari().get("/bridges/conf") {
            Reply { status: 200, body } => {
                let channels = body["channels"].as_array().cloned().unwrap_or_default();
                channels.iter().map(text).collect()
            }
            _ => Vec::new(),
        }
    }

    #[track_caller]
    fn wait_bridged(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} calls in the conference"), PATIENCE, || {
            let bridged = self.bridged();
            if bridged.len() == count { Ok(bridged) } else { Err(bridged.len()) }
        })
    }

    #[track_caller]
    fn wait_copies(&self, count: usize) {
        eventually(&format!("{count} copies in Consul"), PATIENCE, || {
            let copies = self.consul.health("conf-app");
            let are_well = |copy: &&Value| {
                let checks = copy["Checks"].as_array().cloned().unwrap_or_default();
                checks.iter().all(|check| check["Status"] == "passing")
            };
            // One that was killed is critical, and forgotten after a minute.
            let well = copies.iter().filter(are_well).count();
            if well == count { Ok(()) } else { Err(json!(copies)) }
        });
    }
}

fn the_conference_joins_its_callers() {
    let broker = Broker::own();
    let stage = Stage::on(&broker);
    // It looks which calls there are only when it has a reason to.
    let app = stage.app(CONFERENCE, &[("APP_RECONCILE", "10m")]);
    // By the key that the app has put.
    wait_app(&stage.consul, &stage.asterisk, "conf");
    stage.wait_copies(1);

    let call = Call::several(&stage.asterisk, "8000", seconds(600), 3, 10);
    let channels = stage.wait_bridged(3);
    for channel in &channels {
        eventually("audio both ways", PATIENCE, || match stage.asterisk.rtp_packets(channel) {
            (received, sent) if received > 10 && sent > 10 => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    // The broker dies; meanwhile a call ends and another comes.
    broker.kill();
    app.wait_health("to miss the broker", |told| told["status"] == "critical");
    stage.gateway.ari().delete(&format!("/channels/{}", channels[0])).ok();
    let second = Call::place(&stage.asterisk, "8000", seconds(600));
    broker.start();
    app.wait_health("to consume again", |told| told["status"] == "passing");
    app.wait_health("to have three calls", |told| told["calls"] == 3);
    stage.wait_bridged(3);

    // An end that no event tells of, but that events were lost.
    let eid = stage.asterisk.entity_id();
    let (vhost, key) = (stage.tenant.vhost(), "stasis.app.conf");
    let binding = format!("/bindings/{vhost}/e/asterisk/q/app.conf/{key}");
    broker.api("DELETE", &binding, None).ok();
    let last = text(&json!(stage.bridged()[0]));
    stage.gateway.ari().delete(&format!("/channels/{last}")).ok();
    stage.wait_bridged(2);
    assert_eq!(app.health()["calls"], 3);
    stage.tenant.bind("asterisk", "app.conf", key);
    let lost = json!({"name": "EventsLost", "data": {"type": "EventsLost", "first_sequence": 1,
        "last_sequence": 2, "count": 2, "reason": "queue_full"}});
    let headers = json!({"name": "EventsLost", "category": "meta", "asterisk_id": eid});
    assert!(stage.tenant.publish("asterisk", "stasis.meta", &headers, &lost.to_string()));
    app.wait_health("to have two calls", |told| told["calls"] == 2);
    assert!(app.log().contains(&format!("call {last}: has ended, though no event said so")));

    stage.asterisk.hang_up_all(PATIENCE);
    app.wait_health("to have no calls", |told| told["calls"] == 0);
    drop((call, second));
    assert!(app.terminate().success(), "{}", app.log());
    assert!(!app.log().contains("Traceback"), "{}", app.log());
    assert!(!app.log().contains("-password"), "a password in the log:\n{}", app.log());
    assert!(stage.consul.health("conf-app").is_empty());
    stage.gateway.assert_alive();
    stage.asterisk.assert_alive();
}

/// The policy as `docs/apps.md` has it.
fn documented() -> &'static str {
    let documentation = include_str!("../../docs/apps.md");
    let (_, after) = documentation.split_once("```hcl\n").expect("a block of HCL in the docs");
    after.split_once("```").expect("the block's end").0
}

fn the_announcement_is_played_and_calls_a_person() {
    let consul = Consul::builder().default_deny().start();
    let all = consul.management_token().to_owned();
    let stage = Stage::with(Broker::shared(), consul, &all);
    // Of one Asterisk, without the gateway.
    let ari = stage.asterisk.ari();
    // And with no more rights than the documentation says it needs.
    let token = stage.consul.policy_token(documented());
    let own = r"^app\.announcement(\..*)?$";
    let rights = json!({"configure": own, "write": own, "read": format!("{own}|^asterisk$")});
    let user = json!({"password": "app-password", "tags": ""});
    let (broker, vhost) = (stage.tenant.broker(), stage.tenant.vhost());
    broker.api("PUT", "/users/app", Some(&user)).ok();
    broker.api("PUT", &format!("/permissions/{vhost}/app"), Some(&rights)).ok();
    let port = broker.port().to_string();
    let more = [
        ("CONSUL_TOKEN", token.as_str()),
        ("AMQP_URL", ""),
        ("AMQP_PORT", port.as_str()),
        ("AMQP_VHOST", vhost),
        ("AMQP_USERNAME", "app"),
        ("AMQP_PASSWORD", "app-password"),
        ("AMQP_QUEUE_TYPE", "classic"),
    ];
    let app = stage.app_at(ANNOUNCEMENT, &ari.url(""), ari.login(), &more);
    wait_app(&stage.consul, &stage.asterisk, "announcement");

    let arguments = "app=announcement&appArgs=tone%3Aring,Local/stay@default";
    assert_eq!(app.health()["consul"], "connected");
    let caller = format!("/channels?endpoint=Local/stay@default&{arguments}");
    let first = text(&ari.post(&caller).ok()["id"]);
    eventually("the announcement", PATIENCE, || match ari.get(&format!("/playbacks/{first}-1")) {
        Reply { status: 200, body } if body["state"] == "playing" => Ok(()),
        other => Err(format!("{other:?}")),
    });

    // The second presses a key, and talks to the person that is called.
    let second = text(&ari.post(&caller.replace("stay@", "press@")).ok()["id"]);
    let bridge = format!("/bridges/announcement-{second}");
    let channels = eventually("the two to talk", PATIENCE, || {
        let told = ari.get(&bridge).body;
        if told["channels"].as_array().is_some_and(|all| all.len() == 2) {
            Ok(told["channels"].clone())
        } else {
            Err(told)
        }
    });
    let leg = channels.as_array().into_iter().flatten().map(text).find(|id| *id != second);
    let leg = leg.expect("the person's leg");
    assert!(leg.starts_with(&format!("{second}~")), "{leg}");

    // Who hangs up ends it for both, and for nobody else.
    ari.delete(&format!("/channels/{leg}")).ok();
    eventually("the end of the second call", PATIENCE, || {
        let (call, bridge) = (ari.get(&format!("/channels/{second}")), ari.get(&bridge));
        if (call.status, bridge.status) == (404, 404) {
            Ok(())
        } else {
            Err(format!("{call:?} {bridge:?}"))
        }
    });
    assert!(ids(&ari.get("/channels").ok()).contains(&first));
    app.wait_health("to have one call", |told| told["calls"] == 1);
    stage.asterisk.hang_up_all(PATIENCE);
    app.wait_health("to have no calls", |told| told["calls"] == 0);
    assert!(app.terminate().success(), "{}", app.log());
    assert!(!app.log().contains("Traceback"), "{}", app.log());
    // Nothing that it asked for was refused.
    assert!(!app.log().contains(": 403,"), "{}", app.log());
    stage.asterisk.assert_alive();
}
