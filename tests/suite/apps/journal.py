# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""The conference, and a line in the file JOURNAL for each handler that is called."""

import asyncio
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "apps" / "conference"))

from app_sdk import Config
from conference import APP_ID, APP_NAME, BridgeApplication

PAUSE = float(os.environ.get("JOURNAL_PAUSE", "0"))


class Journal(BridgeApplication):
    def write(self, handler, context):
        event = context.event
        line = {
            "handler": handler,
            "call": context.call_id,
            "message": event.message_id,
            "copy": self.copy_id,
        }
        with open(os.environ["JOURNAL"], "a") as journal:
            journal.write(json.dumps(line) + "\n")

    async def on_start(self, context):
        self.write("on_start", context)
        # So that a kill falls into handlers that run.
        await asyncio.sleep(PAUSE)
        await super().on_start(context)
        if context.extension == "8001":
            raise RuntimeError("an app's own fault")

    async def on_up(self, context):
        self.write("on_up", context)
        await super().on_up(context)

    async def on_takeover(self, context):
        self.write("on_takeover", context)

    async def on_end(self, context):
        self.write("on_end", context)


Journal(Config(), APP_ID, APP_NAME).launch()
