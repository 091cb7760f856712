// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The spool, case by case.

use std::io::ErrorKind;

use super::*;
use crate::event::Category;

#[test]
fn what_the_broker_does_not_take_is_on_disk_within_two_ticks_and_comes_back_in_order() {
    let disk = Memory::default();
    let mut bench = Bench::small(&disk, 1);
    bench.push(30);
    bench.stall();
    // An eighth of what memory may hold is read ahead.
    assert_eq!(bench.outbox.depth().spooled_events, 20);
    bench.push(10);
    bench.turn();
    assert_eq!(bench.deliver(), numbers("", 1..=40));
    assert!(bench.value("spooled") >= 30 && bench.value("spooled") == bench.value("replayed"));
    assert_eq!(disk.segments(), [""; 0], "the space comes back");
}

#[test]
fn while_the_broker_takes_events_none_goes_to_disk() {
    let disk = Memory::default();
    let mut bench = Bench::small(&disk, 1);
    for _ in 0..20 {
        bench.push(30);
        let leased = bench.lease(30);
        bench.settle(&leased);
        bench.later();
    }
    assert_eq!(bench.value("spooled"), 0);
    assert_eq!(disk.segments(), [""; 0]);
}

#[test]
fn memory_is_kept_at_half_and_what_is_too_much_goes_to_disk() {
    let disk = Memory::default();
    let mut bench = Bench::small(&disk, 1);
    for _ in 0..40 {
        bench.push(15);
        bench.turn();
        // Nothing is leased before what is on disk.
        assert!(bench.outbox.depth().queued_events <= 50, "{:?}", bench.outbox.depth());
    }
    assert_eq!(bench.value("dropped"), 0);
    assert_eq!(bench.deliver(), numbers("", 1..=600));
}

#[test]
fn a_killed_run_leaves_all_to_the_next_one_in_order_and_before_its_own() {
    let disk = Memory::default();
    let mut first = Bench::small(&disk, 1);
    first.push(50);
    let leased = first.lease(20);
    first.settle(&leased[..5]);
    assert_eq!(first.outbox.unsaved_events(), 45);
    first.stall();
    first.outbox.give_back(WORKER, leased[5..10].to_vec());
    assert_eq!(first.outbox.unsaved_events(), 0, "what is in flight, or was given back, too");
    drop(first);

    let mut second = Bench::small(&disk, 2);
    assert_eq!(second.value("recovered"), 45);
    second.push(20);
    second.stall();
    drop(second);

    let mut third = Bench::small(&disk, 3);
    third.push(5);
    let all = [numbers("1", 6..=50), numbers("2", 1..=20), numbers("", 1..=5)].concat();
    assert_eq!(third.deliver(), all);
    assert_eq!(third.said(Level::Notice), ["spool /spool: 65 events of before are in it"]);
}

#[test]
fn what_is_settled_is_not_repeated_and_what_is_not_is() {
    let disk = Memory::default();
    let mut first = Bench::small(&disk, 1);
    first.push(60);
    first.stall();
    first.later();
    let leased = first.lease(9);
    assert_eq!(leased.len(), 9);
    // All but the third.
    first.settle(&leased[..2]);
    first.settle(&leased[3..]);
    first.turn();
    drop(first);
    let mut second = Bench::small(&disk, 2);
    assert_eq!(second.deliver(), numbers("1", 3..=60));
}

#[test]
fn an_old_or_damaged_cursor_means_repeats_only() {
    let disk = Memory::default();
    let mut first = Bench::small(&disk, 1);
    first.push(60);
    first.stall();
    let old = disk.file("cursor");
    let leased = first.lease(9);
    first.settle(&leased);
    first.turn();
    drop(first);
    let mut damaged = disk.file("cursor");
    damaged[3] ^= 1;
    for cursor in [old, damaged, Vec::new()] {
        disk.put("cursor", cursor);
        let log = log(&disk, 2, 1 << 20);
        assert_eq!(log.unread(), 60);
    }
}

