// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Maintenance and drain: by CLI, AMI and Consul, and whose it is.

use rig::ami::Block;
use rig::{Ami, Asterisk, Call, Consul, Proxy, Version, eventually, seconds};
use serde_json::json;

use crate::commands::completed;
use crate::fleet::{DISCOVERY, load, node, reload, unload, wait_status};
use crate::member::{
    Member, quick, register, statuses, unregister, wait_maintenance, wait_no_maintenance,
};

on_each_version!(
    the_command_sets_it_and_takes_it_back,
    the_action_always_answers_once_and_the_session_lives_on,
    manager_sessions_are_told_of_everything,
    what_consul_cannot_be_told_now_is_told_later,
    an_operators_maintenance_in_consul_is_never_taken_back,
    an_operators_maintenance_outlives_restarts_of_everything,
    a_drain_lets_calls_live_and_deregisters_at_the_end,
    a_drain_is_taken_back_before_and_after_its_end,
    a_drain_can_stop_asterisk,
);

/// The reason of an operator who gives none.
const REASON: &str = "set by an operator in Asterisk";

const DRAINING: &str = "Asterisk: draining, running calls live on";

#[track_caller]
fn assert_answers(asterisk: &Asterisk, command: &str, answer: &str) {
    let given = asterisk.cli(command);
    assert_eq!(given.trim(), answer, "{command}");
}

fn the_command_sets_it_and_takes_it_back(version: Version) {
    let member = Member::start(version);
    let (consul, asterisk, id) = (&member.consul, &member.asterisk, member.id());
    for (on, off) in [("on", "off"), ("ON", "Off")] {
        let command = format!("discovery set maintenance {on}");
        assert_answers(asterisk, &command, &format!("Done: '{id}' is in maintenance"));
        // It is so when the command returns.
        assert_eq!(consul.maintenance_of(id).as_deref(), Some(REASON));
        let shown = asterisk.cli("discovery show status");
        assert!(shown.contains(&format!("on, by an operator: {REASON}")), "{shown}");
        assert_answers(asterisk, &command, &format!("Done: '{id}' is in maintenance"));

        let command = format!("discovery set maintenance {off}");
        assert_answers(asterisk, &command, &format!("Done: '{id}' is out of maintenance"));
        assert_eq!(consul.maintenance_of(id), None);
        assert_answers(asterisk, &command, &format!("Done: '{id}' is out of maintenance"));
        member.wait("passing");
    }
    let usages = [
        ("discovery set maintenance", "Usage: discovery set maintenance {on|off}"),
        ("discovery set maintenance once", "Usage: discovery set maintenance {on|off}"),
        ("discovery set maintenance offf", "Usage: discovery set maintenance {on|off}"),
        ("discovery set maintenance on please", "Usage: discovery set maintenance {on|off}"),
        ("discovery drain now", "Usage: discovery drain [stop]"),
        ("discovery drain stop now", "Usage: discovery drain [stop]"),
        ("discovery undrain now", "Usage: discovery undrain"),
        ("discovery show status now", "Usage: discovery show status"),
        ("discovery show settings now", "Usage: discovery show settings"),
    ];
    for (wrong, usage) in usages {
        let answer = asterisk.cli(wrong);
        assert!(answer.contains(usage), "{wrong}: {answer}");
    }
    let offers = |line: &str| completed(asterisk, line);
    assert_eq!(offers("discovery "), ["drain", "set", "show", "undrain"]);
    assert_eq!(offers("discovery show st"), ["status"]);
    assert_eq!(offers("discovery set maintenance of"), ["off"]);
    assert_eq!(offers("discovery set maintenance on "), [""; 0]);
    assert_eq!(offers("discovery drain "), ["stop"]);
    assert_eq!(consul.maintenance_of(id), None);
    assert_eq!(asterisk.complaints(), [""; 0]);
    unregister(asterisk);
    assert!(asterisk.cli("discovery show status").contains("No such command"));
    asterisk.assert_alive();
}

