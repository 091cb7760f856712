# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
import asyncio
import json

from pamqp import commands as spec

from app_sdk.event import partition_of
from app_sdk.gaps import Gaps
from app_sdk.router import LOST, TICK, Router
from app_sdk.topology import Topology

from .test_partition import Message as Incoming


class Message(Incoming):
    def __init__(self, number, *, app="conf", **more):
        super().__init__(number, **more)
        self.headers |= {"application_name": app, "name": self.type, "private": "x"}


class Underlay:
    """The broker, as far as publishing goes."""

    def __init__(self):
        self.published = []
        self.confirms = asyncio.Event()
        self.answer = spec.Basic.Ack(1)

    async def basic_publish(self, body, *, exchange, routing_key, properties, mandatory):
        assert mandatory
        self.published.append((routing_key, properties, body))
        await self.confirms.wait()
        return self.answer


class Scene:
    def __init__(self):
        self.failures = []
        topology = Topology(type("Amqp", (), {"bind": "app"}), "conf", "conf")
        self.router = Router(topology, "conf", Gaps(False), self.failures.append)
        self.broker = self.router._underlay = Underlay()

    async def take(self, *messages):
        """All at once, as they come; whether and how they are confirmed is the scene's."""
        tasks = [asyncio.create_task(self.router._take(message)) for message in messages]
        await asyncio.sleep(0)
        return tasks

    async def confirm(self, tasks):
        self.broker.confirms.set()
        await asyncio.gather(*tasks)


async def test_events_go_on_in_order_and_are_acknowledged_when_they_are_safe():
    scene = Scene()
    messages = [Message(number) for number in range(20)]
    tasks = await scene.take(*messages)
    keys = [key for key, *_ in scene.broker.published]
    assert keys == [str(partition_of(str(number))) for number in range(20)]
    assert not any(message.acknowledged for message in messages)
    await scene.confirm(tasks)
    assert all(message.acknowledged == 1 for message in messages)
    _, properties, body = scene.broker.published[3]
    assert (properties.message_id, properties.delivery_mode) == ("n/1/3", 2)
    assert "private" not in properties.headers
    assert body == messages[3].body


async def test_what_is_not_confirmed_comes_again():
    scene = Scene()
    scene.broker.answer = spec.Basic.Nack(1)
    message = Message(1)
    await scene.confirm(await scene.take(message))
    assert message.acknowledged == 0
    assert len(scene.failures) == 1


async def test_other_applications_and_what_is_no_event_go_nowhere():
    scene = Scene()
    messages = [Message(1, app="Conf"), Message(2, body="{")]
    await scene.confirm(await scene.take(*messages))
    assert [message.acknowledged for message in messages] == [1, 1]
    assert scene.broker.published == []


async def test_a_loss_is_told_to_every_partition():
    scene = Scene()
    lost = {"first_sequence": 1, "last_sequence": 2, "reason": "queue_full"}
    message = Message(3, app=None, body={"name": "EventsLost", "data": lost})
    await scene.confirm(await scene.take(message))
    assert sorted(int(key) for key, *_ in scene.broker.published) == list(range(16))
    assert {properties.message_type for _, properties, _ in scene.broker.published} == {LOST}
    assert "1 to 2 were lost" in json.loads(scene.broker.published[0][2])["reason"]
    assert message.acknowledged == 1


async def test_a_tick_goes_the_events_way_to_every_partition():
    scene = Scene()
    scene.broker.confirms.set()
    await scene.router.tick("m")
    key, properties, body = scene.broker.published.pop()
    assert (key, properties.message_type) == ("ticks", TICK)
    message = Message(1, kind=TICK, body=json.loads(body))
    await scene.confirm(await scene.take(message))
    assert [int(key) for key, *_ in scene.broker.published] == list(range(16))
    assert {body for *_, body in scene.broker.published} == {b'{"mark": "m"}'}


async def test_leaving_waits_for_what_is_under_way():
    scene = Scene()
    first = Message(1)
    tasks = await scene.take(first)
    leaving = asyncio.create_task(scene.router.leave())
    await asyncio.sleep(0)
    late = Message(2)
    await scene.router._take(late)
    assert not leaving.done()
    await scene.confirm(tasks)
    await leaving
    assert (first.acknowledged, late.acknowledged) == (1, 0)
