# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""What can go wrong, as an app sees it."""

from __future__ import annotations


class ConfigError(SystemExit):
    """The configuration is wrong.

    It ends a program that does not catch it with its text, which names every wrong option, on
    standard error and status 1: a trace would say nothing more.
    """


class ApiError(Exception):
    """A request to the gateway, or to Asterisk, was refused or had no answer."""

    def __init__(self, method: str, path: str, status: int | None, reason: str) -> None:
        super().__init__(f"{method} {path}: {reason}")
        self.method = method
        self.path = path
        #: The HTTP status; None where there was no answer.
        self.status = status
        self.reason = reason


class NotFound(ApiError):
    """What the request is about is not there (any more): most often a call that has ended."""


class Conflict(ApiError):
    """The request does not fit the state of what it is about, or an id is taken."""


class Uncertain(ApiError):
    """No answer came, and the request may have been carried out all the same."""