/// Does the action and gives the answer, of which there is one: what follows is that of the ping.
#[track_caller]
fn answer(ami: &Ami, action: &str, fields: &[(&str, &str)]) -> Block {
    let answer = ami.action(action, fields);
    assert_eq!(answer.values("Response").count(), 1, "{answer:?}");
    let alive = ami.action("Ping", &[]);
    assert_eq!(alive.field("Ping"), "Pong", "{action} {fields:?}: {alive:?}");
    answer
}

fn the_action_always_answers_once_and_the_session_lives_on(version: Version) {
    let member = Member::start(version);
    let (consul, id) = (&member.consul, member.id());
    let ami = member.asterisk.ami();
    let set = |fields: &[(&str, &str)]| {
        let answer = answer(&ami, "DiscoverySetMaintenance", fields);
        (answer.field("Response").to_owned(), answer.field("Message").to_owned())
    };
    let success = |text: String| ("Success".to_owned(), text);
    let on = success(format!("'{id}' is in maintenance"));
    let off = success(format!("'{id}' is out of maintenance"));
    for enable in ["true", "True"] {
        assert_eq!(set(&[("Enable", enable)]), on);
        assert_eq!(consul.maintenance_of(id).as_deref(), Some(REASON));
        assert_eq!(set(&[("Enable", "false")]), off);
        assert_eq!(consul.maintenance_of(id), None);
    }
    let reason = "100% of a reason & more: größer";
    assert_eq!(set(&[("Enable", "true"), ("Reason", reason)]), on);
    assert_eq!(consul.maintenance_of(id).as_deref(), Some(reason));
    assert_eq!(set(&[("Enable", "false"), ("Reason", reason)]), off);

    let wrong = ("Error".to_owned(), "Enable must be true or false".to_owned());
    for enable in ["yes", "1", "", "garbage", "truefalse"] {
        assert_eq!(set(&[("Enable", enable)]), wrong, "{enable:?}");
    }
    assert_eq!(set(&[]), wrong);
    assert_eq!(consul.maintenance_of(id), None);

    let drain = |fields: &[(&str, &str)]| answer(&ami, "DiscoveryDrain", fields);
    let given = drain(&[("Enable", "maybe")]);
    assert_eq!(given.field("Message"), "Enable must be true or false");
    let given = drain(&[("Enable", "true"), ("Stop", "maybe")]);
    assert_eq!(given.field("Message"), "Stop must be true or false");
    let given = drain(&[("Enable", "false")]);
    assert_eq!(given.field("Message"), "the node is not being drained");
    assert_eq!(given.field("Response"), "Error");
    assert_eq!(consul.maintenance_of(id), None);

    for action in ["DiscoverySetMaintenance", "DiscoveryDrain"] {
        let help = member.asterisk.cli(&format!("manager show command {action}"));
        assert!(help.contains("Enable"), "{help}");
    }
    unregister(&member.asterisk);
    let gone = answer(&ami, "DiscoverySetMaintenance", &[("Enable", "true")]);
    assert_eq!(gone.field("Response"), "Error", "{gone:?}");
    member.asterisk.assert_alive();
}

/// The next event of ours, with these fields in this order after its name and class.
#[track_caller]
fn assert_event(ami: &Ami, name: &str, fields: &[(&str, &str)]) {
    let ours = |event: &Block| event.field("Event").starts_with("Discovery");
    let event = ami.next_where(name, seconds(10), ours);
    assert_eq!((event.field("Event"), event.field("Privilege")), (name, "system,all"));
    let wanted: Vec<(String, String)> =
        fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    assert_eq!(event.0[2..], wanted[..], "{name}");
}

