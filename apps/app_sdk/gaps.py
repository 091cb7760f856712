# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""Seeing that events of a node are missing."""

from __future__ import annotations

from .event import Event


class Gaps:
    """What the numbers of the events, in the order of their coming, tell of each node.

    Events of an app have numbers missing between them, those of other sources; with `complete`
    everything that the nodes publish is looked at, and then each missing number is a loss.
    """

    def __init__(self, complete: bool) -> None:
        self._complete = complete
        self._last: dict[str, tuple[str, int]] = {}

    def look(self, event: Event) -> str | None:
        """Why the node should be asked for the truth; None when nothing is missing."""
        if event.type == "EventsLost":
            lost = event.data
            first, last = lost.get("first_sequence"), lost.get("last_sequence")
            reason = f"its events {first} to {last} were lost ({lost.get('reason')})"
        else:
            reason = ""
        if not event.sequence:
            # The gateway's, about a node that died: it is not the node's own, and of no boot.
            return reason or None
        boot, sequence = self._last.get(event.asterisk_id, (event.boot, 0))
        if boot > event.boot:
            # Of a run before, from its spool, or a repeat.
            return reason or None
        if boot < event.boot:
            # What it had then may have ended without a word.
            reason = reason or "it began anew"
        elif self._complete and 0 < sequence < event.sequence - 1:
            reason = reason or f"its events {sequence + 1} to {event.sequence - 1} are missing"
        if boot != event.boot or sequence < event.sequence:
            self._last[event.asterisk_id] = (event.boot, event.sequence)
        return reason or None
