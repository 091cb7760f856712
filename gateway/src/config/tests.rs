// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Whole files, good and bad.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$4Xv6CsF+pTBmjr2iZcF7Yl7C4nkQyzZTsS\
                    HtJw0hqyE";

pub(crate) fn small_config() -> Config {
    with(&small(), &[]).unwrap()
}

fn small() -> String {
    format!(
        "[nodes]\nuser = \"ari\"\npassword = \"hidden\"\n\
         [[user]]\nname = \"app\"\npassword_hash = \"{HASH}\"\n"
    )
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    read("gateway.toml", text, variables).map_err(|error| error.to_string())
}

#[test]
fn a_small_file_has_all_defaults() {
    let config = with(&small(), &[]).unwrap();
    assert_eq!(config.http.listen.port(), 8088);
    assert_eq!(config.consul.service, "asterisk");
    assert_eq!(config.consul.origin.port, 8500);
    assert_eq!(config.nodes.placement, Placement::LeastLoaded);
    assert_eq!(config.limits.body_bytes, 65536);
    assert!(config.log.audit);
    let user = config.users.first().unwrap();
    assert!(!user.is_read_only && user.apps.is_none() && user.verbs.is_none());
}

#[test]
fn the_sample_says_the_defaults() {
    let sample = include_str!("../../gateway.toml.sample");
    let told: String = sample
        .lines()
        .map(|line| line.strip_prefix("#= ").unwrap_or(line).to_owned() + "\n")
        .collect();
    let told = told.replace("password_file = \"/etc", "password = \"/etc");
    let told = with(&told, &[]).unwrap();
    let mut least = with(&small(), &[]).unwrap();
    least.users.clone_from(&told.users);
    least.nodes.user.clone_from(&told.nodes.user);
    least.nodes.password.clone_from(&told.nodes.password);
    assert_eq!(format!("{told:?}"), format!("{least:?}"));
}

#[test]
fn the_environment_goes_before_the_file() {
    let variables = [
        ("GATEWAY_NODES_PASSWORD", "other"),
        ("GATEWAY_HTTP_LISTEN", "127.0.0.1:9"),
        ("GATEWAY_LOG_AUDIT", "no"),
        ("GATEWAY_LIMITS_BODY_BYTES", "1m"),
        ("GATEWAY_LIMITS_CONNECTIONS", "7"),
        ("CONSUL_HTTP_ADDR", "consul:1"),
        ("CONSUL_HTTP_TOKEN", "t"),
        ("PATH", "/bin"),
        ("GATEWAY_SERVICE_HOST", "10.0.0.1"),
    ];
    let config = with(&small(), &variables).unwrap();
    assert_eq!(config.nodes.password.reveal(), "other");
    assert_eq!(config.http.listen.port(), 9);
    assert_eq!((config.limits.body_bytes, config.limits.connections), (1 << 20, 7));
    assert!(!config.log.audit);
    assert_eq!(config.consul.origin.host, "consul");
    assert_eq!(config.consul.token.unwrap().reveal(), "t");
}

#[test]
fn everything_wrong_is_said_at_once_with_its_place() {
    let text = "[http]\nlisten = \"here\"\nlissten = 1\ntls_key_file = \"/nowhere\"\n\
                [limts]\n[limits]\nconnections = 0\nbody_bytes = \"64q\"\nidle = 5\n\
                [consul]\naddress = \"ftp://x\"\nwait = \"1h\"\n\
                [nodes]\nuser = 5\nplacement = \"least_load\"\n\
                [[user]]\nname = \"a:b\"\n\
                [[user]]\nname = \"c\"\npassword_hash = \"plain-secret\"\nverbs = [\"PATCH\"]\n\
                apps = [\"a*b\"]\ntoken_hash = \"sha256:12\"\nreadonly = true\n";
    let error = with(text, &[("GATEWAY_HTTP_LISTN", "x")]).unwrap_err();
    for wanted in [
        "gateway.toml: [http]: listen: \"here\" is no address with a port (\"0.0.0.0:8088\")",
        "gateway.toml: [http]: lissten: unknown option (did you mean listen?)",
        "[http]: tls_key_file: /nowhere cannot be read",
        "tls_key_file: is given without tls_cert_file",
        "gateway.toml: [limts]: unknown section (did you mean limits?)",
        "[limits]: connections: must be from 1 to 1000000",
        "[limits]: body_bytes: is not a size (65536, \"64k\")",
        "[limits]: idle: is no duration",
        "[consul]: address: \"ftp://x\" is no http or https URL",
        "[consul]: wait: must be from 1000ms to 600000ms",
        "[nodes]: user: must be a text in quotes, and is of type integer",
        "[nodes]: password: is missing",
        "placement: \"least_load\" is none of least_loaded, round_robin, by_app (did you mean \
         least_loaded?)",
        "[[user]] number 1: name: must be a name, without a colon",
        "[[user]] number 1: password_hash: is missing, and so is token_hash",
        "[[user]] number 2: password_hash: is no argon2 hash",
        "verbs: \"PATCH\" is none of GET, POST, PUT, DELETE",
        "apps: \"a*b\": only the end may be *",
        "token_hash: must be sha256: and 64 hexadecimal digits",
        "readonly: unknown option (did you mean read_only?)",
        "environment: GATEWAY_HTTP_LISTN: names no option",
    ] {
        assert!(error.contains(wanted), "{wanted}\nis not in\n{error}");
    }
    assert!(!error.contains("plain-secret"), "{error}");
}

#[test]
fn secrets_are_in_no_debug_output() {
    let config = with(&small().replace("[[user", "[consul]\ntoken = \"tkn\"\n[[user"), &[]);
    let shown = format!("{:?}", config.unwrap());
    assert!(!shown.contains("hidden") && !shown.contains("tkn"), "{shown}");
}

#[test]
fn a_password_file_goes_before_the_password() {
    let file = std::env::temp_dir().join(format!("gateway-password-{}", std::process::id()));
    std::fs::write(&file, "from-file\nmore\n").unwrap();
    let text = small().replace("[[user", &format!("password_file = {:?}\n[[user", &file));
    let password = with(&text, &[]).unwrap().nodes.password;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(password.reveal(), "from-file");
    assert!(with(&text, &[]).unwrap_err().contains("password_file"));
}

#[test]
fn times_are_durations() {
    let text = small() + "[index]\nrefresh = \"5s\"\n";
    assert_eq!(with(&text, &[]).unwrap().index.refresh, Duration::from_secs(5));
    assert!(with("no toml", &[]).unwrap_err().starts_with("gateway.toml: "));
    assert!(with("", &[]).unwrap_err().contains("there is no user"));
    assert!(with("user = 5\n[nodes]\n", &[]).unwrap_err().contains("[[user]]"));
}