fn manager_sessions_are_told_of_everything(version: Version) {
    let consul = Consul::start();
    let asterisk = node(version, "", &quick(consul.port())).start();
    let id = asterisk.entity_id();
    // The C module died of its first event when somebody listened.
    let ami = asterisk.ami();
    let service = |id: &str, name: &str| -> Vec<(&'static str, String)> {
        let fields =
            [("ServiceID", id), ("ServiceName", name), ("Address", "127.0.0.1"), ("Port", "5060")];
        fields.into_iter().map(|(key, value)| (key, value.to_owned())).collect()
    };
    let told = |event: &str, fields: Vec<(&'static str, String)>| {
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(key, value)| (*key, &**value)).collect();
        assert_event(&ami, event, &fields);
    };
    let maintenance = |enable: &str, reason: &str| {
        assert_event(
            &ami,
            "DiscoverySetMaintenance",
            &[("ServiceID", id), ("Enable", enable), ("Reason", reason)],
        );
    };

    register(&asterisk);
    told("DiscoveryRegister", service(id, "asterisk"));
    wait_status(&consul, id, "passing");
    asterisk.cli("discovery set maintenance on");
    maintenance("true", REASON);
    asterisk.cli("discovery set maintenance off");
    maintenance("false", "");
    consul.set_maintenance(id, true, "by hand: 100%");
    maintenance("true", "by hand: 100%");
    consul.set_maintenance(id, false, "");
    maintenance("false", "");

    let changed = quick(consul.port()).discovery("id", "other");
    asterisk.write_conf("consul.conf", &changed.text());
    reload(&asterisk, DISCOVERY);
    let mut events = [(); 2].map(|()| {
        let ours = |event: &Block| event.field("Event").starts_with("Discovery");
        let event = ami.next_where("of the move", seconds(10), ours);
        (event.field("Event").to_owned(), event.field("ServiceID").to_owned())
    });
    events.sort();
    let pair = |event: &str, id: &str| (event.to_owned(), id.to_owned());
    assert_eq!(events, [pair("DiscoveryDeregister", id), pair("DiscoveryRegister", "other")]);

    consul.deregister("other");
    told("DiscoveryRegister", service("other", "asterisk"));
    unload(&asterisk, DISCOVERY);
    told("DiscoveryDeregister", service("other", "asterisk"));
    load(&asterisk, DISCOVERY);
    told("DiscoveryRegister", service("other", "asterisk"));
    unregister(&asterisk);
    told("DiscoveryDeregister", service("other", "asterisk"));
}

fn what_consul_cannot_be_told_now_is_told_later(version: Version) {
    let consul = Consul::start();
    let proxy = Proxy::to(consul.port());
    let conf = quick(proxy.port()).consul("request_timeout", "1s");
    let asterisk = node(version, "", &conf).start();
    let id = asterisk.entity_id();
    register(&asterisk);
    wait_status(&consul, id, "passing");
    let ami = asterisk.ami();
    let later = "It will be done as soon as it can be: ";
    for refuses in [true, false] {
        let leave = || match refuses {
            true => {
                proxy.refuse();
                proxy.cut();
            }
            false => proxy.black_hole(),
        };
        leave();
        let said = asterisk.cli("discovery set maintenance on");
        assert!(said.starts_with(later), "{said}");
        eventually("the status to tell of it", seconds(10), || {
            let shown = asterisk.cli("discovery show status");
            let is_told = shown.contains("wanted, not in Consul yet, by an operator");
            if is_told { Ok(()) } else { Err(shown) }
        });
        assert_eq!(consul.maintenance_of(id), None);
        proxy.pass();
        wait_maintenance(&consul, id, REASON);

        leave();
        let said = answer(&ami, "DiscoverySetMaintenance", &[("Enable", "false")]);
        assert_eq!(said.field("Response"), "Success", "{said:?}");
        assert!(said.field("Message").starts_with("it will be done as soon"), "{said:?}");
        assert_eq!(consul.maintenance_of(id).as_deref(), Some(REASON));
        proxy.pass();
        wait_no_maintenance(&consul, id);
        wait_status(&consul, id, "passing");
    }

    // With an agent that has lost the node, it is never seen without.
    proxy.refuse();
    proxy.cut();
    consul.deregister(id);
    asterisk.cli("discovery set maintenance on");
    let (seen, ()) = statuses(&consul, id, || {
        proxy.pass();
        wait_maintenance(&consul, id, REASON);
    });
    assert!(!seen.contains("passing"), "{seen:?}");
    asterisk.cli("discovery set maintenance off");
    wait_status(&consul, id, "passing");
    unregister(&asterisk);
}

