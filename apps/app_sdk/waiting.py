# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""Waiting with a deadline."""

from __future__ import annotations

import asyncio


async def happens(event: asyncio.Event, longest: float) -> bool:
    """Whether an event is set within some seconds.

    `asyncio.wait_for` would do, but before Python 3.12 it may lose a cancellation that comes just
    as the event is set, and what was to end goes on.
    """
    task = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task}, timeout=longest)
        return event.is_set()
    finally:
        task.cancel()
