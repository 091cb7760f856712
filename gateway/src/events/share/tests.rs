// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Gateways in a world of calls, whose views of each other differ for a while: what is promised
//! holds of every event.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::super::event::tests::incoming;
use super::announcement::GRACE;
use super::*;

/// All in milliseconds.
const STEP: u64 = 10;
const BEAT: u64 = 2000;
/// How often the nodes are looked at for calls whose end was lost.
const REFRESH: u64 = 3000;
/// The longest that Consul takes to end a dead gateway's session.
const SESSION: u64 = 20_000;
/// The most that a gateway is behind in events, in Consul's news, or with its own.
const BEHIND: u64 = 150;

/// Numbers that look drawn, the same for each seed (SplitMix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.0;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (drawn ^ (drawn >> 31)) % limit
    }
}

/// An event: the number that it has among all, and its call's.
struct Published {
    at: u64,
    number: usize,
    call: usize,
    name: &'static str,
}

struct Gateway {
    sharing: Sharing,
    sockets: Vec<SocketId>,
    /// How many of each node's events it has read.
    read: [usize; 2],
    behind: u64,
    /// When it sees what is in Consul.
    sees: Option<u64>,
    /// When it writes what has changed.
    writes: Option<u64>,
    written: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Telling {
    gateway: usize,
    socket: SocketId,
    at: u64,
}

struct World {
    draw: Draw,
    now: u64,
    began: Instant,
    gateways: BTreeMap<usize, Gateway>,
    consul: Announcements,
    /// When a dead gateway's key goes.
    dead: BTreeMap<usize, u64>,
    nodes: [Vec<Published>; 2],
    /// When each call's channel was made, and whether it goes on.
    calls: Vec<(u64, bool)>,
    /// By an event's number: who was told it.
    told: Vec<Vec<Telling>>,
    /// Who was told what, in order: of which call, and which event.
    heard: HashMap<(usize, SocketId), Vec<(usize, usize)>>,
    /// When a socket or a gateway ended.
    ends: Vec<u64>,
    next_socket: SocketId,
}

fn written(time: u64) -> String {
    let (minute, second, rest) = (time / 60_000, time / 1000 % 60, time % 1000);
    format!("1970-01-01T00:{minute:02}:{second:02}.{rest:03}+0000")
}

fn text(of: &Published, made: u64) -> String {
    format!(
        r#"{{"channel":{{"id":"c{}","dialplan":{{"app_name":"Stasis","app_data":"a"}},
           "creationtime":"{}"}},"n":{},"timestamp":"{}"}}"#,
        of.call,
        written(made),
        of.number,
        written(of.at)
    )
}

impl World {
    fn new(seed: u64, gateways: usize) -> Self {
        let mut world = Self {
            draw: Draw(seed),
            now: 1000,
            began: Instant::now(),
            gateways: BTreeMap::new(),
            consul: Announcements::new(),
            dead: BTreeMap::new(),
            nodes: [Vec::new(), Vec::new()],
            calls: Vec::new(),
            told: Vec::new(),
            heard: HashMap::new(),
            ends: Vec::new(),
            next_socket: 1,
        };
        for number in 0..gateways {
            world.start(number);
            world.join(number);
        }
        world.pass(5000);
        world
    }

    fn instant(&self) -> Instant {
        self.began + Duration::from_millis(self.now)
    }

    fn start(&mut self, number: usize) {
        let now = self.instant();
        let mut sharing = Sharing::new(&format!("g{number}"));
        sharing.see(self.consul.clone(), now);
        let read = [self.nodes[0].len(), self.nodes[1].len()];
        let behind = self.draw.below(BEHIND);
        let gateway = Gateway {
            sharing,
            sockets: Vec::new(),
            read,
            behind,
            sees: None,
            writes: None,
            written: self.now,
        };
        self.gateways.insert(number, gateway);
    }

    fn join(&mut self, number: usize) -> SocketId {
        let (now, socket) = (self.instant(), self.next_socket);
        self.next_socket += 1;
        let delay = self.draw.below(BEHIND);
        let gateway = self.gateways.get_mut(&number).unwrap();
        let takeovers = gateway.sharing.join("a", socket, now);
        gateway.sockets.push(socket);
        gateway.writes = Some(self.now + delay);
        self.take_over(number, takeovers);
        socket
    }

