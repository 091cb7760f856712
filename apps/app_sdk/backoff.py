# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""Growing pauses between tries."""

from __future__ import annotations

import random


class Backoff:
    """Doubles from `first` to `longest` seconds; each pause is random within its upper half, so
    that many who lost the same server do not all come back at once."""

    def __init__(self, first: float = 0.2, longest: float = 10.0) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def pause(self) -> float:
        """How long to wait before the next try."""
        pause = self._next
        self._next = min(self._longest, 2 * pause)
        return pause * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """After a success."""
        self._next = self._first
