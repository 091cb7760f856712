# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""A call, and what was dialled for it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .event import Event


class Channel:
    """A channel of Asterisk's that actions are done to."""

    def __init__(self, channel_id: str, asterisk_id: str, channel: Mapping[str, Any]) -> None:
        self.channel_id = channel_id
        #: The entity id of its node.
        self.asterisk_id = asterisk_id
        #: ARI's Channel, as the last event had it.
        self.channel: dict[str, Any] = dict(channel)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channel_id!r} on {self.asterisk_id!r})"


class Leg(Channel):
    """A channel that the app dialled for a call. Its events come in order with the call's."""

    def __init__(
        self, call: Context, channel_id: str, asterisk_id: str, channel: Mapping[str, Any]
    ) -> None:
        super().__init__(channel_id, asterisk_id, channel)
        self.call = call


class Context(Channel):
    """A call in the app, the same object in each of its handlers, as long as it is at this copy."""

    def __init__(self, channel_id: str, asterisk_id: str, channel: Mapping[str, Any]) -> None:
        super().__init__(channel_id, asterisk_id, channel)
        #: The arguments that the dialplan gave: `Stasis(app,one,two)`.
        self.args: list[str] = []
        #: The event whose handler runs.
        self.event: Event | None = None
        #: The app's own. It is lost when another copy takes the call over: what must not be lost
        #: belongs into a variable of the channel (`set_variable`).
        self.data: dict[str, Any] = {}
        #: What was dialled for it, by channel id.
        self.legs: dict[str, Leg] = {}
        #: Whether it began at another copy.
        self.taken_over = False
        #: Whether `on_start` or `on_takeover` has been called.
        self.is_started = False
        #: Whether `on_up` has been called.
        self.is_up = False
        #: When this copy came to know it.
        self.since = time.monotonic()

    @property
    def call_id(self) -> str:
        """The call's id, which is that of its first channel."""
        return self.channel_id

    @property
    def caller(self) -> str:
        """The caller's number."""
        return str((self.channel.get("caller") or {}).get("number", ""))

    @property
    def extension(self) -> str:
        """The number that was called."""
        return str((self.channel.get("dialplan") or {}).get("exten", ""))
