# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""What an app can say to events: the methods to override."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .context import Context, Leg
from .event import Event


class Handlers:
    """Each does nothing unless it is overridden. Those of one call run one after the other, those
    of different calls side by side; what one raises is logged with the call's id and ends nothing.
    """

    async def on_start(self, context: Context) -> None:
        """A call came."""

    async def on_up(self, context: Context) -> None:
        """A call is up: answered, by `answer` or before it came. After `on_start`."""

    async def on_end(self, context: Context) -> None:
        """A call has left the app: it was hung up, or went on in the dialplan. The last."""

    async def on_takeover(self, context: Context) -> None:
        """A call that began at another copy is now at this one. `context.data` is empty."""

    async def on_dtmf(self, context: Context, digit: str) -> None:
        """The caller pressed a key."""

    async def on_playback_started(self, context: Context, playback: Mapping[str, Any]) -> None:
        """Something is played to the caller, or to a leg: ARI's Playback."""

    async def on_playback_finished(self, context: Context, playback: Mapping[str, Any]) -> None:
        """It was played to its end, or stopped, or failed (`playback["state"]`)."""

    async def on_recording_finished(self, context: Context, recording: Mapping[str, Any]) -> None:
        """A recording is done: ARI's LiveRecording."""

    async def on_recording_failed(self, context: Context, recording: Mapping[str, Any]) -> None:
        """A recording failed (`recording["cause"]`)."""

    async def on_bridge_enter(self, context: Context, bridge: Mapping[str, Any]) -> None:
        """The call is in a bridge: ARI's Bridge."""

    async def on_bridge_leave(self, context: Context, bridge: Mapping[str, Any]) -> None:
        """The call is out of it."""

    async def on_hold(self, context: Context) -> None:
        """The caller put us on hold."""

    async def on_unhold(self, context: Context) -> None:
        """The caller is back."""

    async def on_dial(self, context: Context, leg: Leg, status: str) -> None:
        """How dialling a leg goes: `RINGING`, `ANSWER`, `BUSY`, …; empty as it begins."""

    async def on_leg_up(self, context: Context, leg: Leg) -> None:
        """A leg was answered, and can be brought into a bridge."""

    async def on_leg_end(self, context: Context, leg: Leg) -> None:
        """A leg was hung up, or never answered."""

    async def on_event(self, context: Context | None, event: Event) -> None:
        """Any event without a handler of its own; `context` is None for those of no call."""
