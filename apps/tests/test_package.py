# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
"""What comes with the package, and what must stay as it is."""

import hashlib
import importlib.util
import re
import zipfile
from dataclasses import fields
from pathlib import Path

from hatchling.build import build_wheel

from app_sdk import Application, Config
from app_sdk.actions import Actions
from app_sdk.handlers import Handlers

APPS = Path(__file__).parent.parent


def load(name):
    spec = importlib.util.spec_from_file_location(name, APPS / name / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_conference_is_the_program_that_was_given():
    given = "3ca3793413113b683acc1bee07a5b9ccd9051a5e2d5827f2425bfd33ffce7b7d"
    program = (APPS / "conference" / "conference.py").read_bytes()
    assert hashlib.sha256(program).hexdigest() == given


def test_the_examples_are_apps():
    config = Config(environ={})
    conference = load("conference")
    app = conference.BridgeApplication(config, conference.APP_ID, conference.APP_NAME)
    assert isinstance(app, Application)
    other = load("announcement").Announcement(config, "announcement", "announcement")
    assert other.copy_id.startswith("announcement-app-")
    assert other.copy_id != load("announcement").Announcement(config, "a", "a").copy_id


def test_the_wheel_has_the_package_and_its_types(tmp_path, monkeypatch):
    monkeypatch.chdir(APPS)
    wheel = zipfile.ZipFile(tmp_path / build_wheel(str(tmp_path)))
    names = set(wheel.namelist())
    modules = {f"app_sdk/{path.name}" for path in (APPS / "app_sdk").iterdir() if path.is_file()}
    assert "app_sdk/py.typed" in names
    assert modules <= names
    assert not any(name.startswith(("tests", "conference")) for name in names)


def test_the_reference_names_every_option_handler_and_action():
    reference = (APPS.parent / "docs" / "apps.md").read_text()
    config = Config(environ={})
    for section in (config.api, config.amqp, config.consul, config.app):
        for option in fields(section):
            assert f"`{option.name}`" in reference, option.name
    public = [name for name in (*vars(Handlers), *vars(Actions)) if not name.startswith("_")]
    assert len(public) > 30
    for name in public:
        assert re.search(rf"`(app_sdk\.)?{name}\b", reference), name
