# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""What an app does to its calls."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from .api import Api, segment
from .context import Channel, Context, Leg
from .errors import Conflict, NotFound
from .event import LEG, Event

#: The event whose handler runs, and the numbers of what it makes.
HANDLED: ContextVar[tuple[str, Iterator[int]] | None] = ContextVar("handled", default=None)


def handling(event: Event) -> None:
    """What the current task makes is made for this event."""
    HANDLED.set((event.message_id, itertools.count()))


def _new_id() -> str:
    """An id that is the same when the same event is handled once more, by whichever copy: what it
    makes is then made once."""
    handled = HANDLED.get()
    if handled is None:
        return uuid.uuid4().hex
    event, numbers = handled
    return hashlib.blake2b(f"{event}#{next(numbers)}".encode(), digest_size=12).hexdigest()


class Actions:
    """Each returns when Asterisk has taken it. `ApiError` says why not; `NotFound`, that the call
    has ended. None waits for what comes of it: that comes as an event."""

    api: Api
    app_name: str

    async def answer(self, channel: Channel) -> None:
        """Answers; `on_up` comes then. Nothing happens to a call that is up."""
        await self._do(channel, "POST", "answer", repeatable=True)

    async def ring(self, channel: Channel) -> None:
        """Lets the caller hear ringing."""
        await self._do(channel, "POST", "ring", repeatable=True)

    async def hangup(self, channel: Channel, reason: str | None = None) -> None:
        """Hangs up; nothing happens to a call that has ended. `reason`: `normal`, `busy`, …"""
        try:
            await self._do(channel, "DELETE", "", {"reason": reason})
        except NotFound:
            pass

    async def continue_in_dialplan(
        self,
        channel: Channel,
        *,
        context: str | None = None,
        extension: str | None = None,
        priority: int | None = None,
    ) -> None:
        """Gives the call back to the dialplan; `on_end` comes then."""
        params = {"context": context, "extension": extension, "priority": priority}
        await self._do(channel, "POST", "continue", params)

    async def play_media(
        self,
        channel: Channel,
        media: str | Sequence[str],
        *,
        playback_id: str | None = None,
        language: str | None = None,
    ) -> str:
        """Plays `sound:hello-world`, `tone:ring`, `digits:42`, …, several one after the other.

        The playback's id; `on_playback_finished` comes at its end. Until then other actions on the
        channel wait in Asterisk.
        """
        on, node = f"/channels/{segment(channel.channel_id)}", channel.asterisk_id
        return await self._play(on, media, playback_id, language, node)

    async def stop_playback(self, channel: Channel, playback_id: str) -> None:
        """Ends a playback; nothing happens to one that has ended."""
        try:
            path = f"/playbacks/{segment(playback_id)}"
            await self.api.request("DELETE", path, node=channel.asterisk_id)
        except NotFound:
            pass

    async def start_moh(self, channel: Channel, moh_class: str | None = None) -> None:
        """Plays music on hold."""
        await self._do(channel, "POST", "moh", {"mohClass": moh_class}, repeatable=True)

    async def stop_moh(self, channel: Channel) -> None:
        """Ends it."""
        await self._do(channel, "DELETE", "moh")

    async def send_dtmf(self, channel: Channel, digits: str) -> None:
        """Sends digits to the caller."""
        await self._do(channel, "POST", "dtmf", {"dtmf": digits})

    async def record(
        self,
        channel: Channel,
        name: str | None = None,
        *,
        format: str = "wav",
        max_duration: int = 0,
        max_silence: int = 0,
        if_exists: str = "fail",
        beep: bool = False,
        terminate_on: str = "none",
    ) -> str:
        """Records what the caller says; seconds, 0 for no bound.

        The recording's name; `on_recording_finished` comes at its end.
        """
        name = name or f"{self.app_name}-{_new_id()}"
        params = {
            "name": name,
            "format": format,
            "maxDurationSeconds": max_duration,
            "maxSilenceSeconds": max_silence,
            "ifExists": if_exists,
            "beep": beep,
            "terminateOn": terminate_on,
        }
        path = f"/channels/{segment(channel.channel_id)}/record"
        made = f"/recordings/live/{segment(name)}"
        await self.api.create(path, params, made, node=channel.asterisk_id)
        return name

    async def stop_recording(self, channel: Channel, name: str) -> None:
        """Ends a recording and keeps it; nothing happens to one that has ended."""
        try:
            path = f"/recordings/live/{segment(name)}/stop"
            await self.api.request("POST", path, node=channel.asterisk_id)
        except NotFound:
            pass

    async def set_variable(self, channel: Channel, variable: str, value: str) -> None:
        """Sets a variable of the channel: it stays with the call, whichever copy has it."""
        params = {"variable": variable, "value": value}
        await self._do(channel, "POST", "variable", params, repeatable=True)

    async def get_variable(self, channel: Channel, variable: str) -> str:
        """The value of a variable or of a function, such as `CALLERID(name)`; empty for none."""
        try:
            told = await self._do(channel, "GET", "variable", {"variable": variable})
        except NotFound as error:
            # ARI says 404 for a variable and for a channel that is not there.
            if "variable" not in error.reason.lower():
                raise
            return ""
        return str(told["value"])

    async def dial(
        self,
        context: Context,
        endpoint: str,
        *,
        caller_id: str | None = None,
        timeout: int = 30,
        variables: Mapping[str, str] | None = None,
    ) -> Leg:
        """Calls `PJSIP/alice` or the like for a call, on its node.

        `on_dial` tells how that goes, `on_leg_up` that it was answered, `on_leg_end` its end.
        """
        leg_id = f"{context.call_id}{LEG}{_new_id()}"
        params = {
            "endpoint": endpoint,
            "app": self.app_name,
            "appArgs": f"leg,{context.call_id}",
            "callerId": caller_id,
            "timeout": timeout,
            "channelId": leg_id,
            "originator": context.channel_id,
        }
        body = {"variables": dict(variables)} if variables else None
        made = f"/channels/{segment(leg_id)}"
        channel = await self.api.create(
            "/channels", params, made, body=body, node=context.asterisk_id
        )
        leg = context.legs.get(leg_id) or Leg(context, leg_id, context.asterisk_id, channel or {})
        context.legs[leg_id] = leg
        return leg

    async def get_or_create_bridge(
        self, context: Context, bridge_id: str, bridge_type: str = "mixing"
    ) -> dict[str, Any]:
        """The bridge of this id, made near the call where there is none: ARI's Bridge."""
        path = f"/bridges/{segment(bridge_id)}"
        try:
            return dict(await self.api.request("GET", path))
        except NotFound:
            pass
        # ARI knows no originator of a bridge; to the gateway it says where to make it.
        params = {"type": bridge_type, "name": bridge_id, "originator": context.channel_id}
        try:
            return dict(await self.api.request("POST", path, params, repeatable=True))
        except Conflict:
            # Another copy was quicker.
            return dict(await self.api.request("GET", path))

    async def bridge_add_channel(
        self, context: Context, bridge_id: str, channel: Channel | None = None
    ) -> None:
        """Brings the call, or a leg of it, into a bridge."""
        params = {"channel": (channel or context).channel_id}
        path = f"/bridges/{segment(bridge_id)}/addChannel"
        await self.api.request("POST", path, params, repeatable=True)

    async def bridge_remove_channel(
        self, context: Context, bridge_id: str, channel: Channel | None = None
    ) -> None:
        """Takes it out again."""
        params = {"channel": (channel or context).channel_id}
        path = f"/bridges/{segment(bridge_id)}/removeChannel"
        await self.api.request("POST", path, params)

    async def bridge_channels(self, context: Context, bridge_id: str) -> list[str]:
        """The ids of the channels in a bridge."""
        bridge = await self.api.request("GET", f"/bridges/{segment(bridge_id)}")
        return [str(channel) for channel in bridge["channels"]]

    async def bridge_play_media(
        self,
        context: Context,
        bridge_id: str,
        media: str | Sequence[str],
        *,
        playback_id: str | None = None,
        language: str | None = None,
    ) -> str:
        """Plays to all in a bridge; the playback's id."""
        return await self._play(f"/bridges/{segment(bridge_id)}", media, playback_id, language)

    async def bridge_record(
        self, context: Context, bridge_id: str, name: str, *, format: str = "wav"
    ) -> str:
        """Records all in a bridge; the recording's name."""
        path = f"/bridges/{segment(bridge_id)}/record"
        params = {"name": name, "format": format}
        await self.api.create(path, params, f"/recordings/live/{segment(name)}")
        return name

    async def destroy_bridge(self, context: Context, bridge_id: str) -> None:
        """Ends a bridge; nothing happens to one that is not there."""
        try:
            await self.api.request("DELETE", f"/bridges/{segment(bridge_id)}")
        except NotFound:
            pass

    async def _do(
        self,
        channel: Channel,
        method: str,
        what: str,
        params: Mapping[str, Any] | None = None,
        *,
        repeatable: bool = False,
    ) -> Any:
        path = f"/channels/{segment(channel.channel_id)}/{what}".rstrip("/")
        node = channel.asterisk_id
        return await self.api.request(method, path, params, node=node, repeatable=repeatable)

    async def _play(
        self,
        on: str,
        media: str | Sequence[str],
        playback_id: str | None,
        language: str | None,
        node: str | None = None,
    ) -> str:
        playback_id = playback_id or _new_id()
        uris = media if isinstance(media, str) else ",".join(media)
        params = {"media": uris, "lang": language, "playbackId": playback_id}
        made = f"/playbacks/{segment(playback_id)}"
        await self.api.create(f"{on}/play", params, made, node=node)
        return playback_id
