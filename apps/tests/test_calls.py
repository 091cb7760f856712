# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
import asyncio
import logging

import pytest

from app_sdk.calls import FOUND, Calls
from app_sdk.errors import NotFound
from app_sdk.event import Event
from app_sdk.handlers import Handlers

HANDLERS = [name for name in vars(Handlers) if name.startswith("on_")]


class Told(Handlers):
    """Keeps what it is told."""

    def __init__(self):
        self.told = []
        for name in HANDLERS:
            setattr(self, name, self._keeper(name))

    def _keeper(self, name):
        async def keep(context, *given):
            self.told.append((name, *given))

        return keep

    @property
    def names(self):
        return [name for name, *_ in self.told]


def channel(identity="1.1", state="Ring", app="conf", **more):
    dialplan = {"app_name": "Stasis", "app_data": f"{app},x", "exten": "8000"}
    return {"id": identity, "state": state, "dialplan": dialplan, **more}


def event(kind, *, on=None, node="n", **data):
    if on is not None:
        data["channel"] = on
    return Event(kind, data, node, f"{node}/1/{kind}")


async def play(*events, told=None, timeout=1.0, before=None):
    told = told or Told()
    calls = Calls("conf", told, timeout)
    if before:
        before(calls)
    for one in events:
        await calls.handle(one)
    return told, calls


async def test_the_life_of_a_call():
    told, calls = await play(
        event("ChannelVarset", on=channel()),
        event("StasisStart", on=channel(), args=["one", "two"]),
        event("ChannelVarset", on=channel()),
        event("ChannelStateChange", on=channel(state="Up")),
        event("ChannelDtmfReceived", on=channel(state="Up"), digit="5"),
        event("PlaybackFinished", playback={"target_uri": "channel:1.1", "state": "done"}),
        event("ChannelEnteredBridge", on=channel(state="Up"), bridge={"id": "b"}),
        event("StasisEnd", on=channel(state="Up")),
        event("ChannelDestroyed", on=channel(state="Up")),
    )
    assert told.names == [
        "on_start",
        "on_event",
        "on_up",
        "on_dtmf",
        "on_playback_finished",
        "on_bridge_enter",
        "on_end",
    ]
    assert ("on_dtmf", "5") in told.told
    assert ("on_bridge_enter", {"id": "b"}) in told.told
    assert len(calls) == 0


async def test_a_call_that_is_up_already_is_told_so_once():
    told, calls = await play(
        event("StasisStart", on=channel(state="Up"), args=["one"]),
        event("ChannelStateChange", on=channel(state="Up")),
    )
    assert told.names == ["on_start", "on_up"]
    (context,) = calls
    assert (context.args, context.extension, context.asterisk_id) == (["one"], "8000", "n")


async def test_calls_of_two_nodes_may_have_one_id():
    start = [event("StasisStart", on=channel(), node=node, args=[]) for node in ("a", "b")]
    told, calls = await play(*start, event("StasisEnd", on=channel(), node="a"))
    assert told.names == ["on_start", "on_start", "on_end"]
    assert [context.asterisk_id for context in calls] == ["b"]


async def test_what_a_handler_raises_ends_nothing(caplog):
    told = Told()

    async def fails(context, *_):
        raise RuntimeError("an app's own fault")

    async def is_gone(context, *_):
        raise NotFound("POST", "/channels/1.1/answer", 404, "404, Channel not found")

    async def is_slow(context, *_):
        await asyncio.Event().wait()

    told.on_start, told.on_up, told.on_dtmf = fails, is_gone, is_slow
    await play(
        event("StasisStart", on=channel(state="Up"), args=[]),
        event("ChannelDtmfReceived", on=channel(), digit="1"),
        event("StasisEnd", on=channel()),
        told=told,
        timeout=0.05,
    )
    assert told.names == ["on_end"]
    logged = [record.getMessage() for record in caplog.records]
    assert logged == [
        "call 1.1: on_start failed",
        "call 1.1: on_up: POST /channels/1.1/answer: 404, Channel not found",
        "call 1.1: on_dtmf took more than 0.05 s, and was cancelled",
    ]
    assert caplog.records[0].exc_info is not None


