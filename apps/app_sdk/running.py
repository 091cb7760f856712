# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""One copy of an app, from its start to its stop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from .actions import handling
from .broker import Broker
from .calls import Calls
from .consul import Consul, ConsulError
from .errors import ConfigError
from .event import Event
from .health import Health, State
from .lanes import Lanes
from .partition import Delivery, Partition
from .reconcile import Reconciler

if TYPE_CHECKING:
    from .application import Application

log = logging.getLogger(__name__)

#: Longest wait for Consul's word on who had a partition.
CLAIM = 2.0


class Running:
    """The parts of a copy, and what they tell each other."""

    def __init__(self, app: Application) -> None:
        config = app.config
        self._app = app
        self._settings = config.app
        self._calls = Calls(app.app_name, app, config.app.handler_timeout)
        self._lanes: Lanes[object, Delivery | Event] = Lanes(self._run_one)
        self._consul = Consul(config.consul, app.app_id, app.app_name, app.copy_id)
        self._broker = Broker(config, app.app_id, app.app_name, app.copy_id, self)
        self._reconciler = Reconciler(
            app.api,
            self._calls,
            app.app_name,
            interval=config.app.reconcile,
            grace=config.app.node_grace,
            holds=lambda partition: self._broker.partitions[partition].is_held,
            put=lambda event: self._lanes.put(event.call_id, event),
            mark=self._broker.mark,
        )
        self._health = Health(self._state)
        self._tasks: list[asyncio.Task[None]] = []
        self._gaining: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping` is set, and then until the handlers that run have ended."""
        host = self._settings.listen or self._settings.host
        try:
            port = await self._health.open(host, self._settings.port)
        except OSError as error:
            what = f"app.host, app.port: {host} port {self._settings.port}"
            raise ConfigError(f"configuration: {what}: {error.strerror}") from None
        await self._app.api.open()
        await self._consul.open()
        log.info("app %s: copy %s, /health on port %d", self._app.app_name, self._app.copy_id, port)
        broker = asyncio.create_task(self._broker.run())
        self._tasks = [
            asyncio.create_task(self._reconciler.run()),
            asyncio.create_task(self._register(port)),
            asyncio.create_task(self._consul.watch_copies(self._broker.share)),
        ]
        try:
            ended = asyncio.create_task(stopping.wait())
            await asyncio.wait({ended, broker, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            log.info("app %s: stopping, %d calls", self._app.app_name, len(self._calls))
        finally:
            await self._end(broker)
        # Those that run for ever end by themselves only with an error of ours.
        for task in (broker, *self._tasks):
            if task.done() and not task.cancelled():
                task.result()

    async def _register(self, port: int) -> None:
        # The queues are there before any node has the application: no event is missed.
        await self._broker.is_ready.wait()
        await self._consul.keep_registered(
            self._settings.host, port, lambda: self._state()[0] != "critical"
        )

    async def _end(self, broker: asyncio.Task[None]) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._consul.deregister()
        self._broker.stop()
        await asyncio.gather(broker, return_exceptions=True)
        await self._lanes.stop()
        for task in self._gaining:
            task.cancel()
        await self._health.close()
        await self._consul.close()
        await self._app.api.close()

    def put(self, delivery: Delivery) -> None:
        """An event came."""
        # What is of no call is in order within its partition.
        self._lanes.put(delivery.event.call_id or delivery.partition.number, delivery)

    def gained(self, partition: Partition) -> None:
        """A partition is this copy's now."""
        log.info("partition %d: taken", partition.number)
        task = asyncio.create_task(self._gain(partition, partition.ready))
        self._gaining.add(task)
        task.add_done_callback(self._gaining.discard)

    def left(self, partition: Partition) -> None:
        """A partition is to be another copy's."""
        self._calls.forget(partition.number)

    def passed(self, partition: Partition, mark: str) -> None:
        """All events that were there before a mark have come."""
        self._reconciler.passed(partition.number, mark)

    def lost(self, reason: str) -> None:
        """Events of a node are missing."""
        self._reconciler.ask(reason)

    async def _gain(self, partition: Partition, ready: asyncio.Event) -> None:
        try:
            before = await asyncio.wait_for(self._consul.claim(partition.number), CLAIM)
        except (ConsulError, asyncio.TimeoutError) as error:
            log.info("partition %d: who had it is not known: %s", partition.number, error)
            before = None
        try:
            if before not in (None, self._app.copy_id):
                # What this copy knows of its calls, from before, is no longer so.
                self._calls.forget(partition.number)
            await self._reconciler.gained(partition.number).wait()
        finally:
            ready.set()

    async def _run_one(self, item: Delivery | Event) -> None:
        if isinstance(item, Event):
            # Made up for; by now the call may be another copy's.
            if self._broker.partitions[item.partition].is_held:
                handling(item)
                await self._calls.handle(item)
            return
        await item.partition.ready.wait()
        if not item.partition.begin(item):
            return
        handling(item.event)
        try:
            await self._calls.handle(item.event)
        except Exception:
            # Not a handler's, but ours: one event must not end a call's lane.
            log.exception("call %s: %s", item.event.call_id, item.event.type)
        await item.partition.finish(item)

    def _state(self) -> State:
        """How this copy is: without the broker it is of no use, without Asterisk of little."""
        is_ready = self._broker.is_ready.is_set()
        told = {
            "app": self._app.app_name,
            "copy": self._app.copy_id,
            "calls": len(self._calls),
            "partitions": [p.number for p in self._broker.partitions if p.is_held],
            "rabbitmq": "connected" if is_ready else self._broker.trouble or "connecting",
            "consul": self._consul.trouble or "connected",
            "api": self._app.api.trouble or "connected",
        }
        if not is_ready:
            return "critical", told
        return ("warning" if self._app.api.trouble else "passing"), told
