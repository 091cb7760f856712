# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""What an app is told by its environment and by a file."""

from __future__ import annotations

import base64
import difflib
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import yaml

from . import options
from .errors import ConfigError

S = TypeVar("S")


def _option(default: Any, read: Callable[[Any], Any], *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"read": read})


def _trust(ca_file: str, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True)
class Api:
    """The gateway's ARI, or one Asterisk's."""

    endpoint: str = _option("http://127.0.0.1:8088", options.url("http", "https"))
    username: str = _option("", options.text)
    password: str = _option("", options.text, secret=True)
    password_file: str = _option("", options.file)
    token: str = _option("", options.text, secret=True)
    token_file: str = _option("", options.file)
    timeout: float = _option(15.0, options.duration(0.1, 600))
    ca_file: str = _option("", options.file)
    verify: bool = _option(True, options.flag)

    @property
    def base(self) -> str:
        """The endpoint with the path that ARI has."""
        bare = self.endpoint.rstrip("/")
        return bare if bare.endswith("/ari") else f"{bare}/ari"

    def authorization(self) -> str:
        """The header, as the files are now; a token goes before a password."""
        token = options.first_line(self.token_file) if self.token_file else self.token
        if token:
            return f"Bearer {token}"
        password = options.first_line(self.password_file) if self.password_file else self.password
        login = f"{self.username}:{password}".encode()
        return f"Basic {base64.b64encode(login).decode()}"

    def trust(self) -> ssl.SSLContext:
        """For https."""
        return _trust(self.ca_file, self.verify)


@dataclass(frozen=True)
class Amqp:
    """RabbitMQ, and the exchange that the nodes publish to."""

    url: str = _option("", options.url("amqp", "amqps"), secret=True)
    host: str = _option("127.0.0.1", options.name)
    port: int = _option(5672, options.whole(1, 65535))
    username: str = _option("guest", options.text)
    password: str = _option("guest", options.text, secret=True)
    password_file: str = _option("", options.file)
    vhost: str = _option("/", options.name)
    tls: bool = _option(False, options.flag)
    ca_file: str = _option("", options.file)
    verify: bool = _option(True, options.flag)
    exchange: str = _option("asterisk", options.name)
    heartbeat: float = _option(10.0, options.duration(1, 3600))
    queue_type: str = _option("quorum", options.one_of("quorum", "classic"))
    prefetch: int = _option(200, options.whole(1, 65535))
    bind: str = _option("app", options.one_of("app", "all"))

    def address(self) -> str:
        """Where to connect, with the password of now."""
        if self.url:
            return self.url
        password = options.first_line(self.password_file) if self.password_file else self.password
        login = f"{quote(self.username, safe='')}:{quote(password, safe='')}"
        scheme = "amqps" if self.tls else "amqp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{login}@{host}:{self.port}/{quote(self.vhost, safe='')}"

    def trust(self) -> ssl.SSLContext | None:
        """For amqps."""
        encrypted = self.url.startswith("amqps:") if self.url else self.tls
        return _trust(self.ca_file, self.verify) if encrypted else None


