# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""Work in order for each key, and side by side for different keys."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Lanes(Generic[K, T]):
    """A lane for each key that has work, with a task of its own, which ends with the work.

    `run` must not raise: what it is about is logged where it is known.
    """

    def __init__(self, run: Callable[[T], Awaitable[None]]) -> None:
        self._run = run
        self._lanes: dict[K, deque[T]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, key: K, item: T) -> None:
        """Puts work at the end of a lane. Needs the event loop's thread."""
        lane = self._lanes.get(key)
        if lane is not None:
            lane.append(item)
            return
        lane = self._lanes[key] = deque([item])
        task = asyncio.create_task(self._work(key, lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def __len__(self) -> int:
        return len(self._lanes)

    async def stop(self) -> None:
        """Cancels what runs, and forgets what waits."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lanes.clear()

    async def _work(self, key: K, lane: deque[T]) -> None:
        while lane:
            await self._run(lane.popleft())
        # Nothing can have come since the last look: there is no await between.
        self._lanes.pop(key, None)