async def test_a_leg_is_told_of_through_its_call():
    leg = channel("1.1~a", state="Up")
    told, _ = await play(
        event("StasisStart", on=channel(), args=[]),
        event("Dial", peer=channel("1.1~a"), dialstatus="RINGING"),
        event("StasisStart", on=leg, args=["leg", "1.1"]),
        event("PlaybackFinished", playback={"target_uri": "channel:1.1~a"}),
        event("StasisEnd", on=leg),
        event("ChannelDestroyed", on=leg),
        # Never answered: it was in no application.
        event("ChannelDestroyed", on=channel("1.1~b")),
    )
    assert told.names == [
        "on_start",
        "on_dial",
        "on_leg_up",
        "on_playback_finished",
        "on_leg_end",
        "on_leg_end",
    ]
    assert told.told[1][2] == "RINGING"


async def test_a_call_of_another_copy_is_taken_over_by_its_next_event():
    told, calls = await play(
        # Before it was in the application, and so no sign of it.
        event("ChannelVarset", on=channel()),
        event("ChannelStateChange", on=channel(state="Up")),
        before=lambda calls: calls.adopt("n", channel()),
    )
    assert told.names == ["on_takeover", "on_up"]
    (context,) = calls
    assert context.taken_over
    assert context.args == ["x"]


async def test_a_call_of_another_copy_is_taken_over_also_if_nobody_could_be_asked_for_it():
    told, _ = await play(
        event("ChannelVarset", on=channel()),
        event("ChannelStateChange", on=channel(state="Up")),
        event("ChannelDtmfReceived", on=channel(state="Up"), digit="5"),
        event("StasisEnd", on=channel(state="Up")),
        # What comes of it behind its end is no other call.
        event("ChannelDtmfReceived", on=channel(state="Up"), digit="6"),
        event("ChannelDestroyed", on=channel("1.2", state="Up")),
    )
    assert told.names == ["on_takeover", "on_up", "on_dtmf", "on_end"]


async def test_a_call_that_was_found_first_and_then_begins_is_new():
    told, _ = await play(
        event("StasisStart", on=channel(), args=[]),
        before=lambda calls: calls.adopt("n", channel()),
    )
    assert told.names == ["on_start"]


async def test_an_end_is_told_of_once_also_of_a_call_that_was_not_known():
    told, _ = await play(event("StasisEnd", on=channel()), event("StasisEnd", on=channel()))
    assert told.names == ["on_end"]


async def test_a_call_that_comes_back_is_a_new_one():
    again = [event("StasisStart", on=channel(), args=[]), event("StasisEnd", on=channel())]
    told, _ = await play(*again, *again)
    assert told.names == ["on_start", "on_end"] * 2


async def test_a_beginning_that_was_lost_is_made_up_for_once():
    told, _ = await play(
        event(FOUND, on=channel(state="Up")),
        event("StasisStart", on=channel(), args=[]),
        event("ChannelStateChange", on=channel(state="Up")),
    )
    assert told.names == ["on_start", "on_up"]


async def test_events_of_no_call_and_of_unknown_ones():
    told, _ = await play(
        event("BridgeDestroyed", bridge={"id": "b"}),
        event("ChannelHold", on=channel("9.9", app="other")),
        event("Dial", peer=channel("9.9~a")),
    )
    assert told.names == ["on_event"]


async def test_what_is_given_up_is_forgotten_without_a_word():
    told, calls = await play(event("StasisStart", on=channel(), args=[]))
    assert len(calls) == 1
    calls.forget(event("x", on=channel()).partition)
    assert len(calls) == 0
    assert told.names == ["on_start"]


@pytest.fixture(autouse=True)
def _log(caplog):
    caplog.set_level(logging.INFO)