#[test]
fn what_is_given_back_comes_again_before_what_is_on_disk() {
    let disk = Memory::default();
    let mut bench = Bench::small(&disk, 1);
    bench.push(30);
    let leased = bench.lease(10);
    bench.stall();
    bench.outbox.give_back(WORKER, leased);
    let leased = bench.lease(4);
    bench.outbox.give_back(WORKER, leased);
    assert_eq!(bench.deliver(), numbers("", 1..=30));
    assert_eq!(bench.value("spooled"), 20);
}

/// A broker that is there and slow: as much is in flight as may be.
#[test]
fn what_is_read_back_or_in_flight_leaves_room_for_what_comes() {
    let disk = Memory::default();
    let mut bench = Bench::small(&disk, 1);
    bench.push(70);
    bench.stall();
    let mut held = Vec::new();
    for _ in 0..300 {
        held.extend(bench.lease(2048));
        bench.push(1);
        bench.turn();
    }
    assert!(!held.is_empty());
    // From memory alone it is the same.
    bench.settle(&held);
    bench.deliver();
    for _ in 0..300 {
        bench.push(1);
        held.extend(bench.lease(2048));
        bench.turn();
    }
    assert_eq!(bench.value("dropped"), 0);
}

#[test]
fn a_full_spool_drops_its_oldest_and_tells_of_it() {
    let disk = Memory::default();
    let limits = Limits { events: 80, bytes: 1 << 20, overflow: Overflow::DropOldest };
    let mut bench = Bench::new(&disk, 1, limits, 65_536);
    bench.turn();
    for _ in 0..60 {
        bench.push(20);
        bench.stall();
        assert!(disk.spool_bytes() <= 65_536);
    }
    let dropped = bench.value("dropped_spool_full");
    assert!(dropped > 300, "{dropped}");
    assert_eq!(bench.value("dropped"), dropped);
    assert_eq!(bench.pump.report().state.word(), "full");
    let delivered = bench.deliver();
    // The first ten had been read ahead.
    let mut expected: Vec<u64> = (1..=10).chain(dropped + 11..=1200).collect();
    let reports = delivered.len() - expected.len();
    assert!(reports > 0);
    expected.extend((0..reports as u64).map(|report| 1201 + report));
    assert!(delivered == numbers("", expected), "{dropped} dropped, {reports} reports");
    assert_eq!(bench.said(Level::Warning).len(), 1);
    assert_eq!(bench.pump.report().state.word(), "idle");
}

#[test]
fn a_full_spool_takes_no_newer_ones_if_told_so() {
    let disk = Memory::default();
    let limits = Limits { events: 80, bytes: 1 << 20, overflow: Overflow::DropNewest };
    let mut bench = Bench::new(&disk, 1, limits, 65_536);
    bench.turn();
    for _ in 0..60 {
        bench.push(20);
        bench.later();
    }
    assert!(disk.spool_bytes() <= 65_536);
    assert_eq!(bench.value("dropped_spool_full"), 0);
    let dropped = bench.value("dropped_queue_full");
    assert!(dropped > 300, "{dropped}");
    let delivered = bench.deliver();
    let kept = 1200 - dropped;
    assert_eq!(delivered[..usize::try_from(kept).unwrap()], numbers("", 1..=kept));
}

#[test]
fn a_disk_that_is_full_costs_nothing_that_memory_can_hold_and_is_said_once() {
    let disk = Memory::default();
    let mut bench = Bench::small(&disk, 1);
    bench.push(20);
    bench.stall();
    disk.set_room(Some(usize::try_from(disk.spool_bytes()).unwrap() + 700));
    bench.push(20);
    bench.later();
    bench.later();
    bench.push(10);
    bench.later();
    assert_eq!(bench.pump.report().state.word(), "broken");
    assert_eq!(bench.said(Level::Error).len(), 1);
    assert_eq!(bench.value("dropped"), 0);
    // The disk is full, and what is in it comes out all the same.
    let delivered = bench.deliver();
    assert_eq!(delivered, numbers("", 1..=50));
    disk.set_room(None);
    bench.push(20);
    bench.stall();
    assert_eq!(bench.pump.report().state.word(), "holding");
    assert!(bench.said(Level::Notice).iter().any(|text| text.contains("works again")));
    assert_eq!(bench.deliver(), numbers("", 51..=70));
}

