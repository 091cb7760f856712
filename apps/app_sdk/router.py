# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""From the app's queue to the partitions of its calls."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.abc import AbstractChannel as Underlay
from pamqp import commands as spec

from .balance import PARTITIONS
from .event import Event, decoded
from .gaps import Gaps
from .topology import TICKS, Topology, close
from .waiting import happens

log = logging.getLogger(__name__)

#: Types of messages of ours, beside events.
TICK = "constellation.tick"
LOST = "constellation.lost"
#: What nobody takes is forgotten after so many milliseconds.
TICK_LASTS = "60000"
#: Messages under way between the queues.
PREFETCH = 200
#: Longest wait for those, in seconds, when the app stops.
LEAVE = 5.0


Fail = Callable[[BaseException | None], None]


class Router:
    """Takes each event, publishes it to its partition, and acknowledges it when that is confirmed.

    One copy is the router at a time. A router that dies leaves what it had not acknowledged to the
    next, which publishes some of it again, with the `message_id` it had.
    """

    def __init__(self, topology: Topology, app_name: str, gaps: Gaps, fail: Fail) -> None:
        self._topology = topology
        self._app_name = app_name
        self._gaps = gaps
        self._fail = fail
        self._channel: AbstractChannel | None = None
        self._underlay: Underlay | None = None
        self._under_way = 0
        self._is_leaving = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    async def open(self, connection: AbstractConnection) -> None:
        """Gets in line for the app's queue."""
        self._channel = await connection.channel(publisher_confirms=True)
        self._channel.close_callbacks.add(self._closed)
        self._underlay = await self._channel.get_underlay_channel()
        await self._channel.set_qos(prefetch_count=PREFETCH)
        queue = await self._channel.get_queue(self._topology.name, ensure=False)
        await queue.consume(self._take)

    async def leave(self) -> None:
        """Lets what is under way arrive, and gives all else back."""
        self._is_leaving = True
        if not await happens(self._is_idle, LEAVE):
            log.warning("left with %d events under way", self._under_way)
        if self._channel is not None:
            await close(self._channel)

    async def tick(self, mark: str = "") -> None:
        """Shows each partition's consumer that it has it, also when no event does; and, by the
        mark, that all events have come to it which were in the app's queue before."""
        await self._publish(json.dumps({"mark": mark}).encode(), TICKS, _of_tick())

    async def _take(self, message: AbstractIncomingMessage) -> None:
        if self._is_leaving:
            return
        self._under_way += 1
        self._is_idle.clear()
        try:
            await self._route(message)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._is_idle.set()

    async def _route(self, message: AbstractIncomingMessage) -> None:
        # Nothing is awaited before the event is on its way: what comes after stays behind it.
        if message.type == TICK:
            await self._pass_on(message)
            return
        try:
            event = decoded(json.loads(message.body), message.headers, message.message_id or "")
        except ValueError as error:
            log.error("message %s is no event: %s", message.message_id, error)
            await self._acknowledge(message)
            return
        gap = self._gaps.look(event)
        try:
            if self._is_ours(event, message):
                properties = _properties(message, event)
                await self._publish(message.body, str(event.partition), properties)
            if gap is not None:
                await self._tell_of(event, gap)
        except Exception as error:
            # It stays unacknowledged, and comes again.
            self._fail(error)
            return
        await self._acknowledge(message)

    def _closed(self, _: object, error: BaseException | None) -> None:
        if not self._is_leaving:
            self._fail(error)

    def _is_ours(self, event: Event, message: AbstractIncomingMessage) -> bool:
        # Names that differ in case only have the same routing key.
        return message.headers.get("application_name") == self._app_name and bool(event.type)

    async def _tell_of(self, event: Event, gap: str) -> None:
        log.warning("node %s: %s", event.asterisk_id, gap)
        body = json.dumps({"reason": f"node {event.asterisk_id}: {gap}"}).encode()
        for partition in range(PARTITIONS):
            properties = spec.Basic.Properties(message_type=LOST, delivery_mode=2)
            await self._publish(body, str(partition), properties)

    async def _pass_on(self, tick: AbstractIncomingMessage) -> None:
        try:
            for partition in range(PARTITIONS):
                await self._publish(tick.body, str(partition), _of_tick())
        except Exception as error:
            self._fail(error)
            return
        await self._acknowledge(tick)

    async def _publish(self, body: bytes, key: str, properties: spec.Basic.Properties) -> None:
        """Returns when the broker has it in its queue."""
        assert self._underlay is not None
        confirmed = await self._underlay.basic_publish(
            body,
            exchange=self._topology.name,
            routing_key=key,
            properties=properties,
            mandatory=True,
        )
        if not isinstance(confirmed, spec.Basic.Ack):
            raise ConnectionError(
                f"the broker did not take what goes to {self._topology.name}, {key}"
            )

    async def _acknowledge(self, message: AbstractIncomingMessage) -> None:
        try:
            await message.ack()
        except Exception as error:
            # The connection is gone, and the broker brings it again.
            log.debug("message %s is not acknowledged: %s", message.message_id, error)


def _of_tick() -> spec.Basic.Properties:
    return spec.Basic.Properties(message_type=TICK, delivery_mode=1, expiration=TICK_LASTS)


def _properties(message: AbstractIncomingMessage, event: Event) -> spec.Basic.Properties:
    return spec.Basic.Properties(
        content_type="application/json",
        delivery_mode=2,
        message_id=event.message_id,
        message_type=event.type,
        headers={
            name: message.headers[name]
            for name in ("name", "category", "application_name", "asterisk_id", "sequence")
            if name in message.headers
        },
    )
