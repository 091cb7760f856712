# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
import asyncio

import pytest

from app_sdk import reconcile
from app_sdk.api import Reply
from app_sdk.calls import FOUND, Calls
from app_sdk.errors import ApiError, NotFound
from app_sdk.event import Event, partition_of
from app_sdk.handlers import Handlers
from app_sdk.reconcile import Reconciler


def channel(identity, state="Ring", app="conf", node="n"):
    shown = {
        "id": identity,
        "state": state,
        "dialplan": {"app_name": "Stasis", "app_data": app},
        "asterisk_id": node,
    }
    return {name: value for name, value in shown.items() if value is not None}


class FakeApi:
    """What the gateway would say."""

    def __init__(self):
        self.channels = []
        self.missing = ""
        self.is_away = False

    async def exchange(self, method, path):
        if self.is_away:
            raise ApiError(method, path, None, "away")
        return Reply(self.channels, {"X-Asterisk-Missing": self.missing})

    async def request(self, method, path, params=None):
        if path == "/asterisk/info":
            return {"system": {"entity_id": "only"}}
        raise NotFound(method, path, 404, "no such application")


class Scene:
    def __init__(self, grace=0.0):
        self.api, self.put = FakeApi(), []
        self.held = set(range(16))
        self.calls = Calls("conf", Handlers(), 1)
        self.reconciler = Reconciler(
            self.api,
            self.calls,
            "conf",
            interval=0.01,
            grace=grace,
            holds=lambda number: number in self.held,
            put=self.put.append,
            mark=self.mark,
        )
        self.marks = []

    async def mark(self, mark):
        self.marks.append(mark)

    async def begin(self, *calls, node="n"):
        for call in calls:
            data = {"channel": channel(call, node=node), "args": []}
            await self.calls.handle(Event("StasisStart", data, node, f"{node}/1/{call}"))

    async def look(self, *gained):
        unsure = await self.reconciler._look(set(gained))
        self.pass_marks()
        return unsure

    def pass_marks(self):
        while self.marks:
            mark = self.marks.pop()
            for number in range(16):
                self.reconciler.passed(number, mark)

    @property
    def told(self):
        return [(event.type, event.call_id) for event in self.put]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(reconcile, "SECOND_LOOK", 0.0)


async def test_calls_that_are_gone_end():
    scene = Scene()
    await scene.begin("1.1", "1.2")
    scene.api.channels = [channel("1.2")]
    assert not await scene.look()
    assert scene.told == [("StasisEnd", "1.1")]
    for event in scene.put:
        await scene.calls.handle(event)
    scene.put.clear()
    await scene.look()
    assert scene.told == []


async def test_what_is_made_up_is_told_apart_in_all_copies():
    scenes = [Scene(), Scene()]
    for scene in scenes:
        await scene.begin("1.1", "1.2")
        await scene.look()
    made = [event.message_id for scene in scenes for event in scene.put]
    assert len(made) == 4 == len(set(made))


async def test_what_seems_missing_is_put_behind_what_waits_in_the_broker():
    scene = Scene()
    await scene.begin("1.1")
    await scene.reconciler._look(set())
    assert (scene.told, len(scene.marks)) == ([], 1)
    # Another copy's mark says nothing of ours, nor does that of another partition.
    scene.reconciler.passed(partition_of("1.1"), "other/1")
    scene.reconciler.passed((partition_of("1.1") + 1) % 16, scene.marks[0])
    assert scene.told == []
    scene.pass_marks()
    assert scene.told == [("StasisEnd", "1.1")]
    # Marks that were lost with a connection are not kept for ever.
    for _ in range(20):
        await scene.reconciler._look(set())
    assert len(scene.reconciler._marked) == 8


async def test_a_call_that_is_in_no_application_any_more_ends():
    scene = Scene()
    await scene.begin("1.1")
    scene.api.channels = [channel("1.1", app="other")]
    await scene.look()
    assert scene.told == [("StasisEnd", "1.1")]


async def test_nothing_ends_that_came_after_the_question():
    scene = Scene()
    began = asyncio.get_running_loop().time()

    async def while_it_is_asked(method, path):
        await scene.begin("1.1")
        return Reply([], {})

    scene.api.exchange = while_it_is_asked
    await scene.look()
    assert asyncio.get_running_loop().time() >= began
    assert scene.told == []


async def test_calls_of_other_copies_are_theirs():
    scene = Scene()
    await scene.begin("1.1")
    scene.held.clear()
    scene.api.channels = [channel("1.2", state="Up")]
    await scene.look()
    await scene.look()
    assert scene.told == []


async def test_a_silent_node_has_its_time():
    scene = Scene(grace=100)
    await scene.begin("1.1")
    await scene.begin("1.2", node="m")
    scene.api.missing = "n"
    assert await scene.look()
    assert scene.told == [("StasisEnd", "1.2")]
    scene = Scene(grace=0)
    await scene.begin("1.1")
    scene.api.missing = "n, m"
    await scene.look()
    assert scene.told == [("StasisEnd", "1.1")]


async def test_calls_that_come_with_a_partition_are_taken_over_not_begun():
    scene = Scene()
    scene.api.channels = [channel("1.1"), channel("1.1~a"), channel("2.2", app="other")]
    assert await scene.look(*range(16))
    (context,) = scene.calls
    assert context.taken_over
    assert list(context.legs) == ["1.1~a"]
    # Its beginning did not come meanwhile.
    await scene.look()
    assert scene.told == [(FOUND, "1.1")]


async def test_a_beginning_that_is_on_its_way_is_waited_for(monkeypatch):
    monkeypatch.setattr(reconcile, "SECOND_LOOK", 100.0)
    scene = Scene()
    scene.api.channels = [channel("1.1")]
    assert await scene.look()
    assert await scene.look()
    assert scene.told == []
    await scene.begin("1.1")
    assert not await scene.look()


async def test_what_was_lost_is_made_up_for():
    scene = Scene()
    await scene.begin("1.1")
    scene.api.channels = [channel("1.1", state="Up"), channel("1.2")]
    await scene.look()
    assert scene.told == [(FOUND, "1.1"), (FOUND, "1.2")]


async def test_of_one_asterisk_all_calls_are_its_own():
    scene = Scene()
    await scene.begin("1.1", node="only")
    scene.api.channels = [channel("1.1", node=None)]
    await scene.look()
    assert scene.told == []


async def test_events_wait_for_the_first_look_but_not_for_ever():
    scene = Scene()
    scene.api.is_away = True
    task = asyncio.create_task(scene.reconciler.run())
    looked = scene.reconciler.gained(1)
    await asyncio.wait_for(looked.wait(), 5)
    assert scene.reconciler._gained.keys() == {1}
    scene.api.is_away = False
    again = scene.reconciler.gained(2)
    await asyncio.wait_for(again.wait(), 5)
    assert scene.reconciler._gained == {}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_asked_for_at_one_time_is_one_look(monkeypatch):
    scene, looks, second = Scene(), [], asyncio.Event()
    scene.reconciler._interval = 60.0

    async def look(gained):
        looks.append(gained)
        if len(looks) == 2:
            second.set()
        return False

    monkeypatch.setattr(scene.reconciler, "_look", look)
    running = asyncio.create_task(scene.reconciler.run())
    told = [scene.reconciler.gained(number) for number in range(4)]
    for number in range(12):
        scene.reconciler.ask(f"gap {number}")
        await asyncio.sleep(0)
    await asyncio.gather(*(looked.wait() for looked in told))
    scene.reconciler.ask("one more")
    await second.wait()
    running.cancel()
    assert looks == [{0, 1, 2, 3}, set()]
