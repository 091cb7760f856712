# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""One partition of an app's calls: its queue, and what came from it and is not handled yet."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Protocol

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from .event import Event, decoded
from .router import LOST, TICK, Fail
from .seen import Seen
from .topology import Topology, close
from .waiting import happens

log = logging.getLogger(__name__)

#: Ids of handled messages that are remembered.
SEEN = 8192


class Delivery:
    """An event that came, with each message that brought it."""

    def __init__(
        self, event: Event, partition: Partition, message: AbstractIncomingMessage
    ) -> None:
        self.event = event
        self.partition = partition
        self.messages = [message]
        self.is_begun = False
        #: Given back to the broker before a handler had it.
        self.is_dropped = False


class Owner(Protocol):
    """Who handles what comes from the partitions."""

    def put(self, delivery: Delivery) -> None:
        """An event came."""

    def gained(self, partition: Partition) -> None:
        """The first message came: the partition is this copy's now."""

    def left(self, partition: Partition) -> None:
        """Another copy is to have it."""

    def passed(self, partition: Partition, mark: str) -> None:
        """A tick came, and so all that was before it."""

    def lost(self, reason: str) -> None:
        """Events of a node are missing."""


class Partition:
    """Consumes from its queue when the broker lets it, and acknowledges what has been handled.

    It outlives connections: what was handled is remembered, so that it is not handled again.
    """

    def __init__(self, number: int, topology: Topology, prefetch: int, owner: Owner) -> None:
        self.number = number
        #: Whether something came since this copy got in line.
        self.is_held = False
        #: When that was.
        self.held_since = 0.0
        #: Set when the calls that there are have been looked for.
        self.ready = asyncio.Event()
        self._topology = topology
        self._prefetch = prefetch
        self._owner = owner
        self._channel: AbstractChannel | None = None
        self._is_paused = True
        self._waiting: dict[str, Delivery] = {}
        self._seen = Seen(SEEN)
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    async def open(self, connection: AbstractConnection, fail: Fail) -> None:
        """Gets in line for the queue. `fail` hears of an end that is not ours."""

        def closed(_: object, error: BaseException | None) -> None:
            if not self._is_paused:
                fail(error)

        self._channel = await connection.channel(publisher_confirms=False)
        self._channel.close_callbacks.add(closed)
        await self._channel.set_qos(prefetch_count=self._prefetch)
        queue = await self._channel.get_queue(self._topology.partition(self.number), ensure=False)
        self._is_paused = False
        await queue.consume(self.take)

    async def leave(self, longest: float) -> None:
        """Lets the handlers that run come to their ends, and gives all else back, in order.

        The channel is closed only then, so that no other copy handles events of a call beside.
        """
        self.drop()
        if not await happens(self._is_idle, longest):
            log.warning("partition %d: left with handlers that still run", self.number)
        if self._channel is not None:
            await close(self._channel)
        self.is_held = False

    def drop(self) -> None:
        """Takes nothing more, and begins no handler for what is here: the broker brings it again,
        to this copy or another."""
        self._is_paused = True
        for delivery in list(self._waiting.values()):
            if not delivery.is_begun:
                delivery.is_dropped = True
                del self._waiting[delivery.event.message_id]
        self._look_if_idle()

    def lose(self) -> None:
        """The connection is gone."""
        self.drop()
        self.is_held = False

    async def take(self, message: AbstractIncomingMessage) -> None:
        """A message came."""
        if self._is_paused:
            # The channel is about to be closed.
            return
        if not self.is_held:
            self.is_held = True
            self.held_since = time.monotonic()
            # Who waits for the one before was dropped, and is to see it.
            self.ready.set()
            self.ready = asyncio.Event()
            self._owner.gained(self)
        if message.type == TICK:
            self._owner.passed(self, str(json.loads(message.body).get("mark")))
        elif message.type == LOST:
            self._owner.lost(str(json.loads(message.body).get("reason")))
        identity = message.message_id or ""
        if message.type in (TICK, LOST) or identity in self._seen:
            await _acknowledge(message)
            return
        if (known := self._waiting.get(identity)) is not None:
            known.messages.append(message)
            return
        try:
            event = decoded(json.loads(message.body), message.headers, identity)
        except ValueError as error:
            log.error("message %s is no event: %s", identity, error)
            await _acknowledge(message)
            return
        delivery = self._waiting[identity] = Delivery(event, self, message)
        self._is_idle.clear()
        self._owner.put(delivery)

    def begin(self, delivery: Delivery) -> bool:
        """Whether it is still to be handled."""
        delivery.is_begun = not delivery.is_dropped
        return delivery.is_begun

    async def finish(self, delivery: Delivery) -> None:
        """It has been handled."""
        identity = delivery.event.message_id
        self._seen.add(identity)
        self._waiting.pop(identity, None)
        for message in delivery.messages:
            await _acknowledge(message)
        self._look_if_idle()

    def _look_if_idle(self) -> None:
        if not self._waiting:
            self._is_idle.set()


async def _acknowledge(message: AbstractIncomingMessage) -> None:
    try:
        await message.ack()
    except Exception as error:
        # The connection is gone: it comes again, and is known then.
        log.debug("message %s is not acknowledged: %s", message.message_id, error)
