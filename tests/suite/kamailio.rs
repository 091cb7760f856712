// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Kamailio as `deploy/kamailio` has it, its list kept by `gateway dispatcher`: who gets a call, and
//! what gets none.

use std::thread;
use std::time::Duration;

use rig::{Asterisk, Call, Consul, Dispatcher, Kamailio, SipSocket, Version, eventually, seconds};

use crate::fleet::{CONSUL, DISCOVERY, load, node, wait_status};
use crate::gateway_fleet::scenarios;
use crate::member::quick;

scenarios!(
    calls_go_by_weight_and_go_on_whatever_dies,
    it_is_no_relay,
    who_is_silent_within_a_call_is_waited_for,
    whoever_is_not_listed_may_not_call,
    the_configuration_is_one_with_every_switch,
);

const SOME: Duration = seconds(20);

/// A node that is registered with its SIP port and a weight.
fn listed_node(consul: &Consul, weight: u32) -> Asterisk {
    let asterisk = node(Version::V22, "", &quick(consul.port())).start();
    let conf = quick(consul.port())
        .discovery("discovery_port", &asterisk.sip_port().to_string())
        .discovery("weight_passing", &weight.to_string());
    asterisk.write_conf("consul.conf", &conf.text());
    load(&asterisk, CONSUL);
    load(&asterisk, DISCOVERY);
    asterisk
}

/// The number before `what` in `core show channels count`.
#[track_caller]
fn counted(asterisk: &Asterisk, what: &str) -> u32 {
    let shown = asterisk.cli("core show channels count");
    let line = shown.lines().find(|line| line.contains(what));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {what} in {shown}"))
}

fn processed(asterisk: &Asterisk) -> u32 {
    counted(asterisk, "processed")
}

fn channels(asterisk: &Asterisk) -> u32 {
    counted(asterisk, "active channel")
}

/// Calls that are answered and hung up at once by the node: `count`, `rate` a second, none may fail.
#[track_caller]
fn call(kamailio: &Kamailio, count: u32, rate: u32) {
    Call::towards(kamailio.port(), "call", seconds(10), count, rate).wait(seconds(90));
}

fn calls_go_by_weight_and_go_on_whatever_dies() {
    let consul = Consul::start();
    let nodes: Vec<Asterisk> = thread::scope(|scope| {
        let starting: Vec<_> = [1, 1, 2]
            .map(|weight| {
                scope.spawn({
                    let consul = &consul;
                    move || listed_node(consul, weight)
                })
            })
            .into();
        starting.into_iter().map(|one| one.join().expect("a node")).collect()
    });
    let [a, b, c] = &nodes[..] else { unreachable!() };
    // On a machine that is busy, a node that lives can be silent for more than the default.
    let kamailio = Kamailio::new("#!define NODE_PATIENCE 5000");
    let address = format!("address = \"127.0.0.1:{}\"\nforget_after = \"10s\"", consul.port());
    // It needs no Kamailio to begin, and Kamailio then finds the list.
    let mut dispatcher = Dispatcher::start(&address, &kamailio);
    eventually("three nodes in the list", SOME, || match kamailio.listed(1).len() {
        3 => Ok(()),
        _ => Err(kamailio.list()),
    });
    kamailio.start();
    dispatcher.wait_log("Kamailio has read the list", 1);
    kamailio.wait_destinations(&[a, b, c], SOME);

    // By weight: a hundred calls, as 1 to 1 to 2.
    call(&kamailio, 100, 20);
    let shares: Vec<u32> = nodes.iter().map(processed).collect();
    assert_eq!(shares.iter().sum::<u32>(), 100, "{shares:?}");
    for (share, wanted) in shares.iter().zip([25_u32, 25, 50]) {
        assert!(share.abs_diff(wanted) <= 5, "{shares:?}");
    }

    drained_under_calls(&kamailio, &nodes);
    killed_with_calls_on_all(&kamailio, &consul, &nodes);
    let living: Vec<&Asterisk> =
        nodes.iter().filter(|node| node.process().ended().is_none()).collect();

    // With Consul gone, the last list goes on; also for a Kamailio and a dispatcher that start anew.
    kamailio.wait_destinations(&living, SOME);
    let last = kamailio.list();
    consul.kill();
    dispatcher.wait_log("the fleet stays as it was seen last", 1);
    call(&kamailio, 5, 5);
    dispatcher.stop();
    dispatcher = Dispatcher::start(&address, &kamailio);
    dispatcher.wait_log("the fleet stays as it was seen last", 1);
    kamailio.kill();
    kamailio.start();
    assert_eq!(kamailio.list(), last);
    kamailio.wait_destinations(&living, SOME);
    call(&kamailio, 5, 5);

    consul_comes_back_empty(&kamailio, &consul, &dispatcher, &living);

    // What Consul says of its nodes is followed to the last of them.
    for node in &living {
        node.cli("discovery set maintenance on");
    }
    kamailio.wait_destinations(&[], seconds(3));
    let caller = SipSocket::new();
    let uri = format!("sip:call@127.0.0.1:{}", kamailio.port());
    assert_eq!(caller.status(kamailio.port(), &caller.request("INVITE", &uri, "")), 503);
    living[0].cli("discovery set maintenance off");
    kamailio.wait_destinations(&living[..1], SOME);
    call(&kamailio, 5, 5);
    kamailio.assert_alive();
    dispatcher.stop();
}

