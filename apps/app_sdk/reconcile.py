# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""Setting the calls known here against those that there are."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .api import Api, segment
from .calls import FOUND, Calls, is_in
from .errors import ApiError, NotFound
from .event import Event, call_of, partition_of
from .waiting import happens

log = logging.getLogger(__name__)

#: How soon a call without its beginning is looked at again: the beginning may be on its way.
SECOND_LOOK = 5.0
#: Partitions tell of one gap one after another: a look, which asks for all calls, is for all.
GATHER = 0.1
#: Marks that may be under way.
MARKS = 8


@dataclass
class Truth:
    """What the gateway, or Asterisk, says there is."""

    #: All channels, by node and id.
    channels: dict[tuple[str, str], Mapping[str, Any]]
    #: The ids of those that the application is subscribed to.
    subscribed: set[str]
    #: Nodes that did not answer.
    missing: set[str] = field(default_factory=set)


class Reconciler:
    """Asks for the truth when events are missing, when calls come from another copy, and now and
    then. What it finds goes to the handlers as events, in order with those of the same call.
    """

    def __init__(
        self,
        api: Api,
        calls: Calls,
        app_name: str,
        *,
        interval: float,
        grace: float,
        holds: Callable[[int], bool],
        put: Callable[[Event], None],
        mark: Callable[[str], Awaitable[None]],
    ) -> None:
        self._api = api
        self._calls = calls
        self._app_name = app_name
        self._interval = interval
        self._grace = grace
        self._holds = holds
        self._put = put
        self._mark = mark
        self._wanted = asyncio.Event()
        self._gained: dict[int, asyncio.Event] = {}
        self._suspects: dict[tuple[str, str], float] = {}
        self._silent: dict[str, float] = {}
        self._entity_id: str | None = None
        self._name = uuid.uuid4().hex
        self._count = 0
        self._made: list[Event] = []
        self._marked: OrderedDict[str, list[Event]] = OrderedDict()

    def ask(self, reason: str) -> None:
        """Events are missing: look now."""
        if not self._wanted.is_set():
            log.info("asking which calls there are: %s", reason)
        self._wanted.set()

    def gained(self, partition: int) -> asyncio.Event:
        """A partition is this copy's now. The event tells that its calls were looked for."""
        looked = asyncio.Event()
        self._gained[partition] = looked
        self._wanted.set()
        return looked

    def passed(self, partition: int, mark: str) -> None:
        """All events of a partition that were there before a mark have come to their lanes. What
        was found missing then, and has not come, is put behind them."""
        for event in self._marked.get(mark, []):
            if event.partition == partition:
                self._put(event)

    async def run(self) -> None:
        """For ever."""
        pause = self._interval
        while True:
            if await happens(self._wanted, pause):
                await asyncio.sleep(GATHER)
            self._wanted.clear()
            gained, self._gained = self._gained, {}
            try:
                unsure = await self._look(set(gained))
            except ApiError as error:
                log.warning("which calls there are is not known: %s", error)
                # Their events can't wait for ever, but the next look is still a first one.
                self._gained = {**gained, **self._gained}
                unsure = True
            except Exception:
                log.exception("which calls there are is not known")
                unsure = True
            finally:
                for looked in gained.values():
                    looked.set()
            pause = min(self._interval, SECOND_LOOK) if unsure else self._interval

    async def _look(self, gained: set[int]) -> bool:
        """Whether it has to look again soon."""
        began = time.monotonic()
        truth = await self._truth()
        self._end_what_is_gone(truth, began)
        is_unsure = self._find_what_is_new(truth, gained, began)
        if self._made:
            await self._put_behind_what_is_there()
        return is_unsure or bool(truth.missing)

    async def _put_behind_what_is_there(self) -> None:
        """The event that seems to be missing may only wait in the broker."""
        self._count += 1
        mark = f"{self._name}/{self._count}"
        self._marked[mark], self._made = self._made, []
        if len(self._marked) > MARKS:
            self._marked.popitem(last=False)
        try:
            await self._mark(mark)
        except Exception as error:
            # The connection is gone; the next look finds the same.
            log.debug("mark %s is not sent: %s", mark, error)

    async def _truth(self) -> Truth:
        reply = await self._api.exchange("GET", "/channels")
        channels: dict[tuple[str, str], Mapping[str, Any]] = {}
        for channel in reply.body:
            node = channel.get("asterisk_id") or await self._only_node()
            channels[str(node), str(channel["id"])] = channel
        try:
            app = await self._api.request("GET", f"/applications/{segment(self._app_name)}")
        except NotFound:
            # No node has it (yet).
            app = {}
        missing = reply.headers.get("X-Asterisk-Missing", "").split(",")
        subscribed = {str(channel) for channel in app.get("channel_ids", [])}
        return Truth(channels, subscribed, {node.strip() for node in missing} - {""})

    async def _only_node(self) -> str:
        """The node's id, where the API is one Asterisk's."""
        if self._entity_id is None:
            info = await self._api.request("GET", "/asterisk/info", {"only": "system"})
            self._entity_id = str(info["system"]["entity_id"])
        return self._entity_id

    def _end_what_is_gone(self, truth: Truth, began: float) -> None:
        silent = {node: self._silent.get(node, began) for node in truth.missing}
        self._silent = silent
        for context in self._calls:
            node = context.asterisk_id
            is_here = self._holds(partition_of(context.call_id)) and context.since < began
            if not is_here or (node in silent and began - silent[node] < self._grace):
                continue
            channel = truth.channels.get((node, context.channel_id))
            if channel is None or not self._is_ours(truth, channel):
                gone = channel or {**context.channel, "id": context.channel_id}
                self._synthesize("StasisEnd", node, gone)

    def _find_what_is_new(self, truth: Truth, gained: set[int], began: float) -> bool:
        suspects: dict[tuple[str, str], float] = {}
        for (node, channel_id), channel in truth.channels.items():
            call = call_of(channel_id)
            if not self._holds(partition_of(call)) or not is_in(self._app_name, channel):
                continue
            if channel_id != call:
                self._calls.adopt_leg(node, call, channel)
            elif partition_of(call) in gained and not self._calls.knows(node, call):
                self._calls.adopt(node, channel)
                suspects[node, call] = began
            elif self._calls.are_told(node, channel):
                continue
            elif began - self._suspects.get((node, call), began) < SECOND_LOOK * 0.9:
                suspects[node, call] = self._suspects.get((node, call), began)
            else:
                self._synthesize(FOUND, node, channel)
        self._suspects = suspects
        return bool(suspects)

    def _is_ours(self, truth: Truth, channel: Mapping[str, Any]) -> bool:
        return str(channel["id"]) in truth.subscribed or is_in(self._app_name, channel)

    def _synthesize(self, kind: str, node: str, channel: Mapping[str, Any]) -> None:
        self._count += 1
        # What a handler makes is named by this: no other copy, and no later run, may have it too.
        identity = f"{node}/synthesized/{self._name}/{self._count}"
        data = {"type": kind, "channel": dict(channel), "application": self._app_name}
        self._made.append(Event(kind, data, node, identity, synthesized=True))