#[test]
fn a_write_that_cannot_be_undone_leaves_no_half_event() {
    let disk = Memory::default();
    let mut bench = Bench::small(&disk, 1);
    bench.push(20);
    bench.stall();
    disk.set_room(Some(usize::try_from(disk.spool_bytes()).unwrap() + 700));
    disk.fail_to_cut(true);
    bench.push(20);
    bench.pump.turn(bench.now + Duration::from_secs(40), &mut || true);
    bench.pump.turn(bench.now + Duration::from_secs(80), &mut || true);
    disk.set_room(None);
    disk.fail_to_cut(false);
    bench.pump.turn(bench.now + Duration::from_secs(120), &mut || true);
    bench.pump.turn(bench.now + Duration::from_secs(160), &mut || true);
    assert_eq!(bench.value("spooled"), 40);
    drop(bench);
    let mut second = Bench::small(&disk, 2);
    assert_eq!(second.value("dropped"), 0);
    assert_eq!(second.said(Level::Warning).len(), 1);
    assert_eq!(second.deliver(), numbers("1", 1..=40));
}

#[test]
fn a_torn_end_is_cut_off_at_any_byte() {
    let disk = Memory::default();
    let mut first = Bench::small(&disk, 1);
    first.push(6);
    first.stall();
    drop(first);
    let name = disk.segments().remove(0);
    let whole = disk.file(&name);
    for length in 0..whole.len() {
        let torn = Memory::default();
        torn.put(&name, whole[..length].to_vec());
        let mut second = Bench::small(&torn, 2);
        let count = second.value("recovered");
        assert!(count < 6);
        second.push(1);
        assert_eq!(second.deliver(), [numbers("1", 1..=count), numbers("", [1])].concat());
        assert_eq!(second.value("dropped"), 0);
        assert_eq!(torn.segments(), [""; 0]);
    }
}

#[test]
fn a_power_failure_leaves_what_was_synced() {
    for half in [false, true] {
        let disk = Memory::default();
        let mut first = Bench::small(&disk, 1);
        first.push(30);
        first.stall();
        first.later();
        assert!(disk.syncs() > 0);
        first.push(30);
        first.now += Duration::from_millis(300);
        first.pump.turn(first.now, &mut || true);
        disk.lose_power(half);
        drop(first);
        let mut second = Bench::small(&disk, 2);
        let delivered = second.deliver();
        assert!(delivered.len() >= 30);
        assert_eq!(delivered, numbers("1", 1..=delivered.len() as u64));
    }
}

fn damaged() -> (Memory, Vec<String>) {
    let disk = Memory::default();
    let limits = Limits { events: 80, bytes: 1 << 20, overflow: Overflow::DropOldest };
    // Segments of 16 KiB.
    let mut first = Bench::new(&disk, 1, limits, 200_000);
    first.turn();
    for _ in 0..30 {
        (0..20).for_each(|_| first.outbox.push(event(100)));
        first.stall();
    }
    drop(first);
    let segments = disk.segments();
    assert!(segments.len() > 3, "{segments:?}");
    (disk, segments)
}