/// One node is drained under five calls a second, with a call on it that is hung up meanwhile.
fn drained_under_calls(kamailio: &Kamailio, nodes: &[Asterisk]) {
    let before = nodes.iter().map(channels).sum::<u32>();
    assert_eq!(before, 0);
    let stays = Call::towards(kamailio.port(), "stay", seconds(8), 1, 1);
    let drained = eventually("the call to be on a node", SOME, || {
        nodes.iter().find(|node| channels(node) == 1).ok_or("it is on none")
    });
    let others: Vec<&Asterisk> =
        nodes.iter().filter(|node| node.sip_port() != drained.sip_port()).collect();
    let of_others = || others.iter().map(|node| processed(node)).sum::<u32>();
    let load = Call::towards(kamailio.port(), "call", seconds(10), 1_000_000, 5);
    let begun = processed(drained);
    eventually("calls on all nodes", SOME, || {
        if processed(drained) > begun { Ok(()) } else { Err("none yet") }
    });

    let said = drained.cli("discovery set maintenance on");
    assert!(said.contains("is in maintenance"), "{said}");
    kamailio.wait_destinations(&others, seconds(3));
    assert!(kamailio.listed(2).contains(&drained.sip_port()), "{}", kamailio.list());
    // What was on its way when Kamailio read the list is there when the next call is.
    let settled = of_others() + 1;
    eventually("one more call", SOME, || {
        if of_others() > settled { Ok(()) } else { Err(of_others()) }
    });
    let last = processed(drained);
    let later = of_others() + 15;
    eventually(
        "15 more calls",
        SOME,
        || if of_others() >= later { Ok(()) } else { Err(of_others()) },
    );
    assert_eq!(processed(drained), last, "a drained node has got a new call");

    // The caller's own BYE has found it.
    stays.wait(SOME);
    eventually("no channel at the drained node", SOME, || match channels(drained) {
        0 => Ok(()),
        count => Err(count),
    });
    load.hang_up();
    load.wait(seconds(40));
    drained.cli("discovery set maintenance off");
    kamailio.wait_destinations(&nodes.iter().collect::<Vec<_>>(), SOME);
}

/// A node is killed: its own calls end, and no other's.
fn killed_with_calls_on_all(kamailio: &Kamailio, consul: &Consul, nodes: &[Asterisk]) {
    let held = Call::towards(kamailio.port(), "stay", seconds(120), 12, 12);
    eventually("twelve calls", SOME, || match nodes.iter().map(channels).sum::<u32>() {
        12 => Ok(()),
        count => Err(count),
    });
    let killed = &nodes[2];
    let living = &nodes[..2];
    let before: Vec<u32> = living.iter().map(channels).collect();
    let begun: u32 = living.iter().map(processed).sum();
    killed.process().kill();
    // Consul does not know yet: these calls meet it, and each is answered all the same.
    call(kamailio, 10, 10);
    assert!(kamailio.log().contains("a node was passed over"), "{}", kamailio.log());
    let active = |port: u16| kamailio.destinations().contains(&(port, "AP".to_owned()));
    assert!(!active(killed.sip_port()), "{:?}", kamailio.destinations());
    let ended: u32 = living.iter().map(processed).sum();
    assert_eq!(ended - begun, 10);
    assert_eq!(living.iter().map(channels).collect::<Vec<_>>(), before, "calls of others live");

    wait_status(consul, killed.entity_id(), "critical");
    kamailio.wait_destinations(&[&nodes[0], &nodes[1]], seconds(3));
    drop(held);
    // Their calls have no caller any more.
    for node in living {
        node.cli("channel request hangup all");
    }
}

