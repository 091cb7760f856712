# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""Parts with no more than a few lines of behaviour each."""

import asyncio

from app_sdk.backoff import Backoff
from app_sdk.balance import PARTITIONS, owners
from app_sdk.event import Event
from app_sdk.gaps import Gaps
from app_sdk.lanes import Lanes
from app_sdk.seen import Seen

from .waiting import until


def test_pauses_grow_to_a_bound_and_begin_anew():
    backoff = Backoff(1, 5)
    pauses = [backoff.pause() for _ in range(6)]
    bounds = [1, 2, 4, 5, 5, 5]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))
    backoff.reset()
    assert backoff.pause() <= 1


def test_shares_are_even_and_the_same_in_every_copy():
    for count in range(1, 20):
        copies = [f"copy-{number}" for number in range(count)]
        chosen = owners(copies)
        assert len(chosen) == PARTITIONS
        assert chosen == owners(reversed(copies)) == owners(copies * 2)
        shares = [chosen.count(copy) for copy in copies]
        assert max(shares) <= -(-PARTITIONS // count)
    assert owners([]) == []


def test_a_copy_that_goes_moves_little_of_the_others():
    copies = [f"copy-{number}" for number in range(4)]
    before, after = owners(copies), owners(copies[:3])
    moved = [
        old for old, new in zip(before, after, strict=True) if old != new and old in copies[:3]
    ]
    assert len(moved) <= PARTITIONS // 4


def test_the_oldest_ids_are_forgotten():
    seen = Seen(2)
    for identity in "abc":
        seen.add(identity)
    assert [identity in seen for identity in "abc"] == [False, True, True]


async def test_a_slow_lane_holds_up_no_other_and_each_is_in_order():
    done = []
    slow = asyncio.Event()

    async def run(item):
        if item == ("a", 0):
            await slow.wait()
        done.append(item)

    lanes = Lanes(run)
    for number in range(3):
        for key in "ab":
            lanes.put(key, (key, number))
    await until(lambda: len(done) == 3)
    assert done == [("b", 0), ("b", 1), ("b", 2)]
    slow.set()
    await until(lambda: not lanes)
    assert done[3:] == [("a", 0), ("a", 1), ("a", 2)]
    # A lane that has ended begins anew.
    lanes.put("a", ("a", 3))
    await until(lambda: not lanes)
    assert done[-1] == ("a", 3)


async def test_a_stop_cancels_what_runs():
    cancelled = asyncio.Event()

    async def run(_):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    lanes = Lanes(run)
    lanes.put("a", 1)
    await asyncio.sleep(0)
    await lanes.stop()
    assert cancelled.is_set()
    assert len(lanes) == 0


def numbered(sequence, boot="1", node="n", kind="StasisStart", **data):
    return Event(kind, data, node, f"{node}/{boot}/{sequence}", sequence, boot)


def test_numbers_of_other_sources_are_no_gap():
    gaps = Gaps(complete=False)
    assert [gaps.look(numbered(sequence)) for sequence in (3, 7, 4, 90)] == [None] * 4


def test_each_missing_number_is_a_gap_where_everything_is_looked_at():
    gaps = Gaps(complete=True)
    # The first that is seen, the next, a repeat, one too far.
    assert [gaps.look(numbered(sequence)) for sequence in (3, 4, 3)] == [None] * 3
    assert gaps.look(numbered(7)) == "its events 5 to 6 are missing"
    assert gaps.look(numbered(8)) is None
    assert gaps.look(numbered(1, node="other")) is None


def test_what_the_gateway_tells_of_a_dead_node_is_no_boot_of_it():
    gaps = Gaps(complete=True)
    gaps.look(numbered(5))
    ended = Event("StasisEnd", {}, "n", "n/9/end/StasisEnd/conf/1.1", 0, "conf")
    assert gaps.look(ended) is None
    assert gaps.look(numbered(7)) == "its events 6 to 6 are missing"
    assert gaps.look(numbered(1, boot="2")) == "it began anew"


def test_losses_that_are_told_of_and_new_runs():
    for complete in (False, True):
        gaps = Gaps(complete)
        gaps.look(numbered(5))
        lost = {"first_sequence": 1, "last_sequence": 4, "reason": "queue_full"}
        told = gaps.look(numbered(6, kind="EventsLost", **lost))
        assert told == "its events 1 to 4 were lost (queue_full)"
        assert gaps.look(numbered(1, boot="2")) == "it began anew"
        # What the spool still had of the run before.
        assert gaps.look(numbered(7, boot="1")) is None
        assert gaps.look(numbered(2, boot="2")) is None