#[test]
fn a_damaged_segment_costs_its_rest_which_is_told_and_is_put_aside() {
    let (disk, segments) = damaged();
    let mut bytes = disk.file(&segments[1]);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    disk.put(&segments[1], bytes);
    let mut second = Bench::small(&disk, 2);
    let lost = second.value("dropped_spool_corrupt");
    assert!(lost > 0);
    assert_eq!(second.value("recovered"), 600);
    let errors = second.said(Level::Error);
    assert!(errors[0].contains(&segments[1]) && errors[0].contains(&format!("{lost} events")));
    let leased = second.lease(1);
    second.settle(&leased);
    let mut told = Vec::new();
    let delivered = second.deliver_with(|event| {
        if event.category == Category::Meta {
            told.push(String::from_utf8(event.body.to_vec()).unwrap());
        }
    });
    assert_eq!(delivered.iter().filter(|(boot, _)| boot == "1").count() as u64, 599 - lost);
    assert!(delivered.windows(2).all(|two| two[0].0 != two[1].0 || two[0].1 < two[1].1));
    assert_eq!(told.len(), 1);
    for part in ["spool_corrupt", r#""boot":"1""#, &format!(r#""count":{lost},"#)] {
        assert!(told[0].contains(part), "no {part} in {}", told[0]);
    }
    assert_eq!(disk.segments(), [""; 0]);
    assert!(disk.names().contains(&format!("{}.corrupt", segments[1])));
}

#[test]
fn a_segment_without_a_beginning_is_put_aside_whole() {
    let (disk, segments) = damaged();
    let mut bytes = disk.file(&segments[1]);
    bytes[9] ^= 4;
    disk.put(&segments[1], bytes);
    let mut second = Bench::small(&disk, 2);
    let lost = second.value("dropped_spool_corrupt");
    assert_eq!(second.value("recovered"), 600);
    let delivered = second.deliver();
    assert_eq!(delivered.iter().filter(|(boot, _)| boot == "1").count() as u64, 600 - lost);
    assert!(disk.names().contains(&format!("{}.corrupt", segments[1])));
}

#[test]
fn damage_that_comes_while_it_is_read_costs_the_same() {
    let (disk, segments) = damaged();
    let mut second = Bench::small(&disk, 2);
    let mut bytes = disk.file(&segments[2]);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    disk.put(&segments[2], bytes);
    let delivered = second.deliver();
    let lost = second.value("dropped_spool_corrupt");
    assert!(lost > 0);
    assert_eq!(delivered.iter().filter(|(boot, _)| boot == "1").count() as u64, 600 - lost);
    assert_eq!(second.said(Level::Error).len(), 1);
    assert!(disk.names().contains(&format!("{}.corrupt", segments[2])));
}

#[test]
fn a_disk_that_cannot_be_read_is_tried_again_and_then_given_up() {
    let (disk, _) = damaged();
    let mut second = Bench::small(&disk, 2);
    disk.fail_to_read(Some(ErrorKind::Other));
    let leased = second.lease(99);
    second.settle(&leased);
    second.turn();
    disk.fail_to_read(None);
    second.later();
    assert_eq!(second.value("dropped"), 0);
    disk.fail_to_read(Some(ErrorKind::Other));
    let leased = second.lease(99);
    second.settle(&leased);
    second.turn();
    // From now on what comes stays in memory, and is not held up for ever.
    second.push(1);
    let own = second.deliver().into_iter().filter(|(boot, _)| boot.is_empty()).map(|(_, n)| n);
    assert_eq!(own.min(), Some(1));
    assert!(second.value("dropped_spool_corrupt") > 0);
}

#[test]
fn a_stop_leaves_everything_on_disk_in_flight_too() {
    let disk = Memory::default();
    let mut first = Bench::small(&disk, 1);
    first.push(40);
    let _in_flight = first.lease(10);
    first.turn();
    assert_eq!(first.value("spooled"), 0);
    assert_eq!(first.finish(), 0);
    first.check();
    assert_eq!(first.outbox.depth().spooled_events, 40);
    drop(first);
    let mut second = Bench::small(&disk, 2);
    assert_eq!(second.deliver(), numbers("1", 1..=40));
}

