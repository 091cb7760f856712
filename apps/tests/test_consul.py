# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
import asyncio
import base64
import contextlib

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app_sdk.config import Config
from app_sdk.consul import Consul, ConsulError

from .waiting import until


class Agent:
    """As much of an agent as an app asks for."""

    def __init__(self):
        self.keys = {}
        self.services = {}
        self.tokens = []
        self.copies = []
        self.index = 1
        self.refuses = False

    async def answer(self, request):
        self.tokens.append(request.headers.get("X-Consul-Token"))
        if self.refuses:
            return web.Response(status=403, text="Permission denied")
        path = request.path
        if path == "/v1/txn":
            return self.transaction((await request.json())[0]["KV"])
        if path.startswith("/v1/kv/"):
            value = self.keys.get(path.removeprefix("/v1/kv/"))
            return web.Response(status=404 if value is None else 200, text=value or "")
        if path == "/v1/agent/service/register":
            service = await request.json()
            self.services[service["ID"]] = service
            return web.Response()
        if path.startswith("/v1/agent/service/deregister/"):
            self.services.pop(path.rpartition("/")[2])
            return web.Response()
        if path.startswith("/v1/health/service/"):
            return self.health(request)
        service = self.services.get(path.rpartition("/")[2])
        return web.json_response(service or {}, status=200 if service else 404)

    def transaction(self, verb):
        key = verb["Key"]
        if verb["Verb"] == "get":
            return web.json_response({}, status=200 if key in self.keys else 409)
        if verb["Verb"] == "cas" and key in self.keys:
            return web.json_response({}, status=409)
        self.keys[key] = base64.b64decode(verb["Value"]).decode()
        return web.json_response({})

    def health(self, request):
        found = [
            {"Service": {"ID": copy}, "Checks": [{"Status": "passing"}, {"Status": status}]}
            for copy, status in self.copies
        ]
        return web.json_response(found, headers={"X-Consul-Index": str(self.index)})


@contextlib.asynccontextmanager
async def running(**settings):
    agent = Agent()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", agent.answer)
    async with TestServer(app) as server:
        environ = {
            "CONSUL_PORT": str(server.port),
            "CONSUL_CHECK_INTERVAL": "500ms",
            **(settings or {"CONSUL_TOKEN": "t"}),
        }
        consul = Consul(Config(environ=environ).consul, "conf", "Conf", "copy-1")
        await consul.open()
        try:
            yield agent, consul
        finally:
            await consul.close()


async def test_key_and_service_are_kept_there():
    async with running() as (agent, consul):
        task = asyncio.create_task(consul.keep_registered("127.0.0.1", 80, lambda: True))
        await until(lambda: "copy-1" in agent.services)
        service = agent.services["copy-1"]
        assert (service["Name"], service["Port"]) == ("conf-app", 80)
        assert service["Check"]["HTTP"] == "http://127.0.0.1:80/health"
        assert service["Check"]["Status"] == "passing"
        assert agent.keys == {"applications/Conf": ""}
        # The agent was wiped.
        agent.keys, agent.services = {}, {}
        await until(lambda: agent.keys and agent.services)
        # An operator's value stays.
        agent.keys["applications/Conf"] = "7"
        agent.services = {}
        await until(lambda: agent.services)
        assert agent.keys == {"applications/Conf": "7"}
        task.cancel()
        await consul.deregister()
        assert agent.services == {}
        assert set(agent.tokens) == {"t"}


async def test_trouble_is_told_once_and_its_end(caplog):
    caplog.set_level("INFO")
    async with running() as (agent, consul):
        agent.refuses = True
        task = asyncio.create_task(consul.keep_registered("127.0.0.1", 80, lambda: False))
        await until(lambda: len(agent.tokens) > 2)
        assert consul.trouble == "PUT /v1/txn: 403, Permission denied"
        assert caplog.text.count("Permission denied") == 1
        agent.refuses = False
        await until(lambda: consul.trouble is None)
        assert "Consul answers again" in caplog.text
        assert agent.services["copy-1"]["Check"]["Status"] == "critical"
        task.cancel()


async def test_a_token_that_cannot_be_read_is_a_trouble_and_no_end(tmp_path):
    file = tmp_path / "token"
    file.write_text("of-the-file\n")
    async with running(CONSUL_TOKEN_FILE=str(file)) as (agent, consul):
        file.unlink()
        task = asyncio.create_task(consul.keep_registered("127.0.0.1", 80, lambda: True))
        await until(lambda: consul.trouble is not None)
        assert "consul.token_file" in consul.trouble and "No such file" in consul.trouble
        with pytest.raises(ConsulError, match="token_file"):
            await consul.claim(3)
        await consul.deregister()
        assert agent.tokens == []
        file.write_bytes(b"\xff\xfe")
        with pytest.raises(ConsulError, match="token_file"):
            await consul.claim(3)
        file.write_text("anew\n")
        await until(lambda: agent.services)
        assert set(agent.tokens) == {"anew"}
        task.cancel()


async def test_copies_that_are_well_are_told_at_each_change():
    async with running() as (agent, consul):
        told = []
        agent.copies = [("b", "passing"), ("c", "critical"), ("a", "warning")]
        task = asyncio.create_task(consul.watch_copies(told.append))
        await until(lambda: told)
        agent.copies, agent.index = [("b", "passing")], 2
        await until(lambda: len(told) == 2)
        assert told == [["a", "b"], ["b"]]
        task.cancel()


async def test_a_claim_says_who_was_there_before():
    async with running() as (agent, consul):
        assert await consul.claim(3) is None
        assert agent.keys == {"apps/conf/partitions/3": "copy-1"}
        assert await consul.claim(3) == "copy-1"
        agent.keys["apps/conf/partitions/3"] = "copy-2"
        assert await consul.claim(3) == "copy-2"
        agent.refuses = True
        with pytest.raises(ConsulError, match="403, Permission denied"):
            await consul.claim(3)
