# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
import json

import pytest

from app_sdk.partition import Partition
from app_sdk.router import LOST, TICK


class Message:
    def __init__(self, number, *, kind="StasisStart", body=None):
        data = {"channel": {"id": f"{number}"}}
        self.body = json.dumps({"name": kind, "data": data} if body is None else body).encode()
        self.headers = {"asterisk_id": "n", "sequence": number}
        self.message_id = f"n/1/{number}"
        self.type = kind
        self.acknowledged = 0
        self.is_broken = False

    async def ack(self):
        if self.is_broken:
            raise ConnectionError("gone")
        self.acknowledged += 1


class Owner:
    def __init__(self):
        self.deliveries, self.gains, self.losses, self.marks = [], 0, [], []

    def put(self, delivery):
        self.deliveries.append(delivery)

    def gained(self, partition):
        self.gains += 1

    def left(self, partition):
        pass

    def passed(self, partition, mark):
        self.marks.append(mark)

    def lost(self, reason):
        self.losses.append(reason)


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def partition(owner):
    partition = Partition(3, None, 10, owner)
    partition._is_paused = False
    return partition


async def test_a_message_is_acknowledged_after_its_handler_never_before(partition, owner):
    message = Message(1)
    await partition.take(message)
    (delivery,) = owner.deliveries
    assert partition.begin(delivery)
    assert message.acknowledged == 0
    await partition.finish(delivery)
    assert message.acknowledged == 1
    assert owner.gains == 1


async def test_a_repeat_is_acknowledged_and_not_handled(partition, owner):
    await partition.take(Message(1))
    partition.begin(owner.deliveries[0])
    # It comes once more while its handler runs, by a new connection.
    beside = Message(1)
    await partition.take(beside)
    assert beside.acknowledged == 0
    await partition.finish(owner.deliveries[0])
    assert beside.acknowledged == 1
    after = Message(1)
    await partition.take(after)
    assert after.acknowledged == 1
    assert len(owner.deliveries) == 1


async def test_a_lost_connection_drops_what_no_handler_had(partition, owner):
    running, waiting = Message(1), Message(2)
    await partition.take(running)
    await partition.take(waiting)
    partition.begin(owner.deliveries[0])
    partition.lose()
    assert not partition.begin(owner.deliveries[1])
    running.is_broken = True
    await partition.finish(owner.deliveries[0])
    # The broker brings both again: one is known, the other is new.
    partition._is_paused = False
    again = [Message(1), Message(2)]
    for message in again:
        await partition.take(message)
    assert [message.acknowledged for message in again] == [1, 0]
    assert len(owner.deliveries) == 3
    assert owner.gains == 2


async def test_leaving_waits_for_handlers_that_run(partition, owner):
    await partition.take(Message(1))
    partition.begin(owner.deliveries[0])
    partition.drop()
    assert not partition._is_idle.is_set()
    late = Message(2)
    await partition.take(late)
    assert late.acknowledged == 0
    assert len(owner.deliveries) == 1
    await partition.finish(owner.deliveries[0])
    await partition.leave(1)
    assert not partition.is_held


async def test_our_own_messages_are_no_events(partition, owner):
    tick, lost = (
        Message(1, kind=TICK, body={"mark": "m"}),
        Message(2, kind=LOST, body={"reason": "why"}),
    )
    await partition.take(tick)
    await partition.take(lost)
    assert (tick.acknowledged, lost.acknowledged) == (1, 1)
    assert (owner.gains, owner.losses, owner.deliveries) == (1, ["why"], [])
    assert owner.marks == ["m"]


async def test_what_is_no_event_is_told_and_not_kept(partition, owner, caplog):
    message = Message(1, body=[])
    await partition.take(message)
    assert message.acknowledged == 1
    assert "message n/1/1 is no event" in caplog.text
    assert owner.deliveries == []
