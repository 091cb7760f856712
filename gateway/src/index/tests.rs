// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Facts in, owners out.

use std::time::Duration;

use super::*;

const A: Slot = Slot(0);
const B: Slot = Slot(1);

fn sweep(index: &Index, slot: Slot, read: Read, kinds: &[Kind]) {
    let mut ended = Ended::default();
    kinds.iter().for_each(|kind| ended.add(slot, *kind, read));
    index.sweep(&ended);
}

fn slot(index: &Index, kind: Kind, id: &str) -> Option<Slot> {
    index.owner(kind, id).map(|owner| owner.slot)
}

#[test]
fn kinds_are_kept_apart_and_the_last_fact_counts() {
    let index = Index::default();
    index.learn(Kind::Channel, "x", A, None);
    index.learn(Kind::Bridge, "x", B, None);
    assert_eq!(slot(&index, Kind::Channel, "x"), Some(A));
    assert_eq!(slot(&index, Kind::Bridge, "x"), Some(B));
    assert_eq!(slot(&index, Kind::Playback, "x"), None);
    index.learn(Kind::Channel, "x", B, None);
    assert_eq!(slot(&index, Kind::Channel, "x"), Some(B));
    index.forget(Kind::Channel, "x");
    assert_eq!(slot(&index, Kind::Channel, "x"), None);
    assert_eq!((index.count(Kind::Bridge), index.count(Kind::Channel)), (1, 0));
    index.forget_at(Kind::Bridge, "x", A);
    assert_eq!(slot(&index, Kind::Bridge, "x"), Some(B));
    index.forget_at(Kind::Bridge, "x", B);
    assert_eq!((index.count(Kind::Bridge), index.count_of(Kind::Bridge, B)), (0, 0));
}

#[test]
fn the_second_half_of_a_local_channel_is_where_the_first_is() {
    let index = Index::default();
    index.learn(Kind::Channel, "x", A, None);
    assert_eq!(slot(&index, Kind::Channel, "x;2"), Some(A));
    index.learn(Kind::Channel, "x;2", B, None);
    assert_eq!(slot(&index, Kind::Channel, "x;2"), Some(B));
    index.learn(Kind::Bridge, "b", A, None);
    assert_eq!(slot(&index, Kind::Bridge, "b;2"), None);
}

#[test]
fn of_two_reservations_one_wins() {
    let index = Index::default();
    assert_eq!(index.reserve(Kind::Channel, "x", A, None), None);
    assert_eq!(index.reserve(Kind::Channel, "x", B, None).unwrap().slot, A);
}

#[test]
fn a_known_application_stays() {
    let index = Index::default();
    let app = index.app("conf");
    index.learn(Kind::Channel, "x", A, Some(app));
    index.learn(Kind::Channel, "x", A, None);
    assert_eq!(index.owner(Kind::Channel, "x").unwrap().app, Some(app));
    assert_eq!(index.app_name(app).unwrap().as_ref(), "conf");
    assert_eq!((index.app("conf"), index.app("other") == app), (app, false));
    // Of another node it is another channel.
    index.learn(Kind::Channel, "x", B, None);
    assert_eq!(index.owner(Kind::Channel, "x").unwrap().app, None);
}

#[test]
fn a_full_read_ends_what_is_not_in_it_but_not_what_came_meanwhile() {
    let index = Index::default();
    for id in ["ended", "lives"] {
        index.learn(Kind::Channel, id, A, None);
    }
    index.learn(Kind::Channel, "other", B, None);
    index.learn(Kind::Playback, "p", A, None);
    let read = index.begin_read();
    index.reserve(Kind::Channel, "new", A, None);
    index.learn(Kind::Channel, "lives", A, None);
    sweep(&index, A, read, &[Kind::Channel, Kind::Bridge]);
    assert_eq!(slot(&index, Kind::Channel, "ended"), None);
    for (kind, id) in [(Kind::Channel, "lives"), (Kind::Channel, "new"), (Kind::Playback, "p")] {
        assert_eq!(slot(&index, kind, id), Some(A), "{id}");
    }
    assert_eq!(slot(&index, Kind::Channel, "other"), Some(B));
    assert_eq!((index.count_of(Kind::Channel, A), index.count_of(Kind::Channel, B)), (2, 1));
    index.forget_node(A);
    assert_eq!((index.count(Kind::Channel), index.count(Kind::Playback)), (1, 0));
}

#[test]
fn what_nobody_asks_for_is_forgotten() {
    let index = Index::default();
    index.learn(Kind::Playback, "p", A, None);
    index.learn(Kind::Channel, "c", A, None);
    index.forget_unasked(Duration::from_secs(60));
    assert_eq!(index.count(Kind::Playback), 1);
    // A moment of the future: nothing was asked for since.
    for shard in &index.shards {
        shard.retain(&Kind::UNLISTED, |_, entry| entry.touched() >= 1, &index.counts);
    }
    assert_eq!((index.count(Kind::Playback), index.count(Kind::Channel)), (0, 1));
}

#[test]
fn nodes_whose_channels_have_the_same_ids_are_seen() {
    let index = Index::default();
    let told = |id: &str, slot: Slot| {
        index.learn(Kind::Channel, id, slot, None);
        index.clashing_nodes()
    };
    assert_eq!((told("1732.1", A), told("1732.1", A), told("1732.2", B)), (0, 0, 0));
    index.learn(Kind::Playback, "1732.1", B, None);
    // It has ended on the one when it begins on the other.
    index.forget_at(Kind::Channel, "1732.2", B);
    assert_eq!((told("1732.2", A), told("1732.1", B)), (0, 2));
    let clashes = index.new_clashes();
    assert_eq!(clashes, [Clash { id: "1732.1".to_owned(), nodes: [A, B] }]);
    index.begin_node(B);
    assert_eq!((index.clashing_nodes(), index.new_clashes()), (0, Vec::new()));
}
