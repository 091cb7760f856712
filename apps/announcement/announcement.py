# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""Plays an announcement; 1 repeats it, 2 calls a person, any other key hangs up.

The dialplan says what and whom: `Stasis(announcement,sound:hello-world,PJSIP/alice)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app_sdk import Application, Config, Context, Leg

REPEATS = 3


class Announcement(Application):
    """How often it was played is kept with the call, for the copy that may take it over."""

    async def on_start(self, context: Context) -> None:
        """Takes the call."""
        await self.set_variable(context, "WHAT", context.args[0] if context.args else "tone:ring")
        await self.set_variable(context, "WHOM", context.args[1] if context.args[1:] else "")
        await self.answer(context)

    async def on_up(self, context: Context) -> None:
        """Plays it."""
        await self.play(context)

    async def on_playback_finished(self, context: Context, playback: Mapping[str, Any]) -> None:
        """Plays it again, some times, unless a key has stopped it."""
        played = await self.played(context)
        if playback["id"] != f"{context.call_id}-{played}":
            return
        if played < REPEATS:
            await self.play(context)
        else:
            await self.hangup(context)

    async def on_dtmf(self, context: Context, digit: str) -> None:
        """Does what the caller wants."""
        await self.stop_playback(context, f"{context.call_id}-{await self.played(context)}")
        if digit == "1":
            await self.play(context)
            return
        # Nothing is played any more, so its end is none.
        await self.set_variable(context, "PLAYED", "0")
        whom = await self.get_variable(context, "WHOM")
        if digit == "2" and whom:
            await self.ring(context)
            await self.dial(context, whom, timeout=20)
        else:
            await self.hangup(context)

    async def on_leg_up(self, context: Context, leg: Leg) -> None:
        """The person has answered: both talk, in a bridge of their own."""
        bridge = f"announcement-{context.call_id}"
        await self.get_or_create_bridge(context, bridge)
        await self.bridge_add_channel(context, bridge)
        await self.bridge_add_channel(context, bridge, leg)

    async def on_leg_end(self, context: Context, leg: Leg) -> None:
        """The person did not answer, or has hung up."""
        await self.hangup(context)

    async def on_end(self, context: Context) -> None:
        """Leaves nothing behind."""
        for leg in context.legs.values():
            await self.hangup(leg)
        await self.destroy_bridge(context, f"announcement-{context.call_id}")

    async def play(self, context: Context) -> None:
        """Plays it once."""
        # Variables first: while something is played, the channel takes none.
        played = await self.played(context) + 1
        await self.set_variable(context, "PLAYED", str(played))
        what = await self.get_variable(context, "WHAT")
        await self.play_media(context, what, playback_id=f"{context.call_id}-{played}")

    async def played(self, context: Context) -> int:
        """How often it was played."""
        return int(await self.get_variable(context, "PLAYED") or 0)


def main() -> None:
    """Runs it."""
    Announcement(Config(), "announcement", "announcement").launch()


if __name__ == "__main__":
    main()