    fn end(&mut self, number: usize, socket: SocketId) {
        let now = self.instant();
        let delay = self.draw.below(BEHIND);
        let gateway = self.gateways.get_mut(&number).unwrap();
        gateway.sockets.retain(|one| *one != socket);
        let takeovers = gateway.sharing.leave(socket, now);
        gateway.writes = Some(self.now + delay);
        self.take_over(number, takeovers);
        self.ends.push(self.now);
    }

    /// Its sockets end, it says so, and goes.
    fn stop(&mut self, number: usize) {
        for socket in self.gateways[&number].sockets.clone() {
            self.end(number, socket);
        }
        while self.gateways[&number].writes.is_some() {
            self.step();
        }
        self.gateways.remove(&number);
        self.dead.insert(number, self.now + AHEAD);
    }

    fn kill(&mut self, number: usize) {
        self.gateways.remove(&number);
        self.dead.insert(number, self.now + SESSION);
        self.ends.push(self.now);
    }

    fn take_over(&mut self, gateway: usize, takeovers: Vec<Takeover>) {
        for takeover in takeovers {
            for text in takeover.texts {
                self.tell(gateway, takeover.socket, &text);
            }
        }
    }

    fn tell(&mut self, gateway: usize, socket: SocketId, text: &str) {
        let told: serde_json::Value = serde_json::from_str(text).unwrap();
        let number = told["n"].as_u64().unwrap() as usize;
        let call = told["channel"]["id"].as_str().unwrap()[1..].parse().unwrap();
        self.told[number].push(Telling { gateway, socket, at: self.now });
        self.heard.entry((gateway, socket)).or_default().push((call, number));
    }

    /// A call begins, or something comes of one.
    fn publish(&mut self) {
        let going = self.going();
        let call = match self.draw.below(8) {
            0 => {
                self.calls.push((self.now, true));
                self.calls.len() - 1
            }
            _ if going.is_empty() => return,
            _ => going[self.draw.below(going.len() as u64) as usize],
        };
        let is_new = !going.contains(&call);
        let is_over = !is_new && going.len() > 20 && self.draw.below(7) == 0;
        self.calls[call].1 = !is_over;
        let name = match (is_new, is_over) {
            (true, _) => "StasisStart",
            (_, true) => "StasisEnd",
            _ => "ChannelVarset",
        };
        let number = self.told.len();
        self.told.push(Vec::new());
        self.nodes[call % 2].push(Published { at: self.now, number, call, name });
    }

    fn step(&mut self) {
        self.now += STEP;
        let now = self.instant();
        let gone: Vec<usize> =
            self.dead.iter().filter(|(_, at)| **at <= self.now).map(|(one, _)| *one).collect();
        for number in gone {
            self.dead.remove(&number);
            self.consul.remove(format!("g{number}").as_str());
            self.is_changed();
        }
        for number in self.gateways.keys().copied().collect::<Vec<_>>() {
            self.read(number);
            let gateway = self.gateways.get_mut(&number).unwrap();
            if self.now.is_multiple_of(REFRESH) {
                let is_there = |_: Kind, id: &str| self.calls[id[1..].parse::<usize>().unwrap()].1;
                gateway.sharing.forget(is_there, self.now);
            }
            if self.now - gateway.written >= BEAT {
                gateway.writes.get_or_insert(self.now);
            }
            if gateway.writes.is_some_and(|at| at <= self.now) {
                (gateway.writes, gateway.written) = (None, self.now);
                let announcement = gateway.sharing.announcement(self.now, now);
                self.consul.insert(format!("g{number}").as_str().into(), announcement);
                self.is_changed();
            }
            let gateway = self.gateways.get_mut(&number).unwrap();
            let takeovers = match gateway.sees.is_some_and(|at| at <= self.now) {
                true => {
                    gateway.sees = None;
                    gateway.sharing.see(self.consul.clone(), now)
                }
                false if self.now.is_multiple_of(1000) => gateway.sharing.arrange(now),
                false => Vec::new(),
            };
            self.take_over(number, takeovers);
        }
    }

    fn is_changed(&mut self) {
        for gateway in self.gateways.values_mut() {
            gateway.sees.get_or_insert(self.now + self.draw.below(BEHIND));
        }
    }