/// An agent that has lost everything: the nodes register again, one after the other, and at no time
/// is there nowhere to call.
fn consul_comes_back_empty(
    kamailio: &Kamailio,
    consul: &Consul,
    dispatcher: &Dispatcher,
    living: &[&Asterisk],
) {
    let load = Call::towards(kamailio.port(), "call", seconds(10), 1_000_000, 5);
    consul.start_again();
    eventually("all nodes in the list again", SOME, || {
        let listed = kamailio.listed(1).len();
        assert!(listed > 0, "{}", kamailio.list());
        let answers = dispatcher.log().contains("Kamailio has read the list");
        if answers && listed == living.len() { Ok(()) } else { Err(kamailio.list()) }
    });
    for node in living {
        wait_status(consul, node.entity_id(), "passing");
    }
    kamailio.wait_destinations(living, SOME);
    load.hang_up();
    load.wait(seconds(40));
}

fn it_is_no_relay() {
    let kamailio = Kamailio::new("");
    let (one, other, drained) = (SipSocket::new(), SipSocket::new(), SipSocket::new());
    let (caller, elsewhere) = (SipSocket::new(), SipSocket::new());
    kamailio.write_list(&format!(
        "1 sip:127.0.0.1:{0} 0 0 rweight=50\n1 sip:127.0.0.1:{1} 0 0 rweight=50\n\
         2 sip:127.0.0.1:{0}\n2 sip:127.0.0.1:{1}\n2 sip:127.0.0.1:{2}\n",
        one.port(),
        other.port(),
        drained.port()
    ));
    kamailio.start();
    let port = kamailio.port();
    let us = format!("sip:127.0.0.1:{port}");
    let dialled = format!("sip:8000@127.0.0.1:{port}");
    let foreign = format!("sip:8000@127.0.0.1:{}", elsewhere.port());
    let way = format!("Route: <{us};lr>\r\n");
    let within = "To: <sip:8000@127.0.0.1>;tag=theirs\r\n";
    let refused = |method: &str, uri: &str, more: &str, wanted: u16| {
        let request = caller.request(method, uri, more);
        assert_eq!(caller.status(port, &request), wanted, "{request}");
    };
    refused("OPTIONS", &us, "", 200);
    refused("OPTIONS", &foreign, "", 403);
    refused("INVITE", &foreign, "", 403);
    refused("INVITE", "sip:+15550100@carrier.example", "", 403);
    refused("INVITE", &foreign, &way, 403);
    refused("INVITE", &us, "", 404);
    refused("INVITE", &format!("sip:a%20b@127.0.0.1:{port}"), "", 404);
    refused("INVITE", &dialled, "Max-Forwards: 0\r\n", 483);
    for method in ["REGISTER", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH", "BYE"] {
        refused(method, &dialled, "", 405);
        refused(method, &foreign, &way, 405);
    }
    // As if within a call, to somebody who is no node: straight, and by a way laid out by hand.
    let onward = format!("{way}Route: <sip:127.0.0.1:{};lr>\r\n", elsewhere.port());
    let node = format!("sip:127.0.0.1:{}", one.port());
    refused("BYE", &foreign, within, 404);
    refused("BYE", &format!("{node};maddr=127.0.0.2"), &format!("{within}{way}"), 403);
    for method in ["BYE", "INVITE", "INFO", "MESSAGE"] {
        refused(method, &foreign, &format!("{within}{way}"), 403);
        refused(method, &node, &format!("{within}{onward}"), 403);
        refused(method, &foreign, &format!("{within}{onward}"), 403);
    }

    // A way laid out by hand leads a new call to a node and nowhere else; one that takes no calls
    // (503) is passed over within the INVITE, and a caller hears what the next one says.
    let past = format!("Route: <sip:127.0.0.1:{};lr>\r\n", elsewhere.port());
    for way in ["", &past] {
        let invite = caller.request("INVITE", &dialled, way);
        caller.send(port, &invite);
        let is_ours = |message: &str| message.contains(&format!("Record-Route: <{us};lr"));
        let mut tried = Vec::new();
        for status in ["503 No", "486 Busy Here"] {
            let (socket, got) = eventually("the INVITE at a node", SOME, || {
                let got = [&one, &other].into_iter().find_map(|node| {
                    Some((node, node.receive_that("INVITE ", Duration::from_millis(100))?))
                });
                got.ok_or("none")
            });
            assert!(is_ours(&got) && !got.contains("\nRoute:"), "{got}");
            socket.answer(&got, status, port);
            tried.push(socket.port());
        }
        assert_ne!(tried[0], tried[1], "the next one");
        let answer = caller.receive_that("SIP/2.0 486", SOME);
        assert!(answer.is_some(), "the answer of the second node");
    }

    // Within a call a node is reached, also one that takes no new ones; and the caller from a node.
    for node in [&one, &drained] {
        let bye = caller.request(
            "BYE",
            &format!("sip:127.0.0.1:{}", node.port()),
            &format!("{within}{way}"),
        );
        caller.send(port, &bye);
        let got = node.receive_that("BYE ", SOME).expect("the BYE at its node");
        node.answer(&got, "200 OK", port);
        caller.receive_that("SIP/2.0 200", SOME).expect("its answer");
    }
    let to_caller = format!("sip:rig@127.0.0.1:{}", caller.port());
    drained.send(port, &drained.request("BYE", &to_caller, &format!("{within}{way}")));
    caller.receive_that("BYE ", SOME).expect("the node's BYE at the caller");

    for nonsense in [
        "",
        "\r\n\r\n",
        "INVITE",
        "INVITE sip: SIP/2.0\r\n\r\n",
        "\u{0}\u{1}\u{2}",
        "BYE x y z\r\nVia: a\r\n\r\n",
    ] {
        caller.send(port, nonsense);
    }
    refused("OPTIONS", &us, "", 200);
    assert!(
        elsewhere.receive_that("", Duration::from_millis(1)).is_none(),
        "nothing went elsewhere"
    );

    flooded(&kamailio, &caller, &one);
    assert!(
        elsewhere.receive_that("", Duration::from_millis(1)).is_none(),
        "nothing went elsewhere"
    );
    kamailio.assert_alive();
}

