# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""What an app has at the broker.

The nodes' exchange feeds one queue of the app, in which the events of a node are in order. A copy
of the app, the router, takes them from there and gives each to the partition of its call; each
partition is a queue of its own, so that copies share the calls. Every copy consumes from every
queue, and the broker lets one of them have it (`x-single-active-consumer`); when that one is gone,
the next gets what it had not acknowledged, in order.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelNotFoundEntity

from . import config
from .balance import PARTITIONS

log = logging.getLogger(__name__)

#: What RabbitMQ would drop after twenty deliveries, it keeps: an app that crashes loses nothing.
DELIVERIES = 1_000_000
#: The routing key of ticks.
TICKS = "ticks"
#: Longest wait for the end of a channel.
CLOSE = 5.0


class Topology:
    """Names, and how they are declared."""

    def __init__(self, settings: config.Amqp, app_id: str, app_name: str) -> None:
        self._settings = settings
        #: The queue that the nodes' events come to, and the exchange that partitions them.
        self.name = f"app.{app_id}"
        lower = "".join(c.lower() if c.isascii() else c for c in app_name)
        # As the nodes do: AMQP has no longer keys.
        key = f"stasis.app.{lower}".encode()[:255].decode(errors="ignore")
        self._keys = ["#"] if settings.bind == "all" else [key, "stasis.meta"]

    def partition(self, number: int) -> str:
        """The name of a partition's queue."""
        return f"{self.name}.{number}"

    @property
    def queues(self) -> list[str]:
        """The names of all queues."""
        return [self.name, *map(self.partition, range(PARTITIONS))]

    async def declare(self, connection: AbstractConnection) -> None:
        """Makes what is not there. Idempotent."""
        await self._declare_source(connection)
        channel = await connection.channel(publisher_confirms=False)
        try:
            arguments: dict[str, Any] = {
                "x-queue-type": self._settings.queue_type,
                "x-single-active-consumer": True,
            }
            if self._settings.queue_type == "quorum":
                arguments["x-delivery-limit"] = DELIVERIES
            exchange = await channel.declare_exchange(self.name, "direct", durable=True)
            for number in range(PARTITIONS):
                queue = await channel.declare_queue(
                    self.partition(number), durable=True, arguments=arguments
                )
                await queue.bind(exchange, str(number))
            queue = await channel.declare_queue(self.name, durable=True, arguments=arguments)
            # What goes the way of the nodes' events, behind those that are there.
            await queue.bind(exchange, TICKS)
            for key in self._keys:
                await queue.bind(self._settings.exchange, key)
        finally:
            await close(channel)

    async def _declare_source(self, connection: AbstractConnection) -> None:
        """The nodes' exchange, as they declare it; this copy may be there before them."""
        for is_passive in (True, False):
            channel = await connection.channel(publisher_confirms=False)
            try:
                await channel.declare_exchange(
                    self._settings.exchange, "topic", durable=True, passive=is_passive
                )
                return
            except ChannelNotFoundEntity:
                if not is_passive:
                    raise
            except ChannelAccessRefused:
                # It may be bound all the same.
                return
            finally:
                await close(channel)

    async def look(self, connection: AbstractConnection) -> str | None:
        """What is wrong with the queues; an operator may have deleted them."""
        channel = await connection.channel(publisher_confirms=False)
        name = ""
        try:
            for name in self.queues:
                queue = await channel.declare_queue(name, passive=True)
                if not queue.declaration_result.consumer_count:
                    return f"queue {name} has no consumer any more"
        except ChannelNotFoundEntity:
            return f"queue {name} is gone"
        finally:
            await close(channel)
        return None


async def close(channel: AbstractChannel) -> None:
    """Closes a channel; the broker may have done so before."""
    if not channel.is_closed:
        try:
            await asyncio.wait_for(channel.close(), CLOSE)
        except (asyncio.TimeoutError, AMQPError) as error:
            log.debug("a channel is not closed in order: %s", error)
