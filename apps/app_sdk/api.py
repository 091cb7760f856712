# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""ARI, of the gateway or of one Asterisk."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from . import config
from .backoff import Backoff
from .errors import ApiError, Conflict, NotFound, Uncertain

log = logging.getLogger(__name__)

#: Longest wait for a connection.
CONNECT = 2.0


@dataclass(frozen=True)
class Reply:
    """What was answered."""

    body: Any
    headers: Mapping[str, str]


class Api:
    """Requests that are tried again, within `api.timeout`, for as long as that does no harm.

    What was surely not carried out is sent again: a connection that was refused, an answer 503.
    Where that is unsure (no answer, 504), only what does the same when it is done twice.
    """

    def __init__(self, settings: config.Api) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        #: Why the last request had no answer.
        self.trouble: str | None = None

    async def open(self) -> None:
        """Needs the event loop."""
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout, sock_connect=CONNECT)
        encrypted = self._settings.base.startswith("https:")
        connector = aiohttp.TCPConnector(ssl=self._settings.trust() if encrypted else True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)

    async def close(self) -> None:
        """Ends its connections."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        node: str | None = None,
        repeatable: bool = False,
    ) -> Any:
        """Any request below `/ari`; the body of its answer, from JSON.

        `path` is encoded already (`segment`); of `params`, those that are None are left out.
        `node` names the Asterisk that it is for. `repeatable` says that a POST may be sent twice.
        """
        reply = await self.exchange(
            method, path, params, body=body, node=node, repeatable=repeatable
        )
        return reply.body

    async def create(
        self,
        path: str,
        params: Mapping[str, Any],
        made: str,
        *,
        body: Any = None,
        node: str | None = None,
    ) -> Any:
        """A POST that makes what is then at `made`, by an id of ours, so that it is made once
        however often it is asked for."""
        try:
            return await self.request("POST", path, params, body=body, node=node)
        except (Conflict, Uncertain):
            try:
                return await self.request("GET", made, node=node)
            except NotFound:
                pass
            raise

    async def exchange(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        node: str | None = None,
        repeatable: bool = False,
    ) -> Reply:
        """Like `request`, with the answer's headers."""
        is_repeatable = repeatable or method != "POST"
        query = {name: _text(value) for name, value in (params or {}).items() if value is not None}
        deadline = time.monotonic() + self._settings.timeout
        backoff = Backoff(0.1, 2.0)
        while True:
            try:
                return await self._try(method, path, query, body, node)
            except ApiError as error:
                again = error.status == 503 or _was_not_sent(error)
                again = again or (isinstance(error, Uncertain) and is_repeatable)
                pause = backoff.pause()
                if not again or time.monotonic() + pause > deadline:
                    raise
            await asyncio.sleep(pause)

    async def _try(
        self, method: str, path: str, query: Mapping[str, str], body: Any, node: str | None
    ) -> Reply:
        if self._session is None:
            raise ApiError(method, path, None, "the app does not run")
        headers = {"X-Asterisk-ID": node} if node else {}
        try:
            headers["Authorization"] = self._settings.authorization()
        except OSError as error:
            # Whoever writes the file anew may have it back in a moment: it is tried again.
            reason = f"the secret of api: {error.filename}: {error.strerror}"
            self._troubled(reason)
            raise ApiError(method, path, None, reason) from error
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = URL(self._settings.base + path, encoded=True).with_query(query)
        data = None if body is None else json.dumps(body)
        try:
            async with self._session.request(method, url, headers=headers, data=data) as answer:
                text = await answer.text()
                status, told = answer.status, answer.headers
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            self._troubled(str(error))
            raise ApiError(method, path, None, str(error)) from error
        except asyncio.TimeoutError as error:
            self._troubled("no answer")
            raise Uncertain(method, path, None, "no answer") from error
        except aiohttp.ClientError as error:
            reason = str(error) or type(error).__name__
            self._troubled(reason)
            raise Uncertain(method, path, None, reason) from error
        self._troubled(None)
        if 200 <= status < 300:
            return Reply(_read(text), told)
        reason = _message(text)
        raise _refusal(status, reason)(method, path, status, f"{status}, {reason}")

    def _troubled(self, reason: str | None) -> None:
        if reason is not None and self.trouble is None:
            log.warning("%s does not answer: %s", self._settings.base, reason)
        elif reason is None and self.trouble is not None:
            log.info("%s answers again", self._settings.base)
        self.trouble = reason


def segment(text: str) -> str:
    """A text as one part of a path."""
    return quote(text, safe="")


def _was_not_sent(error: ApiError) -> bool:
    return error.status is None and not isinstance(error, Uncertain)


def _refusal(status: int, reason: str) -> type[ApiError]:
    # 400: where ARI has the channel as a parameter, as of one that is to come into a bridge.
    if status == 404 or (status, reason) == (400, "Channel not found"):
        return NotFound
    # 412: a channel that is not in the state that is needed.
    if status in (409, 412, 422):
        return Conflict
    return Uncertain if status == 504 else ApiError


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _read(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def _message(text: str) -> str:
    """What ARI says is wrong: {"message": "…"}, or {"error": "…"} of older ones."""
    told = _read(text)
    if isinstance(told, Mapping):
        return str(told.get("message") or told.get("error") or "no reason given")
    return str(told or "no reason given")[:200]
