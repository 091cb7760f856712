# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""An app, and how it is started and stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import uuid

from .actions import Actions
from .api import Api
from .config import Config
from .handlers import Handlers
from .running import Running


class Application(Handlers, Actions):
    """One copy of an app. `app_id` names what its copies share, queues and Consul's service;
    `app_name` is the Stasis application, as in the dialplan's `Stasis(name)`.
    """

    def __init__(self, config: Config, app_id: str, app_name: str) -> None:
        self.config = config
        self.app_id = app_id
        self.app_name = app_name
        #: The id of this copy.
        self.copy_id = f"{app_id}-app-{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self.api = Api(config.api)
        self._stopping: asyncio.Event | None = None

    def launch(self) -> None:
        """Runs until SIGTERM or SIGINT."""
        logging.basicConfig(
            level=self.config.app.log_level.upper(),
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        # Each lost connection is told once, by us.
        for name in ("aiormq", "aio_pika"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        asyncio.run(self._launched())

    def stop(self) -> None:
        """Ends `run`: handlers that run come to their ends, everything else is another copy's."""
        if self._stopping is not None:
            self._stopping.set()

    async def _launched(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        await self.run()

    async def run(self) -> None:
        """Runs until `stop`, in an event loop of one's own."""
        self._stopping = asyncio.Event()
        await Running(self).run(self._stopping)
