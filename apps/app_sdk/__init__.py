# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""Apps for a fleet of Asterisk servers; see docs/apps.md."""

from .application import Application
from .config import Config
from .context import Channel, Context, Leg
from .errors import ApiError, ConfigError, Conflict, NotFound, Uncertain
from .event import Event

__all__ = [
    "ApiError",
    "Application",
    "Channel",
    "Config",
    "ConfigError",
    "Conflict",
    "Context",
    "Event",
    "Leg",
    "NotFound",
    "Uncertain",
]
