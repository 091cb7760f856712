# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""The connection to RabbitMQ, made again for as long as the app runs."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import aio_pika
from aio_pika.abc import AbstractConnection
from yarl import URL

from . import config
from .backoff import Backoff
from .balance import PARTITIONS, owners
from .gaps import Gaps
from .partition import Owner, Partition
from .router import Fail, Router
from .topology import Topology
from .waiting import happens

log = logging.getLogger(__name__)

#: Longest wait for the broker's first words.
CONNECT = 10.0


class Broker:
    """Router and partitions of this copy, over all connections."""

    def __init__(
        self,
        settings: config.Config,
        app_id: str,
        app_name: str,
        copy: str,
        owner: Owner,
    ) -> None:
        self._settings = settings.amqp
        self._app = settings.app
        self._app_name = app_name
        self._copy = copy
        self._owner = owner
        self._topology = Topology(settings.amqp, app_id, app_name)
        self._gaps = Gaps(settings.amqp.bind == "all")
        self.partitions = [
            Partition(number, self._topology, settings.amqp.prefetch, owner)
            for number in range(PARTITIONS)
        ]
        self._owners: list[str] = [copy] * PARTITIONS
        self._router: Router | None = None
        self._changed = asyncio.Event()
        self._leaving = asyncio.Event()
        #: Set while it consumes.
        self.is_ready = asyncio.Event()
        #: Why it does not, in the broker's words.
        self.trouble: str | None = None

    def share(self, copies: list[str]) -> None:
        """These copies are well: each should have its share of the partitions."""
        # This copy knows of itself before Consul does; none at all is Consul's trouble.
        wanted = owners([*copies, self._copy])
        if wanted != self._owners:
            self._owners = wanted
            self._changed.set()

    async def run(self) -> None:
        """Until `stop`."""
        backoff = Backoff(0.2, 10.0)
        while not self._leaving.is_set():
            connection: AbstractConnection | None = None
            try:
                connection = await self._connect()
                await self._serve(connection, backoff)
            # Whatever it is: the app goes on, and says what is wrong.
            except Exception as error:
                self._troubled(error)
            finally:
                self.is_ready.clear()
                self._router = None
                for partition in self.partitions:
                    partition.lose()
                if connection is not None:
                    await _close(connection)
            await happens(self._leaving, backoff.pause())

    def stop(self) -> None:
        """Gives back what no handler has begun; `run` then ends, when those that run have."""
        self._leaving.set()

    async def mark(self, mark: str) -> None:
        """Sends a mark behind all events that are there. It may get lost with the connection."""
        if self._router is not None:
            await self._router.tick(mark)

    async def _connect(self) -> AbstractConnection:
        url = URL(self._settings.address()).update_query(
            heartbeat=str(int(self._settings.heartbeat)), name=self._copy
        )
        trust = self._settings.trust()
        return await aio_pika.connect(str(url), ssl_context=trust, timeout=CONNECT)

    async def _serve(self, connection: AbstractConnection, backoff: Backoff) -> None:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Nobody may be left to ask for it.
        ended.add_done_callback(lambda future: future.exception())

        def end(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_exception(error or ConnectionError("the connection has ended"))

        connection.close_callbacks.add(lambda _, error: end(error))
        await self._topology.declare(connection)
        router = self._router = Router(self._topology, self._app_name, self._gaps, end)
        await router.open(connection)
        for partition in self.partitions:
            await partition.open(connection, end)
        log.info("RabbitMQ: consuming from %s", self._topology.name)
        self.trouble = None
        self.is_ready.set()
        backoff.reset()
        work = asyncio.create_task(self._keep(connection, router, end))
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            ends: list[asyncio.Future[Any]] = [work, ended, leaving]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            leaving.cancel()
            await asyncio.gather(work, return_exceptions=True)
        if ended.done():
            ended.result()
        if not work.cancelled():
            work.result()
        # Nobody is to get again what has gone through.
        await router.leave()
        await asyncio.gather(*(partition.leave(self._app.drain) for partition in self.partitions))

    async def _keep(self, connection: AbstractConnection, router: Router, fail: Fail) -> None:
        """Keeps the partitions where they should be, and the queues there."""
        interval = self._app.reconcile
        trouble: str | None = None
        while True:
            await router.tick()
            if await happens(self._changed, interval):
                self._changed.clear()
                # All who should not have it get in line behind the one who should.
                moving = [p for p in self.partitions if self._owners[p.number] != self._copy]
            else:
                # What came to this copy some time ago, while the one who should have it is well; a
                # moment ago, that one may be dead, and Consul not have noticed.
                since = time.monotonic() - interval
                moving = [
                    p
                    for p in self.partitions
                    if p.is_held and p.held_since < since and self._owners[p.number] != self._copy
                ]
                trouble, before = await self._topology.look(connection), trouble
                # Once alone, it may be that all copies are just getting in line anew.
                if trouble is not None and trouble == before:
                    raise ConnectionError(trouble)
            await asyncio.gather(*(self._step_back(connection, p, fail) for p in moving))

    async def _step_back(
        self, connection: AbstractConnection, partition: Partition, fail: Fail
    ) -> None:
        was_held = partition.is_held
        await partition.leave(self._app.handler_timeout)
        if was_held:
            log.info("partition %d: left to another copy", partition.number)
            self._owner.left(partition)
        await partition.open(connection, fail)

    def _troubled(self, error: BaseException) -> None:
        reason = f"{error}".strip() or type(error).__name__
        if reason != self.trouble:
            log.warning("RabbitMQ: %s", reason)
        self.trouble = reason


async def _close(connection: AbstractConnection) -> None:
    try:
        await asyncio.wait_for(connection.close(), 5)
    except Exception as error:
        log.debug("the connection is not closed in order: %s", error)
