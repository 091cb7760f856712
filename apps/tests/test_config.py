# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
import pytest

from app_sdk import Config, ConfigError


def refused(environ=None, path=None):
    with pytest.raises(ConfigError) as raised:
        Config(path, environ or {})
    return str(raised.value)


def test_defaults_need_nothing():
    config = Config(environ={})
    assert config.api.base == "http://127.0.0.1:8088/ari"
    assert config.amqp.address() == "amqp://guest:guest@127.0.0.1:5672/%2F"
    assert config.consul.base == "http://127.0.0.1:8500"
    assert config.amqp.trust() is None


def test_the_environment_goes_before_the_file(tmp_path):
    file = tmp_path / "app.yml"
    file.write_text("api: {endpoint: 'https://a/ari/', timeout: 500ms}\namqp:\n  port: 1234\n")
    environ = {"APP_CONFIG": str(file), "AMQP_PORT": "4321", "AMQP_TLS": "yes", "APP_HOST": ""}
    config = Config(environ=environ)
    assert config.api.base == "https://a/ari"
    assert config.api.timeout == 0.5
    assert config.amqp.port == 4321
    assert config.amqp.address().startswith("amqps://")
    assert config.amqp.trust() is not None
    assert config.app.host == "127.0.0.1"


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    file = tmp_path / "app.yml"
    file.write_text("api: {endpont: x}\namqq: {}\napp: {drain: soon}\nconsul: [1]\n")
    environ = {"AMQP_PORT": "tcp://10.0.0.1:5672", "API_ENDPOINT": "gateway:8088"}
    said = refused(environ, file)
    assert "api.endpont is unknown; is endpoint meant?" in said
    assert "section amqq is unknown; is amqp meant?" in said
    assert "app.drain is 'soon', not a time such as 250ms, 5s or 2m" in said
    assert "consul is no list of names and values" in said
    assert "AMQP_PORT is 'tcp://10.0.0.1:5672', not a whole number" in said
    assert "API_ENDPOINT is no address that begins with http://, https://" in said
    assert len(said.splitlines()) == 6


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("APP_PORT", "65536", "is 65536, not 0 to 65535"),
        ("APP_RECONCILE", "5 days", "not a time"),
        ("APP_RECONCILE", "2h", "not 0.5s to 3600s"),
        ("AMQP_QUEUE_TYPE", "stream", "not quorum or classic"),
        ("AMQP_TLS", "perhaps", "not yes or no"),
        ("AMQP_EXCHANGE", " ", "is empty"),
        ("CONSUL_TOKEN_FILE", "/nowhere", "names /nowhere: No such file or directory"),
        ("APP_CONFIG", "/nowhere", "/nowhere: No such file or directory"),
        ("API_ENDPOINT", "http://[::1", "is no address"),
    ],
)
def test_each_reader_names_the_option(variable, value, words):
    said = refused({variable: value})
    assert words in said
    assert variable in said or value in said


def test_secrets_are_shown_nowhere(tmp_path):
    broken = tmp_path / "app.yml"
    broken.write_text("api:\n  password: hush-1\n bad")
    assert "hush" not in refused(path=broken)
    assert "line 3" in refused(path=broken)
    secrets = {
        "API_PASSWORD": "hush-2",
        "AMQP_PASSWORD": "hush-3",
        "AMQP_URL": "amqp://user:hush-4@host",
        "CONSUL_TOKEN": "hush-5",
    }
    assert "hush" not in repr(Config(environ=secrets))
    assert "hush" not in refused({"AMQP_URL": "http://user:hush-6@host"})


def test_a_secret_in_a_file_is_read_when_it_is_needed(tmp_path):
    file = tmp_path / "password"
    file.write_text("old\nrest\n")
    config = Config(environ={"AMQP_PASSWORD_FILE": str(file), "AMQP_VHOST": "a/b"})
    file.write_text("n@w\n")
    assert config.amqp.address() == "amqp://guest:n%40w@127.0.0.1:5672/a%2Fb"


def test_consuls_own_variables_apply_where_nothing_else_is_said(tmp_path):
    own = {"CONSUL_HTTP_ADDR": "https://[::1]:8501/", "CONSUL_HTTP_TOKEN": "t"}
    consul = Config(environ=own).consul
    assert (consul.base, consul.secret()) == ("https://[::1]:8501", "t")
    assert Config(environ={**own, "CONSUL_TOKEN": "u"}).consul.secret() == "u"
    assert Config(environ={"CONSUL_HTTP_ADDR": "c"}).consul.base == "http://c:8500"
    file = tmp_path / "app.yml"
    file.write_text("consul: {host: other}")
    assert Config(file, own).consul.host == "other"
