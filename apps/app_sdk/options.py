# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""Readers of single values: text from the environment, or what YAML made of them."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_WORDS = {"yes": True, "true": True, "on": True, "1": True}
_WORDS |= {"no": False, "false": False, "off": False, "0": False}


def text(value: Any) -> str:
    """Any text; a number is taken as it is written."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("is no text")
    return str(value)


def name(value: Any) -> str:
    """Text that may not be empty."""
    if not text(value).strip():
        raise ValueError("is empty")
    return text(value)


def flag(value: Any) -> bool:
    """yes or no, in YAML's and in the shell's words."""
    word = value if isinstance(value, bool) else _WORDS.get(text(value).strip().lower())
    if word is None:
        raise ValueError(f"is {value!r}, not yes or no")
    return word


def whole(low: int, high: int) -> Any:
    """A reader of whole numbers from `low` to `high`."""

    def read(value: Any) -> int:
        try:
            number = int(text(value))
        except ValueError:
            raise ValueError(f"is {value!r}, not a whole number") from None
        if not low <= number <= high:
            raise ValueError(f"is {number}, not {low} to {high}")
        return number

    return read


def duration(low: float, high: float) -> Any:
    """A reader of times such as 250ms, 5s, 2m, in seconds."""

    def read(value: Any) -> float:
        found = _DURATION.fullmatch(text(value).strip())
        if found is None:
            raise ValueError(f"is {value!r}, not a time such as 250ms, 5s or 2m")
        seconds = float(found[1]) * _UNITS[found[2] or "s"]
        if not low <= seconds <= high:
            raise ValueError(f"is {value}, not {low:g}s to {high:g}s")
        return seconds

    return read


def one_of(*words: str) -> Any:
    """A reader of one of some words."""

    def read(value: Any) -> str:
        word = text(value).strip().lower()
        if word not in words:
            raise ValueError(f"is {value!r}, not {' or '.join(words)}")
        return word

    return read


def url(*schemes: str) -> Any:
    """A reader of addresses. What is wrong is told without the address: it may hold a password."""

    def read(value: Any) -> str:
        address = text(value).strip()
        try:
            parts = urlsplit(address)
            _ = parts.port
        except ValueError as error:
            raise ValueError(f"is no address: {error}") from None
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"is no address that begins with {'://, '.join(schemes)}://")
        return address

    return read


def file(value: Any) -> str:
    """The path of a file that can be read; empty for none."""
    path = text(value)
    if path:
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise ValueError(f"names {path}: {error.strerror}") from None
    return path


def first_line(path: str) -> str:
    """What a file with a secret holds. OSError, with nothing of it, when that can't be read."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise OSError(errno.EILSEQ, "is not UTF-8", path) from None
    return lines[0].strip() if lines else ""
