# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""Which messages have been handled, so that repeats are dropped."""

from __future__ import annotations

from collections import OrderedDict


class Seen:
    """The last `capacity` ids."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ids: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, identity: object) -> bool:
        return identity in self._ids

    def add(self, identity: str) -> None:
        """Remembers one, and forgets the oldest where there are too many."""
        self._ids[identity] = None
        if len(self._ids) > self._capacity:
            self._ids.popitem(last=False)
