# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""Which copy should have which partition."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

#: Into how many parts an app's calls are divided, and so how many copies can share them. All copies
#: of all versions must agree on it.
PARTITIONS = 16


def owners(copies: Iterable[str], partitions: int = PARTITIONS) -> list[str]:
    """The copy of each partition, as even as can be.

    Every copy computes the same from the same list; when one comes or goes, few of the others'
    partitions move (rendezvous hashing with a bound on each copy's share).
    """
    rest = {copy: 0 for copy in sorted(set(copies))}
    if not rest:
        return []
    share = -(-partitions // len(rest))
    chosen: list[str] = []
    for partition in range(partitions):
        ranked = sorted(rest, key=lambda copy: _score(copy, partition), reverse=True)
        best = next(copy for copy in ranked if rest[copy] < share)
        rest[best] += 1
        chosen.append(best)
    return chosen


def _score(copy: str, partition: int) -> bytes:
    return hashlib.blake2b(f"{partition}/{copy}".encode(), digest_size=8).digest()