/// Too many requests from one address are let fall, those of a node at that address are not, and
/// when it is over the address is answered again.
fn flooded(kamailio: &Kamailio, caller: &SipSocket, node: &SipSocket) {
    let port = kamailio.port();
    let us = format!("sip:127.0.0.1:{port}");
    let flood = SipSocket::new();
    eventually("the flood to be let fall", SOME, || {
        for _ in 0..200 {
            flood.send(port, &flood.request("OPTIONS", &us, ""));
        }
        // What was answered is read away; then one more, alone.
        while flood.receive(Duration::from_millis(50)).is_some() {}
        flood.send(port, &flood.request("OPTIONS", &us, ""));
        if flood.receive(Duration::from_millis(300)).is_none() { Ok(()) } else { Err("answered") }
    });
    assert_eq!(node.status(port, &node.request("OPTIONS", &us, "")), 200, "a node is not counted");
    eventually("the address to be answered again", SOME, || {
        caller.send(port, &caller.request("OPTIONS", &us, ""));
        caller.receive_that("SIP/2.0 200", seconds(1)).ok_or("not yet")
    });
}

/// A list with this node alone.
fn list_only(kamailio: &Kamailio, node: &SipSocket) {
    kamailio.write_list(&format!(
        "1 sip:127.0.0.1:{0} 0 0 rweight=100\n2 sip:127.0.0.1:{0}\n",
        node.port()
    ));
}

