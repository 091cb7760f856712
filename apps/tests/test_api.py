# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
import asyncio
import contextlib

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from app_sdk.actions import Actions, handling
from app_sdk.api import Api
from app_sdk.config import Config
from app_sdk.context import Context
from app_sdk.errors import ApiError, Conflict, NotFound, Uncertain
from app_sdk.event import Event

from .waiting import until


class Ari:
    """Answers in turn with what it is told to, and keeps what it was asked."""

    def __init__(self):
        self.answers = []
        self.asked = []
        self.headers = []

    async def answer(self, request):
        self.asked.append(f"{request.method} {request.path_qs}")
        self.headers.append(request.headers)
        answer = self.answers.pop(0) if self.answers else {}
        if answer == "silence":
            request.transport.close()
            await asyncio.sleep(0)
            raise ConnectionResetError
        if isinstance(answer, tuple):
            status, message = answer
            return web.json_response({"message": message}, status=status)
        if isinstance(answer, int):
            return web.json_response({"message": f"because of {answer}"}, status=answer)
        return web.json_response(answer)


@contextlib.asynccontextmanager
async def running(**settings):
    ari = Ari()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", ari.answer)
    async with TestServer(app) as server:
        environ = {
            "API_ENDPOINT": f"http://127.0.0.1:{server.port}",
            "API_USERNAME": "user",
            "API_PASSWORD": "päss",
            "API_TIMEOUT": "1s",
            **settings,
        }
        api = Api(Config(environ=environ).api)
        await api.open()
        try:
            yield ari, api
        finally:
            await api.close()


async def test_a_token_is_shown_instead_of_a_password_and_its_file_is_read_again(tmp_path):
    file = tmp_path / "token"
    for token in ("first", "second"):
        file.write_text(f"{token}\n", encoding="utf-8")
        async with running(API_TOKEN_FILE=str(file)) as (ari, api):
            await api.request("GET", "/channels")
            file.write_text("renewed\n", encoding="utf-8")
            await api.request("GET", "/channels")
            shown = [headers["Authorization"] for headers in ari.headers]
            assert shown == [f"Bearer {token}", "Bearer renewed"]
    async with running(API_TOKEN="of-the-environment") as (ari, api):
        await api.request("GET", "/channels")
        assert ari.headers[0]["Authorization"] == "Bearer of-the-environment"
        assert "of-the-environment" not in repr(Config(environ={"API_TOKEN": "of-the-environment"}))


async def test_a_secret_that_is_away_for_a_moment_is_waited_for(tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n", encoding="utf-8")
    async with running(API_TOKEN_FILE=str(file)) as (ari, api):
        for content in (None, b"\xff"):
            file.unlink() if content is None else file.write_bytes(content)
            request = asyncio.create_task(api.request("POST", "/x"))
            await until(lambda: api.trouble is not None)
            assert str(file) in api.trouble
            file.write_text("second\n", encoding="utf-8")
            await request
            assert api.trouble is None
        file.unlink()
        with pytest.raises(ApiError, match="No such file"):
            await api.request("GET", "/x")
        assert [headers["Authorization"] for headers in ari.headers] == ["Bearer second"] * 2


async def test_a_request_has_login_node_and_encoded_parameters():
    async with running() as (ari, api):
        ari.answers = [{"a": 1}]
        params = {"media": "sound:a b&c+d", "beep": False, "lang": None, "x": 5}
        assert await api.request("POST", "/channels/a%2Fb/play", params, node="n") == {"a": 1}
        asked = "POST /ari/channels/a%2Fb/play?media=sound:a+b%26c%2Bd&beep=false&x=5"
        assert ari.asked == [asked]
        assert ari.headers[0]["X-Asterisk-ID"] == "n"
        assert ari.headers[0]["Authorization"] == "Basic dXNlcjpww6Rzcw=="


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, NotFound), (409, Conflict), (412, Conflict), (403, ApiError), (500, ApiError)],
)
async def test_what_is_refused_is_not_asked_again(status, error):
    async with running() as (ari, api):
        ari.answers = [status]
        with pytest.raises(error, match=f"GET /x: {status}, because of {status}") as raised:
            await api.request("GET", "/x")
        assert type(raised.value) is error
        assert len(ari.asked) == 1


async def test_what_was_not_carried_out_is_sent_again():
    async with running() as (ari, api):
        ari.answers = [503, 503, {"done": True}]
        assert await api.request("POST", "/x") == {"done": True}