fn an_operators_maintenance_in_consul_is_never_taken_back(version: Version) {
    let member = Member::with(version, Consul::builder().persistent().start(), |conf| conf);
    let (consul, asterisk, id) = (&member.consul, &member.asterisk, member.id());
    const OURS: &str = "new disk: 100% & more";
    consul.set_maintenance(id, true, OURS);
    asterisk.wait_log("was put into maintenance in Consul: new disk");
    let stays = |what: &str, act: &dyn Fn()| {
        let (seen, ()) = statuses(consul, id, || {
            act();
            wait_maintenance(consul, id, OURS);
        });
        assert!(!seen.contains("passing"), "{what}: {seen:?}");
        // Until another look of the node is over.
        let mark = asterisk.log_mark();
        consul.deregister(id);
        asterisk.wait_log_after(mark, "is in maintenance: new disk");
        wait_maintenance(consul, id, OURS);
    };
    stays("a look", &|| {});
    stays("a reload", &|| member.reload(&member.conf()));
    stays("a reload with a change", &|| {
        let conf = member.conf().discovery("tags", "new").discovery("check_interval", "4s");
        member.reload(&conf.discovery("name", "pbx"));
        eventually("the change in the catalog", seconds(10), || match &consul.health("pbx")[..] {
            [one] if one["Service"]["Tags"] == json!(["new"]) => {
                let mut checks = one["Checks"].as_array().into_iter().flatten();
                if checks.any(|check| check["Notes"] == OURS) {
                    Ok(())
                } else {
                    Err(one.to_string())
                }
            }
            other => Err(format!("{other:?}")),
        });
    });
    stays("a check taken away", &|| {
        consul.request("PUT", &format!("/v1/agent/check/deregister/service:{id}"), None).ok();
    });
    stays("an unload and a load", &|| {
        unload(asterisk, DISCOVERY);
        assert_eq!(consul.service(id), None);
        load(asterisk, DISCOVERY);
    });
    stays("a drain and its end", &|| {
        asterisk.cli("channel originate Local/stay@default extension stay@default");
        asterisk.cli("discovery drain");
        let said = asterisk.cli("discovery undrain");
        assert_eq!(said.trim(), format!("Done: '{id}' stays in maintenance, by an operator"));
    });

    // Lifted there, it stays lifted.
    let mark = asterisk.log_mark();
    consul.set_maintenance(id, false, "");
    asterisk.wait_log_after(mark, "was taken out of maintenance in Consul");
    member.wait("passing");
    let (seen, ()) = statuses(consul, id, || {
        member.reload(&member.conf().discovery("tags", "again"));
        eventually("the change", seconds(10), || match consul.service(id) {
            Some(service) if service["Service"]["Tags"] == json!(["again"]) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    });
    assert!(seen.iter().eq(["passing"]), "{seen:?}");
    unload(asterisk, DISCOVERY);
    load(asterisk, DISCOVERY);
    let (seen, _) = statuses(consul, id, || member.wait("passing"));
    assert!(!seen.contains("maintenance"), "{seen:?}");
    unregister(asterisk);
}

fn an_operators_maintenance_outlives_restarts_of_everything(version: Version) {
    let member = Member::from_boot(version, Consul::builder().persistent().start());
    let (consul, asterisk, id) = (&member.consul, &member.asterisk, member.id());
    const OURS: &str = "until Monday";
    asterisk.ami().action("DiscoverySetMaintenance", &[("Enable", "true"), ("Reason", OURS)]);
    member.wait_maintenance(OURS);
    let stays = |what: &str, act: &dyn Fn()| {
        let (seen, ()) = statuses(consul, id, act);
        wait_maintenance(consul, id, OURS);
        assert!(!seen.contains("passing"), "{what}: {seen:?}");
    };
    let restart = |command: &str| {
        let mark = asterisk.log_mark();
        // It answers nothing more: it is replaced by itself.
        let _ = asterisk.try_cli(command, seconds(20));
        asterisk.wait_log_after(mark, &format!("'{id}' is in maintenance: {OURS}"));
        eventually("Asterisk to be up", seconds(30), || {
            match asterisk.try_cli("core waitfullybooted", seconds(10)) {
                Ok(answer) if answer.contains("fully booted") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    };
    stays("Asterisk restarted", &|| restart("core restart now"));
    stays("Asterisk restarted gracefully", &|| restart("core restart gracefully"));
    for wipe in [false, true] {
        let mark = asterisk.log_mark();
        consul.kill();
        if wipe {
            consul.wipe();
        }
        consul.start_again();
        stays("the agent restarted", &|| member.wait_maintenance(OURS));
        if wipe {
            asterisk.wait_log_after(mark, "is registered again");
        }
    }

    // Taken back while Asterisk is away, it is so afterwards.
    asterisk.cli("discovery set maintenance off");
    member.wait("passing");
    let mark = asterisk.log_mark();
    let _ = asterisk.try_cli("core restart now", seconds(20));
    asterisk.wait_log_after(mark, "registered");
    let (seen, _) = statuses(consul, id, || member.wait("passing"));
    assert!(!seen.contains("maintenance"), "{seen:?}");
    eventually("Asterisk to be up", seconds(30), || {
        match asterisk.try_cli("core waitfullybooted", seconds(10)) {
            Ok(answer) if answer.contains("fully booted") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    unregister(asterisk);
}

/// How many channels `discovery show status` says remain.
fn remaining(asterisk: &Asterisk) -> String {
    let shown = asterisk.cli("discovery show status");
    let line = shown.lines().find_map(|line| line.trim().strip_prefix("Drain:"));
    line.unwrap_or_else(|| panic!("{shown}")).trim().to_owned()
}

fn a_drain_lets_calls_live_and_deregisters_at_the_end(version: Version) {
    let member = Member::start(version);
    let (consul, asterisk, id) = (&member.consul, &member.asterisk, member.id());
    let ami = asterisk.ami();
    let hold = seconds(6);
    let call = Call::place(asterisk, "stay", hold);
    eventually("the call to be up", seconds(10), || {
        let shown = asterisk.cli("core show channels count");
        if shown.contains("1 active channel") { Ok(()) } else { Err(shown) }
    });
    let said = asterisk.cli("discovery drain");
    let wanted = format!("Done: '{id}' is in maintenance until it is drained: 1 channel remains");
    assert_eq!(said.trim(), wanted);
    assert_eq!(consul.maintenance_of(id).as_deref(), Some(DRAINING));
    assert_eq!(remaining(asterisk), "waiting, 1 channel remains");

    // It may originate, and what it has originated counts.
    asterisk
        .ari()
        .post("/channels?endpoint=Local/wait@default&extension=wait&context=default")
        .ok();
    eventually("the second call to count", seconds(10), || match remaining(asterisk).as_str() {
        "waiting, 3 channels remain" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert!(call.is_running());
    call.wait(seconds(20));
    eventually("the first call to have ended", seconds(10), || {
        match remaining(asterisk).as_str() {
            "waiting, 2 channels remain" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    assert_eq!(consul.maintenance_of(id).as_deref(), Some(DRAINING));
    asterisk.cli("channel request hangup all");
    member.wait_gone();
    ami.next_of("DiscoveryDeregister", seconds(10));
    eventually("the drain to be over", seconds(10), || match remaining(asterisk).as_str() {
        "deregistered, no channel remains" => Ok(()),
        other => Err(other.to_owned()),
    });
    // A reload does not bring it back, and a call is taken all the same.
    member.reload(&member.conf().discovery("tags", "new"));
    Call::place(asterisk, "call", seconds(5)).wait(seconds(20));
    assert_eq!(consul.services().len(), 0);

    asterisk.cli("discovery undrain");
    let service = member.wait("passing");
    assert_eq!(service["Service"]["Tags"], json!(["new"]));
    unregister(asterisk);
}

fn a_drain_is_taken_back_before_and_after_its_end(version: Version) {
    let member = Member::start(version);
    let (consul, asterisk, id) = (&member.consul, &member.asterisk, member.id());
    let ami = asterisk.ami();
    let said = asterisk.cli("discovery undrain");
    assert!(said.starts_with("Not done: the node is not being drained"), "{said}");

    let call = || {
        let call = "/channels?endpoint=Local/wait@default&extension=wait&context=default";
        asterisk.ari().post(call).ok();
        eventually("a call", seconds(10), || {
            let shown = asterisk.cli("core show channels count");
            if shown.contains("2 active channels") { Ok(()) } else { Err(shown) }
        });
    };
    let hang_up = || {
        asterisk.cli("channel request hangup all");
    };
    call();
    let said = answer(&ami, "DiscoveryDrain", &[("Enable", "true"), ("Stop", "true")]);
    assert_eq!(said.field("Response"), "Success", "{said:?}");
    assert!(said.field("Message").ends_with("and then Asterisk is stopped"), "{said:?}");
    member.wait_maintenance(DRAINING);
    // Only the last word counts.
    assert!(asterisk.cli("discovery drain").contains("2 channels remain"));
    let shown = remaining(asterisk);
    assert!(!shown.contains("stopped"), "{shown}");
    let said = asterisk.cli("discovery undrain");
    assert_eq!(said.trim(), format!("Done: '{id}' is out of maintenance"));
    assert_eq!(consul.maintenance_of(id), None);
    member.wait("passing");

    // An operator who lifts it in Consul takes the drain back.
    asterisk.cli("discovery drain");
    member.wait_maintenance(DRAINING);
    consul.set_maintenance(id, false, "");
    asterisk.wait_log("was taken out of maintenance in Consul, which ends the drain");
    member.wait("passing");
    assert_eq!(remaining(asterisk), "none");
    hang_up();
    member.wait("passing");

    // An operator's maintenance outlives a drain, to its end and beyond.
    asterisk.cli("discovery set maintenance on");
    call();
    asterisk.cli("discovery drain");
    hang_up();
    member.wait_gone();
    let said = answer(&ami, "DiscoveryDrain", &[("Enable", "false")]);
    let stays = format!("'{id}' stays in maintenance, by an operator");
    assert_eq!(said.field("Message"), stays, "{said:?}");
    wait_maintenance(consul, id, REASON);
    asterisk.cli("discovery set maintenance off");
    member.wait("passing");

    // What a crash leaves of a drain is no operator's.
    call();
    asterisk.cli("discovery drain");
    member.wait_maintenance(DRAINING);
    unload(asterisk, DISCOVERY);
    assert_eq!(consul.service(id), None);
    load(asterisk, DISCOVERY);
    member.wait("passing");
    assert_eq!(remaining(asterisk), "none");
    unregister(asterisk);
}

fn a_drain_can_stop_asterisk(version: Version) {
    let member = Member::start(version);
    let call = Call::place(&member.asterisk, "stay", seconds(3));
    eventually("the call to be up", seconds(10), || {
        let shown = member.asterisk.cli("core show channels count");
        if shown.contains("1 active channel") { Ok(()) } else { Err(shown) }
    });
    let said = member.asterisk.cli("discovery drain stop");
    assert!(said.contains("1 channel remains, and then Asterisk is stopped"), "{said}");
    call.wait(seconds(20));
    let status = member.asterisk.process().wait(seconds(20));
    assert!(status.success(), "{status}");
    assert_eq!(member.consul.services().len(), 0);

    // With Consul gone it stops all the same.
    let member = Member::start(version);
    member.consul.kill();
    let said = member.asterisk.cli("discovery drain stop");
    assert!(said.contains("It will be done as soon as it can be"), "{said}");
    let status = member.asterisk.process().wait(seconds(30));
    assert!(status.success(), "{status}");
}
