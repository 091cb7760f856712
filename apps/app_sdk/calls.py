# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""The calls at this copy, and which of an app's handlers an event is for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from .context import Context, Leg
from .errors import NotFound
from .event import Event, partition_of
from .handlers import Handlers
from .seen import Seen

log = logging.getLogger(__name__)

#: How many ended calls are remembered, so that what comes late of them is not taken for new.
ENDED = 20_000
#: The type of an event of ours: a call that has been found without its beginning.
FOUND = "constellation.found"
#: What a channel may publish before it is in the application.
BEFORE_START = {"ChannelCreated", "ChannelVarset", "ChannelDialplan", "Dial"}
#: What a channel may publish when it has left the application already.
AT_THE_END = {"ChannelDestroyed", "ChannelHangupRequest"}

#: Events of a call with a handler of their own: its name, and what it is given of them.
OWN: dict[str, tuple[str, str | None]] = {
    "ChannelDtmfReceived": ("on_dtmf", "digit"),
    "PlaybackStarted": ("on_playback_started", "playback"),
    "PlaybackFinished": ("on_playback_finished", "playback"),
    "RecordingFinished": ("on_recording_finished", "recording"),
    "RecordingFailed": ("on_recording_failed", "recording"),
    "ChannelEnteredBridge": ("on_bridge_enter", "bridge"),
    "ChannelLeftBridge": ("on_bridge_leave", "bridge"),
    "ChannelHold": ("on_hold", None),
    "ChannelUnhold": ("on_unhold", None),
}
#: Those of them that are of a leg as much as of the call itself.
OF_LEGS = {
    "PlaybackStarted",
    "PlaybackFinished",
    "RecordingFinished",
    "RecordingFailed",
}