    /// A gateway reads what has come to its queue.
    fn read(&mut self, number: usize) {
        let now = self.instant();
        for node in 0..2 {
            let (calls, mut out) = (&self.calls, Vec::new());
            let gateway = self.gateways.get_mut(&number).unwrap();
            while let Some(event) = self.nodes[node].get(gateway.read[node])
                && event.at + gateway.behind <= self.now
            {
                gateway.read[node] += 1;
                let message = incoming(event.name, "a", &text(event, calls[event.call].0));
                let read = Event::read(&message).unwrap();
                let position = Position::of(&format!("node{node}/1/{}", gateway.read[node]));
                let text = Utf8Bytes::from(read.text);
                let target = gateway.sharing.route(&read, position, &text, now, |_| None);
                match target {
                    Target::One(socket) => out.push((socket, text)),
                    Target::Nobody => {}
                    Target::All => panic!("{} is no call's", event.name),
                }
            }
            for (socket, text) in out {
                self.tell(number, socket, &text);
            }
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds / STEP {
            self.step();
        }
    }

    /// Time goes by, with calls.
    fn live(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds / STEP {
            if self.draw.below(3) == 0 {
                self.publish();
            }
            self.step();
        }
    }

    /// Calls that go on.
    fn going(&self) -> Vec<usize> {
        (0..self.calls.len()).filter(|call| self.calls[*call].1).collect()
    }

    /// How many of these calls each gateway remembers.
    fn remembered(&self, of: &[usize]) -> Vec<usize> {
        let remembers = |gateway: &Gateway, call: &usize| {
            gateway.sharing.apps["a"].calls.calls.contains_key(format!("c{call}").as_str())
        };
        let count = |gateway| of.iter().filter(|call| remembers(gateway, call)).count();
        self.gateways.values().map(count).collect()
    }

    /// Everything comes that is on its way.
    fn settle(&mut self) {
        self.pass(SESSION + GRACE.as_millis() as u64 + 12_000);
    }

    fn events(&self) -> impl Iterator<Item = (&Published, &[Telling])> {
        let events = self.nodes.iter().flatten();
        events.map(|event| (event, self.told[event.number].as_slice()))
    }

    /// Nothing is lost, and a socket hears of a call in order.
    fn assert_told(&self, seed: u64) {
        for (event, told) in self.events() {
            let (call, at) = (event.call, event.at);
            assert!(!told.is_empty(), "seed {seed}: {} of {call} at {at} is lost", event.name);
        }
        for (who, heard) in &self.heard {
            let mut last: HashMap<usize, usize> = HashMap::new();
            for (call, number) in heard {
                let before = last.insert(*call, *number);
                assert!(
                    before.is_none_or(|before| before < *number),
                    "seed {seed}: {who:?} {call}"
                );
            }
        }
    }

    /// How many were told twice, beginnings aside, which who takes over is told again.
    fn repeats(&self) -> Vec<(&Published, &[Telling])> {
        let twice = |(event, told): &(&Published, &[Telling])| {
            event.name != "StasisStart" && told.len() > 1
        };
        self.events().filter(twice).collect()
    }
}

#[test]
fn each_event_is_told_once_while_sockets_come_and_go() {
    for seed in 0..6 {
        let mut world = World::new(seed, 3);
        for _ in 0..6 {
            let gateway = world.draw.below(3) as usize;
            world.join(gateway);
            world.live(6000);
            let gateway = world.draw.below(3) as usize;
            let sockets = &world.gateways[&gateway].sockets;
            if let Some(socket) = sockets.first().copied() {
                world.end(gateway, socket);
            }
            world.live(6000);
        }
        world.settle();
        world.assert_told(seed);
        let repeats = world.repeats();
        assert!(repeats.is_empty(), "seed {seed}: {:?}", repeats[0].1);
        // Those that came late had their part too.
        assert_eq!(world.heard.len(), 9, "seed {seed}");
    }
}

#[test]
fn a_socket_that_comes_takes_no_call_from_another() {
    for seed in 0..3 {
        let mut world = World::new(seed, 2);
        world.live(5000);
        let before = world.calls.len();
        let new = world.join(0);
        world.live(10_000);
        world.settle();
        world.assert_told(seed);
        assert!(world.repeats().is_empty(), "seed {seed}");
        let heard = &world.heard[&(0, new)];
        assert!(!heard.is_empty() && heard.iter().all(|(call, _)| *call >= before), "seed {seed}");
    }
}

#[test]
fn nothing_is_lost_when_a_gateway_is_killed() {
    for seed in 0..4 {
        let mut world = World::new(seed, 3);
        world.live(8000);
        let killed = world.now;
        world.kill(1);
        world.live(15_000);
        // Another comes in its place, and has none of its calls.
        let before = world.calls.len();
        world.start(3);
        let new = world.join(3);
        world.live(20_000);
        world.settle();
        world.assert_told(seed);
        assert!(world.heard[&(3, new)].iter().all(|(call, _)| *call >= before), "seed {seed}");
        let limit = killed + SESSION + GRACE.as_millis() as u64 + 1000 + BEHIND;
        for (event, told) in world.events().filter(|(event, _)| event.at <= killed + SESSION) {
            assert!(told.last().unwrap().at <= limit, "seed {seed}: {told:?}");
            // The dead one's last words are at most a beat old.
            let is_repeat = event.name != "StasisStart" && told.len() > 1;
            let is_recent = event.at + BEAT + 2 * BEHIND >= killed && event.at <= killed;
            assert!(!is_repeat || told[0].gateway == 1 && is_recent, "seed {seed}: {told:?}");
        }
    }
}

#[test]
fn nothing_is_lost_whatever_happens_at_once() {
    for seed in 0..10 {
        let mut world = World::new(seed, 4);
        let mut next = 4;
        for _ in 0..12 {
            let alive: Vec<usize> = world.gateways.keys().copied().collect();
            let gateway = alive[world.draw.below(alive.len() as u64) as usize];
            let socket = world.gateways[&gateway].sockets.last().copied();
            match (world.draw.below(5), socket) {
                (0 | 1, _) => drop(world.join(gateway)),
                // The first gateway's first socket lives on: somebody is there.
                (2 | 3, Some(socket)) if socket > 1 => world.end(gateway, socket),
                _ if gateway > 0 && world.dead.is_empty() => {
                    world.kill(gateway);
                    world.start(next);
                    world.join(next);
                    next += 1;
                }
                _ => {}
            }
            let pause = world.draw.below(4000);
            world.live(pause);
        }
        world.settle();
        world.assert_told(seed);
        // Twice only what came shortly before somebody ended: if that was the second in a row, as
        // long as the first is remembered.
        let shortly = REMEMBERED.as_millis() as u64 + BEAT;
        for (event, told) in world.repeats() {
            let is_near = |end: &&u64| event.at <= **end && event.at + shortly >= **end;
            assert!(world.ends.iter().any(|end| is_near(&end)), "seed {seed}: {told:?}");
        }
    }
}

#[test]
fn a_gateway_that_is_stopped_hands_over_and_tells_nothing_twice() {
    for seed in 0..4 {
        let mut world = World::new(seed, 3);
        world.join(1);
        world.live(8000);
        let stopped = world.now;
        world.stop(1);
        world.live(8000);
        world.settle();
        world.assert_told(seed);
        assert!(world.repeats().is_empty(), "seed {seed}");
        // Nobody waits for the end of its session.
        for (event, told) in world.events().filter(|(event, _)| event.at >= stopped) {
            assert!(told[0].at <= event.at + 1000 + 4 * BEHIND, "seed {seed}: {told:?}");
        }
    }
}

#[test]
fn calls_whose_end_is_lost_are_forgotten() {
    for seed in 0..3 {
        let mut world = World::new(seed, 2);
        world.live(10_000);
        world.pass(BEHIND);
        let lost = world.going();
        assert!(lost.len() > 10, "seed {seed}");
        for call in &mut world.calls {
            call.1 = false;
        }
        // Nothing is heard of the nodes: their end may be on its way still.
        world.pass(5 * REFRESH);
        assert_eq!(world.remembered(&lost), [lost.len(); 2], "seed {seed}");
        world.live(3 * REFRESH);
        assert_eq!(world.remembered(&lost), [0; 2], "seed {seed}");
    }
}

#[test]
fn an_end_that_comes_late_is_still_its_owners() {
    for seed in 0..3 {
        let mut world = World::new(seed, 2);
        world.live(10_000);
        // One reads what the nodes have published long after they have been looked at.
        world.gateways.get_mut(&1).unwrap().behind = 4 * REFRESH;
        world.live(20_000);
        world.settle();
        world.assert_told(seed);
        assert!(world.repeats().is_empty(), "seed {seed}");
    }
}
