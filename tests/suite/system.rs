// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! All parts together: callers dial at Kamailio, the conference of `apps/` brings them together on
//! whichever node they are, and nodes come and go.

mod steady;

use std::thread;
use std::time::{Duration, Instant};

use rig::ground::{CONFERENCE, Ground};
use rig::{
    App, Asterisk, Broker, Consul, Dispatcher, Gateway, Kamailio, Phone, eventually, poll, ports,
    seconds,
};
use serde_json::{Value, json};

use crate::gateway_fleet::{ids, scenarios, text};
use steady::{Outcome, Steady};

scenarios!(the_conference_goes_on_whatever_nodes_do);

const PROGRAM: &str = "apps/conference/conference.py";
/// The bridge that the program makes.
const BRIDGE: &str = "/bridges/conf";
/// What the six callers say: no two of them together, less a third, are one more. Where something cuts
/// a mix off, such a tone comes up in it that nobody says.
const TONES: [u32; 6] = [440, 620, 830, 990, 1460, 1790];
/// Those who call all the time say nothing: more voices than the six are louder than a sample can be.
const PASSING: u32 = 0;

/// The longest wait, on a machine that is busy with others.
const PATIENCE: Duration = seconds(90);

struct System {
    ground: Ground<'static>,
    nodes: Vec<Asterisk>,
    kamailio: Kamailio,
    dispatcher: Dispatcher,
    gateway: Gateway,
    app: App,
}

/// A caller who stays, and the node that has the call.
struct Member {
    phone: Phone,
    node: u16,
}

impl System {
    fn start() -> Self {
        let ground = Ground { consul: Consul::start(), tenant: Broker::shared().tenant() };
        // On a machine that is busy, calls that are to be short are there for long.
        let nodes = ground.nodes(3, |node| {
            let rtp = ports::block(400);
            node.conf("rtp.conf", format!("[general]\nrtpstart = {rtp}\nrtpend = {}\n", rtp + 399))
        });
        // On a machine that is busy, a node that lives can be silent for more than the default, and
        // all callers, who then say more things twice, have one address.
        let kamailio = Kamailio::new("#!define NODE_PATIENCE 5000\n#!define FLOOD_REQUESTS 1000");
        let dispatcher = ground.start_kamailio(&kamailio, &nodes);
        let (amqp, bridges) = (ground.gateway_amqp(), "trunk_timeout = \"30s\"");
        let gateway =
            Gateway::start(ground.consul.port(), &[("amqp", &amqp), ("bridges", bridges)]);
        ground.wait_gateway(&gateway, nodes.len());
        let app = ground.app(&gateway, PROGRAM, &[("APP_RECONCILE", "2s")]);
        for node in &nodes {
            ground.wait_application(node, "conf");
        }
        Self { ground, nodes, kamailio, dispatcher, gateway, app }
    }

    /// The node with this SIP port.
    fn node(&self, port: u16) -> &Asterisk {
        let found = self.nodes.iter().find(|node| node.sip_port() == port);
        found.unwrap_or_else(|| panic!("no node at {port}"))
    }

    /// Has callers with these tones dial until each of these nodes has `each` of them more. Who comes
    /// to one that has enough hangs up.
    #[track_caller]
    fn dial_in(&self, tones: &[u32], nodes: &[u16], each: usize) -> Vec<Member> {
        assert_eq!(tones.len(), nodes.len() * each);
        let mut members: Vec<Member> = Vec::new();
        // By weight, each of them is called within a hundred calls.
        for _ in 0..100 {
            let Some(tone) = tones.get(members.len()) else { return members };
            let phone = Phone::call(self.kamailio.port(), CONFERENCE, *tone);
            let node = phone.wait_answered(PATIENCE);
            let there = members.iter().filter(|member| member.node == node).count();
            if nodes.contains(&node) && there < each {
                members.push(Member { phone, node });
            } else {
                phone.hang_up();
                assert_eq!(phone.wait_over(PATIENCE), Some(200));
            }
        }
        panic!("a node of {nodes:?} gets no calls");
    }