class Calls:
    """The contexts, kept by the events. Those of one call must come one after the other."""

    def __init__(self, app_name: str, handlers: Handlers, timeout: float) -> None:
        self._app_name = app_name
        self._handlers = handlers
        self._timeout = timeout
        self._contexts: dict[tuple[str, str], Context] = {}
        self._ended = Seen(ENDED)

    def __iter__(self) -> Iterator[Context]:
        return iter(list(self._contexts.values()))

    def __len__(self) -> int:
        return len(self._contexts)

    def knows(self, asterisk_id: str, call_id: str) -> bool:
        """Whether the call is here, or was and has ended."""
        return (asterisk_id, call_id) in self._contexts or f"{asterisk_id}/{call_id}" in self._ended

    def are_told(self, asterisk_id: str, channel: Mapping[str, Any]) -> bool:
        """Whether the handlers were told all that a call, as ARI shows it, has come to."""
        call_id = str(channel["id"])
        context = self._contexts.get((asterisk_id, call_id))
        if context is None:
            return self.knows(asterisk_id, call_id)
        is_up = context.is_up or context.taken_over or channel.get("state") != "Up"
        return context.is_started and is_up

    def adopt(self, asterisk_id: str, channel: Mapping[str, Any]) -> None:
        """A call that began at another copy: its next event, or a second look, begins it here."""
        context = self._new(asterisk_id, str(channel["id"]), channel)
        context.taken_over = True

    def adopt_leg(self, asterisk_id: str, call_id: str, channel: Mapping[str, Any]) -> None:
        """A leg of such a call."""
        context = self._contexts.get((asterisk_id, call_id))
        leg_id = str(channel["id"])
        if context is not None and leg_id not in context.legs:
            context.legs[leg_id] = Leg(context, leg_id, asterisk_id, channel)

    def forget(self, partition: int) -> None:
        """The calls of a partition are another copy's now."""
        for key in [key for key in self._contexts if partition_of(key[1]) == partition]:
            del self._contexts[key]

    async def handle(self, event: Event) -> None:
        """Calls the handlers an event is for. What they raise is logged, and ends nothing."""
        call_id = event.call_id
        if call_id is None:
            await self._tell("on_event", None, event)
            return
        channel_id = str(event.channel_id)
        context = self._context(event, call_id)
        if context is None:
            return
        context.event = event
        snapshot = event.data.get("channel")
        if channel_id != call_id:
            await self._of_leg(context, channel_id, event)
            return
        if isinstance(snapshot, Mapping):
            context.channel = dict(snapshot)
        if event.type == "StasisStart":
            await self._start(context, event)
        elif event.type == "StasisEnd":
            if event.synthesized:
                log.info("call %s: has ended, though no event said so", call_id)
            await self._end(context)
        elif event.type == FOUND:
            await self._found(context)
        elif context.is_started or self._begins(event):
            await self._began(context)
            await self._of_call(context, event)

    def _context(self, event: Event, call_id: str) -> Context | None:
        key = (event.asterisk_id, call_id)
        context = self._contexts.get(key)
        if context is not None:
            return context
        if event.channel_id != call_id:
            # A leg on another node than its call.
            calls = (context for (_, call), context in self._contexts.items() if call == call_id)
            return next(calls, None)
        if event.type in ("StasisStart", FOUND):
            return self._new(event.asterisk_id, call_id, event.data.get("channel") or {})
        if self._is_anothers(event, call_id):
            # It began at a copy that is gone, before this one could look which calls there are.
            context = self._new(event.asterisk_id, call_id, event.data.get("channel") or {})
            context.taken_over = True
            return context
        return None

    def _is_anothers(self, event: Event, call_id: str) -> bool:
        """Whether an event of a call that is not here shows that the call is this app's."""
        if f"{event.asterisk_id}/{call_id}" in self._ended:
            return False
        if event.type == "StasisEnd":
            return True
        shows = isinstance(event.data.get("channel"), Mapping) and event.type not in AT_THE_END
        return shows and self._begins(event)

    def _new(self, asterisk_id: str, call_id: str, channel: Mapping[str, Any]) -> Context:
        context = Context(call_id, asterisk_id, channel)
        context.args = args_of(channel)
        self._contexts[asterisk_id, call_id] = context
        return context

    def _begins(self, event: Event) -> bool:
        """Whether an event shows that its call is in the application already."""
        if event.type in BEFORE_START:
            return False
        channel = event.data.get("channel")
        return not isinstance(channel, Mapping) or is_in(self._app_name, channel)

    async def _began(self, context: Context) -> None:
        if not context.is_started:
            context.is_started = True
            await self._tell("on_takeover", context)

    async def _start(self, context: Context, event: Event) -> None:
        if context.is_started and not context.taken_over:
            # Its beginning came late, and has been made up for.
            return
        context.args = [str(arg) for arg in event.data.get("args") or []]
        context.taken_over = False
        context.is_started = True
        await self._tell("on_start", context)
        if context.channel.get("state") == "Up":
            await self._up(context)

    async def _found(self, context: Context) -> None:
        if context.taken_over:
            await self._began(context)
        elif not context.is_started:
            context.is_started = True
            await self._tell("on_start", context)
        if context.channel.get("state") == "Up" and not context.taken_over:
            await self._up(context)

    async def _up(self, context: Context) -> None:
        if not context.is_up:
            context.is_up = True
            await self._tell("on_up", context)

    async def _end(self, context: Context) -> None:
        await self._tell("on_end", context)
        self._contexts.pop((context.asterisk_id, context.channel_id), None)
        self._ended.add(f"{context.asterisk_id}/{context.channel_id}")

    async def _of_call(self, context: Context, event: Event) -> None:
        if event.type == "ChannelStateChange" and context.channel.get("state") == "Up":
            await self._up(context)
        elif event.type in OWN:
            await self._tell_own(context, event)
        else:
            await self._tell("on_event", context, event)

    async def _tell_own(self, context: Context, event: Event) -> None:
        name, part = OWN[event.type]
        given = [] if part is None else [event.data.get(part)]
        await self._tell(name, context, *given)

    async def _of_leg(self, context: Context, leg_id: str, event: Event) -> None:
        await self._began(context)
        leg = context.legs.get(leg_id)
        if leg is None:
            if f"{event.asterisk_id}/{leg_id}" in self._ended:
                return
            leg = Leg(context, leg_id, event.asterisk_id, {})
            context.legs[leg_id] = leg
        snapshot = event.data.get("channel") or event.data.get("peer")
        if isinstance(snapshot, Mapping):
            leg.channel = dict(snapshot)
        if event.type == "StasisStart":
            await self._tell("on_leg_up", context, leg)
        elif event.type in ("StasisEnd", "ChannelDestroyed"):
            context.legs.pop(leg_id, None)
            self._ended.add(f"{event.asterisk_id}/{leg_id}")
            await self._tell("on_leg_end", context, leg)
        elif event.type == "Dial":
            await self._tell("on_dial", context, leg, str(event.data.get("dialstatus", "")))
        elif event.type in OF_LEGS:
            await self._tell_own(context, event)
        else:
            await self._tell("on_event", context, event)

    async def _tell(self, name: str, context: Context | None, *given: Any) -> None:
        call = "no call" if context is None else f"call {context.call_id}"
        try:
            handler: Callable[..., Awaitable[None]] = getattr(self._handlers, name)
            await asyncio.wait_for(handler(context, *given), self._timeout)
        except NotFound as error:
            # Most often the call has ended meanwhile: its on_end comes.
            log.warning("%s: %s: %s", call, name, error)
        except asyncio.TimeoutError:
            log.error("%s: %s took more than %g s, and was cancelled", call, name, self._timeout)
        except Exception:
            log.exception("%s: %s failed", call, name)


def is_in(app_name: str, channel: Mapping[str, Any]) -> bool:
    """Whether a channel, as ARI shows it, is in an application."""
    dialplan = channel.get("dialplan") or {}
    name = str(dialplan.get("app_data", "")).partition(",")[0].strip()
    return dialplan.get("app_name") == "Stasis" and name == app_name


def args_of(channel: Mapping[str, Any]) -> list[str]:
    """The arguments of the application a channel is in."""
    data = str((channel.get("dialplan") or {}).get("app_data", ""))
    return data.split(",")[1:]
