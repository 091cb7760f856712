# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""The page that Consul's check asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

#: A state and what the page says beside it.
State = tuple[str, dict[str, Any]]

#: What Consul makes of a status: 429 is a warning, other than 2xx is critical.
STATUS = {"passing": 200, "warning": 429, "critical": 503}


class Health:
    """Serves `/health`."""

    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state
        self._runner: web.AppRunner | None = None

    async def open(self, host: str, port: int) -> int:
        """Listens; on which port, when any would do."""
        app = web.Application()
        app.router.add_get("/health", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, reuse_address=True)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stops listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, _: web.Request) -> web.Response:
        state, told = self._state()
        return web.json_response({"status": state, **told}, status=STATUS[state])
