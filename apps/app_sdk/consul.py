# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""What an app has in Consul: its key, its copies as services, who has which calls."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import aiohttp

from . import config
from .backoff import Backoff

log = logging.getLogger(__name__)

#: The longest that a question for news of the copies is held by the agent.
WATCH = 30


class ConsulError(Exception):
    """The agent is not to be reached, or refuses."""


class Consul:
    """The agent, and what this copy keeps there."""

    def __init__(self, settings: config.Consul, app_id: str, app_name: str, copy: str) -> None:
        self._settings = settings
        self._app_id = app_id
        self._key = settings.app_prefix + app_name
        self._copy = copy
        self._session: aiohttp.ClientSession | None = None
        #: Why the agent is of no use at the moment.
        self.trouble: str | None = None

    @property
    def service(self) -> str:
        """The name of the copies' service; the app's own name is that of its nodes' services."""
        return f"{self._app_id}-app"

    async def open(self) -> None:
        """Needs the event loop."""
        encrypted = self._settings.scheme == "https"
        connector = aiohttp.TCPConnector(ssl=self._settings.trust() if encrypted else True)
        self._session = aiohttp.ClientSession(connector=connector)

    async def close(self) -> None:
        """Ends its connections."""
        if self._session is not None:
            await self._session.close()

    async def keep_registered(self, host: str, port: int, is_passing: Callable[[], bool]) -> None:
        """Keeps key and service there, also after the agent was restarted or wiped. For ever."""
        backoff = Backoff(0.2, self._settings.check_interval)
        while True:
            try:
                await self._create_key()
                await self._register(host, port, is_passing())
            except ConsulError as error:
                self._troubled(str(error))
                await asyncio.sleep(backoff.pause())
                continue
            self._troubled(None)
            backoff.reset()
            await asyncio.sleep(self._settings.check_interval)

    async def watch_copies(self, changed: Callable[[list[str]], None]) -> None:
        """Tells the ids of the copies that are well, at each change. For ever."""
        backoff, index = Backoff(0.2, 10.0), 0
        last: list[str] | None = None
        while True:
            path = f"/v1/health/service/{_segment(self.service)}?index={index}&wait={WATCH}s"
            try:
                found, told = await self._ask("GET", path, longest=WATCH * 1.1)
            except ConsulError as error:
                log.debug("the copies are not known: %s", error)
                index = 0
                await asyncio.sleep(backoff.pause())
                continue
            backoff.reset()
            # An index that goes backwards is of another server: begin anew.
            index = told if told >= index else 0
            copies = sorted(
                one["Service"]["ID"]
                for one in found or []
                if all(check["Status"] != "critical" for check in one["Checks"])
            )
            if copies != last:
                last = copies
                changed(copies)

    async def claim(self, partition: int) -> str | None:
        """Writes down that this copy has a partition. Who had it before."""
        key = f"apps/{self._app_id}/partitions/{partition}"
        found, _ = await self._ask("GET", f"/v1/kv/{quote(key)}?raw", missing="")
        if found != self._copy:
            value = base64.b64encode(self._copy.encode()).decode()
            await self._transaction({"Verb": "set", "Key": key, "Value": value})
        return str(found) or None

    async def deregister(self) -> None:
        """Takes the service away; the key stays, for the app's other copies and its calls."""
        try:
            await self._ask("PUT", f"/v1/agent/service/deregister/{_segment(self._copy)}")
        except ConsulError as error:
            log.warning("the service is not deregistered: %s", error)

    async def _create_key(self) -> None:
        """Makes every node create the application. A value that is there stays."""
        if await self._transaction({"Verb": "get", "Key": self._key}, fine=(409,)) is not None:
            return
        # Only if no other copy was quicker.
        key = {"Verb": "cas", "Key": self._key, "Value": "", "Index": 0}
        if await self._transaction(key, fine=(409,)) is not None:
            log.info("key %s: created", self._key)

    async def _register(self, host: str, port: int, is_passing: bool) -> None:
        path = f"/v1/agent/service/{_segment(self._copy)}"
        there, _ = await self._ask("GET", path, missing=None)
        if there and (there["Address"], there["Port"]) == (host, port):
            return
        seconds = self._settings.check_interval
        in_url = f"[{host}]" if ":" in host else host
        check = {
            "Name": f"copy of {self._app_id}",
            "HTTP": f"http://{in_url}:{port}/health",
            "Interval": f"{seconds:g}s",
            "Timeout": f"{min(seconds, 5):g}s",
            "DeregisterCriticalServiceAfter": f"{self._settings.deregister_after:g}s",
            "Status": "passing" if is_passing else "critical",
        }
        service = {
            "ID": self._copy,
            "Name": self.service,
            "Address": host,
            "Port": port,
            "Meta": {"app": self._app_id},
            "Check": check,
        }
        await self._ask("PUT", "/v1/agent/service/register", body=service)
        log.info("service %s: registered as %s", self.service, self._copy)

    async def _transaction(self, verb: dict[str, Any], fine: tuple[int, ...] = ()) -> Any:
        # A path can't name every key.
        found, _ = await self._ask("PUT", "/v1/txn", body=[{"KV": verb}], fine=fine)
        return found

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        longest: float = 0,
        fine: tuple[int, ...] = (),
        **default: Any,
    ) -> tuple[Any, int]:
        """The answer and its index. None with a status that is `fine`; `missing` at 404."""
        if self._session is None:
            raise ConsulError("the app does not run")
        what = f"{method} {path.partition('?')[0]}"
        try:
            token = self._settings.secret()
        except OSError as error:
            raise ConsulError(f"consul.token_file: {error.filename}: {error.strerror}") from error
        headers = {"X-Consul-Token": token} if token else {}
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout + longest)
        try:
            async with self._session.request(
                method, self._settings.base + path, json=body, headers=headers, timeout=timeout
            ) as answer:
                index = int(answer.headers.get("X-Consul-Index", "0"))
                if answer.status in fine:
                    return None, index
                if answer.status == 404 and "missing" in default:
                    return default["missing"], index
                if answer.status != 200:
                    reason = (await answer.text()).strip()[:200]
                    raise ConsulError(f"{what}: {answer.status}, {reason}")
                if answer.content_type == "application/json":
                    return await answer.json(), index
                return await answer.text(), index
        except (aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
            raise ConsulError(f"{what}: {str(error) or 'no answer'}") from error

    def _troubled(self, reason: str | None) -> None:
        if reason is not None and self.trouble is None:
            log.warning("Consul: %s", reason)
        elif reason is None and self.trouble is not None:
            log.info("Consul answers again")
        self.trouble = reason


def _segment(text: str) -> str:
    return quote(text, safe="")