#[test]
fn a_stop_with_a_disk_that_fails_counts_what_is_lost() {
    let disk = Memory::default();
    let mut first = Bench::small(&disk, 1);
    first.push(20);
    first.stall();
    first.push(7);
    disk.fail(Some(ErrorKind::ReadOnlyFilesystem));
    assert_eq!(first.finish(), 7);
    assert_eq!(first.value("dropped_stopped"), 7);
    first.check();
}

#[test]
fn a_spool_that_is_not_wanted_any_more_is_drained_and_closed() {
    let disk = Memory::default();
    let mut bench = Bench::small(&disk, 1);
    bench.push(30);
    bench.stall();
    bench.pump.want(None);
    bench.push(10);
    bench.later();
    assert_eq!(bench.pump.report().state.word(), "draining");
    assert_eq!(bench.outbox.depth().queued_events, 10 + 10, "read ahead, and not written");
    assert_eq!(bench.deliver(), numbers("", 1..=40));
    bench.later();
    assert_eq!(bench.pump.report().state.word(), "off");
    // Without a spool all is as it was.
    bench.push(80);
    bench.later();
    bench.later();
    assert_eq!(bench.outbox.depth().queued_events, 80);
    let wanted = bench.wanted.clone();
    bench.pump.want(Some(wanted));
    bench.stall();
    assert_eq!(bench.deliver(), numbers("", 41..=120));
}

#[test]
fn a_folder_that_cannot_be_opened_holds_up_nothing_and_is_taken_when_it_can() {
    let disk = Memory::default();
    let mut first = Bench::small(&disk, 1);
    first.push(30);
    first.stall();
    drop(first);
    disk.fail(Some(ErrorKind::PermissionDenied));
    let mut second = Bench::small(&disk, 2);
    second.push(10);
    let leased = second.lease(4);
    assert_eq!(leased.len(), 4);
    disk.fail(None);
    second.later();
    assert_eq!(
        second.outbox.depth().spooled_events + second.outbox.depth().queued_events as u64,
        36
    );
    // What is in flight is written behind what was there, and not read again.
    second.later();
    second.later();
    second.settle(&leased[..2]);
    second.outbox.give_back(WORKER, leased[2..].to_vec());
    assert_eq!(second.deliver(), [numbers("1", 1..=30), numbers("", 3..=10)].concat());
}

#[test]
fn until_it_is_open_nothing_is_leased() {
    let disk = Memory::default();
    let limits = Limits { events: 80, bytes: 1 << 20, overflow: Overflow::DropOldest };
    let mut bench = Bench::new(&disk, 1, limits, 1 << 20);
    bench.push(3);
    assert!(bench.lease(9).is_empty() && bench.outbox.sleep_if_empty(WORKER));
    bench.turn();
    assert_eq!(bench.lease(9).len(), 3);
}

#[test]
fn an_event_larger_than_what_may_be_read_ahead_gets_through() {
    let disk = Memory::default();
    let limits = Limits { events: 80, bytes: 200_000, overflow: Overflow::DropOldest };
    let mut bench = Bench::new(&disk, 1, limits, 10 << 20);
    bench.turn();
    for _ in 0..6 {
        bench.outbox.push(event(70_000));
        bench.push(2);
        bench.stall();
    }
    assert_eq!(bench.deliver(), numbers("", 1..=18));
    assert_eq!(bench.value("dropped"), 0);
}

#[test]
fn peeking_takes_nothing() {
    let disk = Memory::default();
    let mut bench = Bench::small(&disk, 1);
    bench.push(30);
    bench.stall();
    let leased = bench.lease(2);
    bench.settle(&leased);
    bench.turn();
    let shown = bench.pump.show(5).unwrap_or_else(|reason| panic!("{reason}"));
    let seen: Vec<u64> = shown.events.iter().map(|event| event.sequence).collect();
    assert_eq!(seen, [3, 4, 5, 6, 7]);
    assert_eq!(shown.rows.iter().map(|row| (row.first, row.last)).collect::<Vec<_>>(), [(1, 30)]);
    assert_eq!(bench.deliver(), numbers("", 3..=30));
}