async def test_what_may_have_been_is_sent_again_only_where_that_does_no_harm():
    async with running() as (ari, api):
        for unsure in (504, "silence"):
            ari.answers = [unsure, {}]
            await api.request("DELETE", "/x")
            ari.answers = [unsure, {}]
            await api.request("POST", "/x", repeatable=True)
            ari.answers = [unsure]
            with pytest.raises(Uncertain):
                await api.request("POST", "/x")
            assert ari.answers == []


async def test_what_was_made_already_is_not_made_again():
    async with running() as (ari, api):
        for first in (409, 504, "silence"):
            ari.answers = [first, {"id": "p"}]
            assert await api.create("/x/play", {"playbackId": "p"}, "/playbacks/p") == {"id": "p"}
            ari.answers = [first, 404]
            with pytest.raises((Conflict, Uncertain)):
                await api.create("/x/play", {"playbackId": "p"}, "/playbacks/p")
        assert ari.asked[1] == "GET /ari/playbacks/p"


async def test_nobody_at_the_endpoint(caplog):
    endpoint = f"http://127.0.0.1:{unused_port()}"
    async with running(API_ENDPOINT=endpoint, API_TIMEOUT="300ms") as (_, api):
        for _ in range(2):
            with pytest.raises(ApiError, match="GET /x: "):
                await api.request("GET", "/x")
        assert api.trouble
        # Told once, not at each try.
        assert caplog.text.count("does not answer") == 1


class Acting(Actions):
    def __init__(self, api):
        self.api = api
        self.app_name = "conf"


async def made(api, ari, *, message):
    """What a handler of an event makes: the ids that it asked for."""
    ari.asked.clear()
    acting, context = Acting(api), Context("1.1", "n", {})
    if message is not None:
        handling(Event("StasisStart", {}, "n", message))
    await acting.play_media(context, ["sound:a", "sound:b"])
    leg = await acting.dial(context, "PJSIP/alice", variables={"A": "b"})
    await acting.record(context)
    assert context.legs == {leg.channel_id: leg}
    assert leg.channel_id.startswith("1.1~")
    return list(ari.asked)


async def test_an_event_that_is_handled_again_makes_the_same():
    async with running() as (ari, api):
        first = await asyncio.create_task(made(api, ari, message="n/1/1"))
        assert await asyncio.create_task(made(api, ari, message="n/1/1")) == first
        assert not set(first) & set(await asyncio.create_task(made(api, ari, message="n/1/2")))
        outside = await asyncio.create_task(made(api, ari, message=None))
        assert not set(outside) & set(await asyncio.create_task(made(api, ari, message=None)))


async def test_what_is_gone_needs_no_end():
    async with running() as (ari, api):
        acting, context = Acting(api), Context("1.1", "n", {})
        for action in (
            acting.hangup(context, "busy"),
            acting.stop_playback(context, "p"),
            acting.stop_recording(context, "r"),
            acting.destroy_bridge(context, "b"),
        ):
            ari.answers = [404]
            await action
        ari.answers = [404]
        with pytest.raises(NotFound):
            await acting.answer(context)


async def test_a_bridge_is_made_where_there_is_none():
    async with running() as (ari, api):
        acting, context = Acting(api), Context("1.1", "n", {})
        ari.answers = [{"id": "b"}]
        assert await acting.get_or_create_bridge(context, "b") == {"id": "b"}
        ari.answers = [404, 409, {"id": "b", "channels": []}]
        assert (await acting.get_or_create_bridge(context, "b"))["id"] == "b"
        assert ari.asked[2] == "POST /ari/bridges/b?type=mixing&name=b&originator=1.1"


async def test_a_call_that_has_ended_is_not_found_for_a_bridge_either():
    async with running() as (ari, api):
        acting, call = Acting(api), Context("1.1", "n", {})
        ari.answers = [(400, "Channel not found"), (400, "Channel not in Stasis application")]
        with pytest.raises(NotFound):
            await acting.bridge_add_channel(call, "conf")
        with pytest.raises(ApiError) as refused:
            await acting.bridge_add_channel(call, "conf")
        assert not isinstance(refused.value, NotFound)


async def test_a_variable_that_is_not_set_is_empty():
    async with running() as (ari, api):
        acting, context = Acting(api), Context("1.1", "n", {})
        ari.answers = [{"value": "x"}]
        assert await acting.get_variable(context, "V") == "x"

        for text, is_raised in (("Provided variable was not found", False), ("Channel", True)):

            async def refuse(*_, text=text, **__):
                raise NotFound("GET", "/x", 404, f"404, {text}")

            api.exchange = refuse
            if is_raised:
                with pytest.raises(NotFound):
                    await acting.get_variable(context, "V")
            else:
                assert await acting.get_variable(context, "V") == ""
