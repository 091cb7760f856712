# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""An event of the app, and which call it is of."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .balance import PARTITIONS

#: Between a call's id and the rest of the id of a leg that is dialled for it, so that every copy
#: sees of an id alone which call it belongs to.
LEG = "~"


def call_of(channel_id: str) -> str:
    """The id of the call that a channel is of: its own, or that of the call it was dialled for."""
    return channel_id.partition(LEG)[0]


def partition_of(call_id: str) -> int:
    """The partition that a call's events go through; the same in every copy."""
    return zlib.crc32(call_id.encode()) % PARTITIONS


@dataclass(frozen=True)
class Event:
    """What ARI tells: `type` and `data`, as a websocket would bring them."""

    type: str
    data: Mapping[str, Any] = field(repr=False)
    asterisk_id: str
    message_id: str
    #: Its number among those of its node and run (`boot`); see docs/events.md.
    sequence: int = 0
    boot: str = ""
    #: Made here because the one of Asterisk's was lost.
    synthesized: bool = False

    @property
    def channel_id(self) -> str | None:
        """The channel it is about."""
        for name in ("channel", "caller", "peer"):
            channel = self.data.get(name)
            if isinstance(channel, Mapping) and channel.get("id"):
                return str(channel["id"])
        for name in ("playback", "recording"):
            thing = self.data.get(name)
            kind, _, identity = str((thing or {}).get("target_uri", "")).partition(":")
            if kind == "channel" and identity:
                return identity
        return None

    @property
    def call_id(self) -> str | None:
        """The call it is of; None for what is of no call."""
        channel = self.channel_id
        return None if channel is None else call_of(channel)

    @property
    def partition(self) -> int:
        """The partition it goes through. What is of a bridge is in order for the bridge."""
        if (call := self.call_id) is not None:
            return partition_of(call)
        bridge = self.data.get("bridge")
        return partition_of(str(bridge.get("id", "")) if isinstance(bridge, Mapping) else "")


def decoded(body: Any, headers: Mapping[str, Any], message_id: str) -> Event:
    """The event of a message (docs/events.md). ValueError where it is none."""
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, Mapping):
        raise ValueError("the body has no data")
    node, boot, _ = [*message_id.rsplit("/", 2), "", ""][:3]
    sequence = headers.get("sequence")
    return Event(
        type=str(body.get("name") or data.get("type") or ""),
        data=data,
        asterisk_id=str(headers.get("asterisk_id") or data.get("asterisk_id") or node),
        message_id=message_id,
        sequence=sequence if isinstance(sequence, int) else 0,
        boot=boot,
    )