    /// Waits until each of these hears all others, but not itself.
    #[track_caller]
    fn wait_all_hear_all(&self, members: &[&Member]) {
        let mut all: Vec<u32> = members.iter().map(|member| member.phone.tone()).collect();
        all.sort_unstable();
        // All listen at one time.
        let deaf: Vec<String> = thread::scope(|scope| {
            let listening: Vec<_> = members
                .iter()
                .map(|Member { phone, node }| {
                    let others: Vec<u32> =
                        all.iter().copied().filter(|tone| *tone != phone.tone()).collect();
                    scope.spawn(move || {
                        let hears = poll(PATIENCE, || phone.hears(seconds(1), &others, &TONES));
                        hears.err().map(|heard| format!("{} on {node}: {heard}", phone.tone()))
                    })
                })
                .collect();
            listening.into_iter().filter_map(|one| one.join().expect("a listener")).collect()
        });
        assert!(deaf.is_empty(), "of {all:?} hears wrong: {deaf:#?}\n{}", self.media());
    }

    /// What the nodes that live say of bridges, calls and their audio.
    fn media(&self) -> String {
        let of = |node: &&Asterisk| {
            let bridges = node.ari().get("/bridges").ok();
            let (port, channels) = (node.sip_port(), node.cli("core show channels concise"));
            let rtp = node.cli("pjsip show channelstats");
            format!("node {port}: {bridges}\n{channels}\n{rtp}")
        };
        self.living().iter().map(of).collect()
    }

    /// Waits until the app has so many calls, and the bridge as many members.
    #[track_caller]
    fn wait_calls(&self, count: usize) {
        self.app.wait_health(&format!("to have {count} calls"), |told| told["calls"] == count);
        eventually(&format!("{count} members"), PATIENCE, || {
            let told = self.gateway.ari().get(BRIDGE).ok();
            let members = told["channels"].as_array().map_or(0, Vec::len);
            if members == count { Ok(()) } else { Err(told) }
        });
    }

    /// The node that the bridge is at home on.
    fn home(&self) -> &Asterisk {
        let told = self.gateway.ari().get(BRIDGE).ok();
        let eid = text(&told["asterisk_id"]);
        self.nodes.iter().find(|node| node.entity_id() == eid).expect("a node of ours")
    }

    /// The nodes that live.
    fn living(&self) -> Vec<&Asterisk> {
        self.nodes.iter().filter(|node| node.process().ended().is_none()).collect()
    }
}

fn the_conference_goes_on_whatever_nodes_do() {
    let system = System::start();
    let ports: Vec<u16> = system.nodes.iter().map(Asterisk::sip_port).collect();
    let mut members = system.dial_in(&TONES, &ports, 2);
    system.wait_calls(6);
    system.wait_all_hear_all(&members.iter().collect::<Vec<_>>());

    // It can't end while it is home, for the others' trunks lead to it.
    let upgraded = system.home().sip_port();
    let mut drain = None;
    let mut death = None;
    let port = system.kamailio.port();
    let calls = Steady::beside(port, CONFERENCE, PASSING, |steady| {
        let begun = Instant::now();
        for port in &ports {
            steady.wait_since(begun, 1, |call| call.is_by(*port));
        }
        drain = Some(upgraded_under_calls(&system, steady, upgraded, &mut members));
        let home = system.home().sip_port();
        assert_ne!(home, upgraded);
        death = Some((home, killed_under_calls(&system, steady, home, &mut members)));
    });
    judge(&calls, upgraded, drain.expect("a drain"), death.expect("a death"));

    system.wait_calls(6);
    system.wait_all_hear_all(&members.iter().collect::<Vec<_>>());
    system.end(&members);
}

/// When a node was out of the list, and when it was started again.
type Drain = (Instant, Instant);

/// A node is upgraded as `docs/deploy.md` has it: it gets no more calls, ends when its last has, and
/// is started again. Its members call again.
fn upgraded_under_calls(
    system: &System,
    steady: &Steady,
    port: u16,
    members: &mut Vec<Member>,
) -> Drain {
    let node = system.node(port);
    node.cli("discovery drain stop");
    let others: Vec<&Asterisk> =
        system.nodes.iter().filter(|node| node.sip_port() != port).collect();
    system.kamailio.wait_destinations(&others, PATIENCE);
    let out = Instant::now();
    steady.wait_since(out, 10, |_| true);
    // Who is on it talks on.
    assert!(members.iter().all(|member| member.phone.is_up()));
    system.wait_all_hear_all(&members.iter().collect::<Vec<_>>());

    let mut tones = Vec::new();
    for member in members.extract_if(.., |member| member.node == port) {
        member.phone.hang_up();
        assert_eq!(member.phone.wait_over(PATIENCE), Some(200));
        tones.push(member.phone.tone());
    }
    let ended = node.process().wait(PATIENCE);
    assert!(ended.success(), "{ended}\n{}", node.log());
    let again = Instant::now();
    node.start_again();
    system.ground.wait_node(node, "passing");
    system.ground.wait_application(node, "conf");
    steady.wait_since(again, 1, |call| call.is_by(port));
    members.extend(system.dial_in(&tones, &[port], 2));
    system.wait_all_hear_all(&members.iter().collect::<Vec<_>>());
    (out, again)
}