@dataclass(frozen=True)
class Consul:
    """Consul's agent, best the one on the same machine."""

    host: str = _option("127.0.0.1", options.name)
    port: int = _option(8500, options.whole(1, 65535))
    scheme: str = _option("http", options.one_of("http", "https"))
    token: str = _option("", options.text, secret=True)
    token_file: str = _option("", options.file)
    ca_file: str = _option("", options.file)
    verify: bool = _option(True, options.flag)
    app_prefix: str = _option("applications/", options.text)
    check_interval: float = _option(5.0, options.duration(0.5, 600))
    deregister_after: float = _option(60.0, options.duration(60, 86400))
    timeout: float = _option(5.0, options.duration(0.1, 600))

    @property
    def base(self) -> str:
        """The agent's address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def secret(self) -> str:
        """The token of now."""
        return options.first_line(self.token_file) if self.token_file else self.token

    def trust(self) -> ssl.SSLContext:
        """For https."""
        return _trust(self.ca_file, self.verify)


@dataclass(frozen=True)
class App:
    """This copy of the app."""

    host: str = _option("127.0.0.1", options.name)
    port: int = _option(0, options.whole(0, 65535))
    listen: str = _option("", options.text)
    handler_timeout: float = _option(60.0, options.duration(0.1, 1200))
    reconcile: float = _option(30.0, options.duration(0.5, 3600))
    node_grace: float = _option(30.0, options.duration(0, 3600))
    drain: float = _option(20.0, options.duration(0, 1200))
    log_level: str = _option("info", options.one_of("debug", "info", "warning", "error"))


_SECTIONS: dict[str, type[Api] | type[Amqp] | type[Consul] | type[App]] = {
    "api": Api,
    "amqp": Amqp,
    "consul": Consul,
    "app": App,
}


class Config:
    """All options: those of the environment go before those of the file, which go before defaults.

    The environment's have the section's name before theirs, as in `API_ENDPOINT`. `APP_CONFIG`
    names the file unless `path` does. Everything that is wrong is said at once (`ConfigError`).
    """

    api: Api
    amqp: Amqp
    consul: Consul
    app: App

    def __init__(
        self, path: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        environ = os.environ if environ is None else environ
        problems: list[str] = []
        source = str(path or environ.get("APP_CONFIG", ""))
        written = _written(source, problems) if source else {}
        environ = {**_of_consul_itself(environ, written), **environ}

        def section(kind: type[S], name: str) -> S:
            values = _given(name, source, written.get(name, {}), environ)
            return _section(kind, values, problems)

        self.api = section(Api, "api")
        self.amqp = section(Amqp, "amqp")
        self.consul = section(Consul, "consul")
        self.app = section(App, "app")
        if problems:
            raise ConfigError("\n".join(f"configuration: {problem}" for problem in problems))

    def __repr__(self) -> str:
        return f"Config({self.api}, {self.amqp}, {self.consul}, {self.app})"


def _written(path: str, problems: list[str]) -> dict[str, dict[str, Any]]:
    """The sections of the file; what is not known there is a problem."""
    try:
        read = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"{path}: {error.strerror}")
        return {}
    except UnicodeDecodeError:
        problems.append(f"{path}: is not UTF-8")
        return {}
    except yaml.MarkedYAMLError as error:
        # The mark alone: its excerpt of the file may show a password.
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        problems.append(f"{path}, line {line}: {error.problem}")
        return {}
    sections: dict[str, dict[str, Any]] = {}
    for name, values in _members(path, "the file", read, problems).items():
        if name not in _SECTIONS:
            problems.append(f"{path}: section {name} is unknown{_nearest(name, _SECTIONS)}")
            continue
        known = [option.name for option in fields(_SECTIONS[name])]
        sections[name] = _members(path, name, values, problems)
        for option in [option for option in sections[name] if option not in known]:
            del sections[name][option]
            problems.append(f"{path}: {name}.{option} is unknown{_nearest(option, known)}")
    return sections


def _members(path: str, what: str, value: Any, problems: list[str]) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, dict):
        return {str(name): member for name, member in value.items()}
    problems.append(f"{path}: {what} is no list of names and values")
    return {}


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; is {near[0]} meant?" if near else ""


def _of_consul_itself(
    environ: Mapping[str, str], written: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """What Consul's own variables say, where nothing of ours does."""
    found: dict[str, str] = {}
    ours = written.get("consul", {})
    address = environ.get("CONSUL_HTTP_ADDR", "")
    if address and not {"host", "port", "scheme"} & set(ours):
        scheme, _, rest = address.rpartition("://")
        host, _, port = rest.rstrip("/").rpartition(":")
        found["CONSUL_SCHEME"] = scheme or "http"
        found["CONSUL_HOST"] = (host or port).strip("[]")
        if host:
            found["CONSUL_PORT"] = port
    token = environ.get("CONSUL_HTTP_TOKEN", "")
    if token and not {"token", "token_file"} & set(ours) and not environ.get("CONSUL_TOKEN_FILE"):
        found["CONSUL_TOKEN"] = token
    return found


def _given(
    name: str, source: str, written: Mapping[str, Any], environ: Mapping[str, str]
) -> dict[str, tuple[str, Any]]:
    """The options of a section that are set, each with where."""
    given: dict[str, tuple[str, Any]] = {}
    for option in fields(_SECTIONS[name]):
        variable = f"{name}_{option.name}".upper()
        if environ.get(variable):
            given[option.name] = (variable, environ[variable])
        elif written.get(option.name) is not None:
            given[option.name] = (f"{source}: {name}.{option.name}", written[option.name])
    return given


def _section(kind: type[S], given: Mapping[str, tuple[str, Any]], problems: list[str]) -> S:
    values: dict[str, Any] = {}
    readers = {option.name: option.metadata["read"] for option in fields(kind)}  # type: ignore[arg-type]
    for name, (where, value) in given.items():
        try:
            values[name] = readers[name](value)
        except ValueError as error:
            problems.append(f"{where} {error}")
    return kind(**values)