fn who_is_silent_within_a_call_is_waited_for() {
    let kamailio = Kamailio::new("#!define NODE_PATIENCE 300");
    let (node, caller) = (SipSocket::new(), SipSocket::new());
    list_only(&kamailio, &node);
    kamailio.start();
    let port = kamailio.port();
    let within =
        format!("To: <sip:8000@127.0.0.1>;tag=theirs\r\nRoute: <sip:127.0.0.1:{port};lr>\r\n");
    for (from, to) in [(&node, &caller), (&caller, &node)] {
        let bye = from.request("BYE", &format!("sip:rig@127.0.0.1:{}", to.port()), &within);
        from.send(port, &bye);
        to.receive_that("BYE ", SOME).expect("the BYE");
        // After half a second, and so after a node's patience.
        let again = to.receive_that("BYE ", SOME).expect("the BYE, once more");
        to.answer(&again, "200 OK", port);
        let answer = from.receive_that("SIP/2.0 ", SOME).expect("an answer");
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    }
}

fn whoever_is_not_listed_may_not_call() {
    for (listed, wanted) in [("127.0.0.2 32", 403), ("127.0.0.0 8", 486)] {
        // A name without a path is beside the configuration.
        let local = "#!define WITH_CALLERS\n#!define CALLERS_LIST \"callers.list\"";
        let kamailio = Kamailio::new(local);
        let file = kamailio.folder().join("callers.list");
        std::fs::write(file, format!("1 {listed} 0\n")).expect("written");
        let (node, caller) = (SipSocket::new(), SipSocket::new());
        list_only(&kamailio, &node);
        kamailio.start();
        let uri = format!("sip:8000@127.0.0.1:{}", kamailio.port());
        let request = caller.request("INVITE", &uri, "");
        thread::scope(|scope| {
            let answers = scope.spawn(|| caller.status(kamailio.port(), &request));
            if wanted == 486 {
                let got = node.receive_that("INVITE ", SOME).expect("the INVITE at the node");
                node.answer(&got, "486 Busy Here", kamailio.port());
            }
            assert_eq!(answers.join().expect("an answer"), wanted, "{listed}");
        });
    }
}

fn the_configuration_is_one_with_every_switch() {
    let sample = |name: &str| {
        let file = rig::root::checkout().join("deploy/kamailio").join(name);
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    // All that they have, but for what the rig says itself.
    let own = ["listen=", "#!define NODES_LIST", "#!define RPC_SOCKET"];
    for (name, alias) in [
        ("kamailio-local.cfg.sample", "sip.example.org"),
        ("../compose/kamailio-local.cfg", "localhost"),
    ] {
        let told: String = sample(name)
            .lines()
            .map(|line| line.strip_prefix("#= ").unwrap_or(line))
            .filter(|line| !own.iter().any(|start| line.starts_with(start)))
            .map(|line| format!("{line}\n"))
            .collect();
        let said = Kamailio::check(&told).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(said.contains(alias), "{name}: {said}");
    }
    let defaults = [
        "NUMBERS",
        "NODE_PATIENCE",
        "RING_PATIENCE",
        "TRIES",
        "FLOOD_REQUESTS",
        "CALLERS_LIST",
        "TLS_FILE",
        "NODES_LIST",
        "RPC_SOCKET",
        "RPC_MODE",
    ];
    let whole = sample("kamailio.cfg");
    for name in defaults {
        let define = |text: &str| {
            let line = text.lines().find_map(|line| {
                line.trim_start_matches("#= ")
                    .strip_prefix(&format!("#!define {name} "))
                    .map(str::to_owned)
            });
            line.unwrap_or_else(|| panic!("no {name}"))
        };
        assert_eq!(define(&sample("kamailio-local.cfg.sample")), define(&whole), "{name}");
    }
    assert!(Kamailio::check("#!define WITH_CALLERS\n#!define CALLERS_LIST \"none.list\"").is_ok());
    let wrong = Kamailio::check("modparam(\"dispatcher\", \"nonsense\", 1)");
    assert!(wrong.is_err(), "what is wrong is told: {wrong:?}");
}