/// The node that the bridge is at home on is killed: its own calls end, the others go on, and who was
/// thrown out calls again.
fn killed_under_calls(
    system: &System,
    steady: &Steady,
    port: u16,
    members: &mut Vec<Member>,
) -> Instant {
    system.node(port).kill();
    let killed = Instant::now();
    let (dead, left): (Vec<Member>, Vec<Member>) =
        members.drain(..).partition(|member| member.node == port);
    system.wait_all_hear_all(&left.iter().collect::<Vec<_>>());
    assert!(left.iter().all(|member| member.phone.is_up()), "a call of another node has ended");
    // Nobody is there to be told.
    for member in &dead {
        member.phone.hang_up();
        assert_eq!(member.phone.wait_over(PATIENCE), Some(408));
    }
    steady.wait_since(killed, 10, |call| matches!(call.answer, Some(Ok(_))));
    let living: Vec<u16> = system.living().iter().map(|node| node.sip_port()).collect();
    system.kamailio.wait_destinations(&system.living(), PATIENCE);
    members.extend(left);
    let tones: Vec<u32> = dead.iter().map(|member| member.phone.tone()).collect();
    members.extend(system.dial_in(&tones, &living, 1));
    killed
}

/// No call has failed but those that were on the node that was killed.
fn judge(calls: &[Outcome], upgraded: u16, (out, again): Drain, (dead, killed): (u16, Instant)) {
    // Kamailio's list had changed; what it had read before is done long before this.
    let is_drained = |call: &&Outcome| call.since > out && call.since < again;
    let late = calls.iter().filter(is_drained).find(|call| call.is_by(upgraded));
    assert!(late.is_none(), "a drained node has got a new call");
    let (mut ended, mut lost) = (0, 0);
    for call in calls {
        match (call.answer, call.hung_up) {
            (Some(Ok(_)), Some(200)) => {}
            // It was on the node, or on the way to it, when that died.
            (Some(Ok(node)), Some(408)) if node == dead && call.since < killed => ended += 1,
            (None, None) if call.since < killed && call.since + seconds(2) > killed => lost += 1,
            _ => panic!("a call has failed: {call:?}; drained {out:?}, killed {killed:?}"),
        }
    }
    eprintln!("{} calls, {ended} ended by the node's death, {lost} not answered then", calls.len());
    assert!(ended > 0, "no call was on the node that was killed");
    assert!(lost <= 3, "{lost} calls had no answer");
}

impl System {
    /// All hang up: nothing is left of it.
    fn end(self, members: &[Member]) {
        for member in members {
            member.phone.hang_up();
        }
        for member in members {
            assert_eq!(member.phone.wait_over(PATIENCE), Some(200));
        }
        self.wait_calls(0);
        let living = self.living();
        eventually("only the bridge to be left", PATIENCE, || {
            let mut left = self.ground.consul.kv_keys("bridges/");
            left.extend(self.ground.consul.kv_keys("gateway/lock/bridges/"));
            left.extend(living.iter().flat_map(|node| ids(&node.ari().get("/channels").ok())));
            let bridges: usize =
                living.iter().map(|node| ids(&node.ari().get("/bridges").ok()).len()).sum();
            if left.is_empty() && bridges == 1 {
                Ok(())
            } else {
                Err(format!("{left:?} {bridges}"))
            }
        });
        // The program makes it, and has no word for its end.
        assert_eq!(self.gateway.ari().delete(BRIDGE).status, 204);
        eventually("nothing to be left", PATIENCE, || {
            let of = |path: &str| -> Vec<Value> {
                living.iter().map(|node| node.ari().get(path).ok()).collect()
            };
            let mut left = [of("/bridges"), of("/channels")].concat();
            left.push(self.gateway.ari().get("/channels").ok());
            if left.iter().all(|list| *list == json!([])) { Ok(()) } else { Err(json!(left)) }
        });

        assert!(self.app.terminate().success(), "{}", self.app.log());
        assert!(!self.app.log().contains("-password"), "a password in the log");
        self.dispatcher.stop();
        self.kamailio.assert_alive();
        self.gateway.assert_alive();
        living.iter().for_each(|node| node.assert_alive());
    }
}
