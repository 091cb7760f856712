// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The one build script of the workspace: the root package gets Asterisk's declarations, each
//! module its C half, both from the headers that are installed.
//!
//! `ASTERISK_INCLUDE_DIR` names a folder with `asterisk.h` and `asterisk/`; default `/usr/include`.
//! `ASTERISK_VERSION` names the version they are of; default: that of the Debian package.

use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SHIM: [&str; 2] = ["shim.c", "thread_exit.c"];

/// Everything the wrappers use; the same list serves 16.3 to master.
const FUNCTIONS: &[&str] = &[
    "ast_active_channels",
    "ast_ari_.*",
    "ast_channel_get_by_name",
    "ast_channel_get_by_name",
    "ast_channel_dial_type",
    "ast_channel_dtmf_end_type",
    "ast_channel_hangup_request_type",
    "ast_channel_hold_type",
    "ast_channel_talking_start",
    "ast_channel_talking_stop",
    "ast_channel_topic_all",
    "ast_channel_unhold_type",
    "ast_channel_varset_type",
    "ast_cli",
    "ast_cli_unregister",
    "__ast_cli_register",
    "ast_category_browse",
    "ast_config_destroy",
    "ast_consul_.*",
    "ast_db_del",
    "ast_db_get_allocated",
    "ast_db_put",
    "ast_variable_browse",
    "ast_eid_to_str",
    "ast_endpoint_find_by_id",
    "ast_get_version",
    "ast_get_version_num",
    "ast_hook_send_action",
    "ast_json_copy",
    "ast_json_dump_string_format",
    "ast_json_free",
    "ast_json_integer_get",
    "ast_json_load_string",
    "ast_json_object_get",
    "ast_json_object_iter",
    "ast_json_object_iter_key",
    "ast_json_object_iter_next",
    "ast_json_object_iter_value",
    "ast_json_object_set",
    "ast_json_array_size",
    "ast_json_array_get",
    "ast_json_ref",
    "ast_json_string_create",
    "ast_json_string_get",
    "ast_json_typeof",
    "ast_json_unref",
    "ast_localtime",
    "ast_log",
    "__ast_manager_event_multichan",
    "ast_manager_get_topic",
    "ast_manager_register2",
    "ast_manager_register_hook",
    "ast_manager_unregister",
    "ast_manager_unregister_hook",
    "astman_append",
    "astman_get_header",
    "astman_send_error",
    "ast_multi_channel_blob_get_channel",
    "ast_multi_channel_blob_get_json",
    "ast_multi_user_event_type",
    "ast_register_atexit",
    "ast_unregister_atexit",
    "ast_register_thread",
    "ast_rtp_rtcp_received_type",
    "ast_rtp_rtcp_sent_type",
    "ast_shutting_down",
    "ast_state2str",
    "ast_stasis_amqp_.*",
    "ast_strftime",
    "ast_subscribe_to_stasis",
    "ast_taskprocessor_alert_get",
    "ast_unregister_thread",
    "ast_unsubscribe_from_stasis",
    "stasis_app_bridge_find_by_id",
    "stasis_app_bridge_find_by_id",
    "stasis_app_event_allowed",
    "stasis_app_event_filter_set",
    "stasis_app_get_by_name",
    "stasis_app_register",
    "stasis_app_subscribe",
    "stasis_app_to_json",
    "stasis_app_unregister",
    "stasis_app_unsubscribe",
    "stasis_message_data",
    "stasis_message_timestamp",
    "stasis_message_to_ami",
    "stasis_message_to_json",
    "stasis_message_type",
    "stasis_subscription_accept_formatters",
    "stasis_subscription_final_message",
    "stasis_subscription_set_congestion_limits",
    "stasis_unsubscribe_and_join",
    "shim_.*",
];
const TYPES: &[&str] = &[
    "ast_ari_response",
    "ast_cli_args",
    "ast_channel_blob",
    "ast_channel_snapshot.*",
    "ast_cli_command",
    "ast_cli_entry",
    "ast_consul_.*",
    "ast_eid",
    "ast_http_method",
    "ast_json_encoding_format",
    "ast_manager_event_blob",
    "ast_stasis_amqp_.*",
    "ast_var_t",
    "ast_variable",
    "manager_custom_hook",
    "message",
    "shim_config_status",
    "stasis_app_subscribe_res",
    "stasis_rest_handlers",
    "stasis_subscription_message_formatters",
];
const VARS: &[&str] = &[
    "__LOG_.*",
    "AST_CONSUL_.*",
    "AST_STASIS_AMQP_.*",
    "ast_config_AST_CONFIG_DIR",
    "ast_eid_default",
    "AST_MAX_CMD_LEN",
    "EVENT_FLAG_REPORTING",
    "EVENT_FLAG_SYSTEM",
];

/// What `src/snapshot.rs` reads: structures, and of each the fields with their types. Snapshots have
/// been so since 20.11, 21.6 and 22.1; of others nothing is read, and events cost more.
const SNAPSHOTS: &[(&str, &[(&str, &str)])] = &[
    (
        "ast_channel_snapshot",
        &[
            ("base", "*mut ast_channel_snapshot_base"),
            ("caller", "*mut ast_channel_snapshot_caller"),
            ("connected", "*mut ast_channel_snapshot_connected"),
            ("dialplan", "*mut ast_channel_snapshot_dialplan"),
            ("state", "ast_channel_state"),
            ("ari_vars", "*mut varshead"),
        ],
    ),
    (
        "ast_channel_snapshot_base",
        &[
            ("name", "ast_string_field"),
            ("uniqueid", "ast_string_field"),
            ("accountcode", "ast_string_field"),
            ("language", "ast_string_field"),
            ("tenantid", "ast_string_field"),
            ("protocol_id", "ast_string_field"),
            ("creationtime", "timeval"),
        ],
    ),
    (
        "ast_channel_snapshot_caller",
        &[
            ("name", "ast_string_field"),
            ("number", "ast_string_field"),
            ("rdnis", "ast_string_field"),
        ],
    ),
    (
        "ast_channel_snapshot_connected",
        &[
            ("number", "*mut ::std::os::raw::c_char"),
            ("name", "__IncompleteArrayField<::std::os::raw::c_char>"),
        ],
    ),
    (
        "ast_channel_snapshot_dialplan",
        &[
            ("appl", "ast_string_field"),
            ("data", "ast_string_field"),
            ("context", "ast_string_field"),
            ("exten", "ast_string_field"),
            ("priority", "::std::os::raw::c_int"),
        ],
    ),
    ("varshead", &[("first", "*mut ast_var_t")]),
    (
        "ast_var_t",
        &[
            ("value", "*mut ::std::os::raw::c_char"),
            ("name", "__IncompleteArrayField<::std::os::raw::c_char>"),
        ],
    ),
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line for the operator; cargo shows what a failing script prints.
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    match env::var("CARGO_PKG_NAME")?.as_str() {
        "asterisk" => bindings(&root),
        "constellation-instructions" => stand_in(&root),
        module => c_half(&root, module),
    }
}

/// A folder that has Asterisk's headers and nothing else: next to a foreign libc's headers the
/// compiler would mix the two.
fn headers() -> Result<PathBuf> {
    println!("cargo::rerun-if-env-changed=ASTERISK_INCLUDE_DIR");
    let installed = env::var_os("ASTERISK_INCLUDE_DIR").unwrap_or_else(|| "/usr/include".into());
    let installed = PathBuf::from(installed);
    println!("cargo::rerun-if-changed={}", installed.join("asterisk.h").display());
    if !installed.join("asterisk/module.h").exists() {
        return Err(format!(
            "no Asterisk headers in {}: install the package asterisk-dev, or name their folder in \
             ASTERISK_INCLUDE_DIR",
            installed.display()
        )
        .into());
    }
    let only = PathBuf::from(env::var("OUT_DIR")?).join("include");
    fs::create_dir_all(&only)?;
    for name in ["asterisk.h", "asterisk"] {
        let link = only.join(name);
        let _ = fs::remove_file(&link); // a link of an earlier run, which may name other headers
        symlink(fs::canonicalize(installed.join(name))?, &link)?;
    }
    Ok(only)
}

/// The version the headers are of. They carry no such constant and AST_BUILDOPT_SUM is the same
/// for 16 and 22, so the package is asked.
fn version() -> Result<String> {
    println!("cargo::rerun-if-env-changed=ASTERISK_VERSION");
    let version = match env::var("ASTERISK_VERSION") {
        Ok(version) => version,
        Err(_) => package_version().ok_or(
            "cannot tell which Asterisk the headers are of: the package asterisk-dev is not \
             installed; name the version in ASTERISK_VERSION, as in ASTERISK_VERSION=22.10.1",
        )?,
    };
    let major = version.split('.').next().unwrap_or_default();
    if major.parse::<u32>().is_err() {
        return Err(format!("ASTERISK_VERSION '{version}' does not begin with a number").into());
    }
    Ok(version)
}

fn package_version() -> Option<String> {
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${source:Upstream-Version}", "asterisk-dev"])
        .output()
        .ok()?;
    let version = String::from_utf8(query.stdout).ok()?;
    let version = version.split(['~', '+', '-']).next()?.trim().to_owned();
    (query.status.success() && !version.is_empty()).then_some(version)
}

fn bindings(root: &Path) -> Result<()> {
    let headers = headers()?;
    let version = version()?;
    println!("cargo::rustc-env=ASTERISK_BUILT_FOR={version}");
    println!("cargo::rerun-if-changed=include");
    println!("cargo::rerun-if-changed=src/shim/shim.h");

    let mut bindgen = bindgen::Builder::default()
        .header(root.join("include/wrapper.h").display().to_string())
        .clang_arg(format!("-I{}", headers.display()))
        // utils.h asks for blocks from any clang, even for a typedef.
        .clang_args(["-std=gnu11", "-D_GNU_SOURCE", "-DBINDGEN", "-fblocks"])
        .clang_args(["-DAST_MODULE=\"asterisk\"", "-DAST_MODULE_SELF_SYM=asterisk_self"])
        .opaque_type("ast_bridge.*")
        .opaque_type("ast_channel")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .layout_tests(true)
        .generate_comments(false)
        .formatter(bindgen::Formatter::None);
    for name in FUNCTIONS {
        bindgen = bindgen.allowlist_function(name);
    }
    for name in TYPES {
        bindgen = bindgen.allowlist_type(name);
    }
    for name in VARS {
        bindgen = bindgen.allowlist_var(name);
    }
    let out = PathBuf::from(env::var("OUT_DIR")?).join("asterisk.rs");
    let bindings = bindgen
        .generate()
        .map_err(|error| format!("Asterisk's headers could not be read: {error}"))?
        .to_string();
    println!("cargo::rustc-check-cfg=cfg(known_snapshots)");
    if has_known_snapshots(&bindings) {
        println!("cargo::rustc-cfg=known_snapshots");
    }
    fs::write(out, bindings)?;
    Ok(())
}

fn has_known_snapshots(bindings: &str) -> bool {
    // How the text is spaced is the generator's business.
    let without_blanks = |text: &str| text.split_whitespace().collect::<String>();
    let bindings = without_blanks(bindings);
    SNAPSHOTS.iter().all(|(name, fields)| {
        let body = bindings
            .split_once(&format!("pubstruct{name}{{"))
            .and_then(|(_, rest)| rest.split_once('}'))
            .map(|(body, _)| body);
        fields.iter().all(|(field, kind)| {
            let field = format!("pub{field}:{},", without_blanks(kind));
            body.is_some_and(|body| body.contains(&field))
        })
    })
}

/// Compiles `module.c` and the shim as `module`, and links them into its cdylib only: a unit test
/// has no host, so it must not have the constructor that registers with one.
fn c_half(root: &Path, module: &str) -> Result<()> {
    let headers = headers()?;
    let top = top(root)?;
    let shim = top.join("src/shim");
    println!("cargo::rerun-if-changed={}", shim.display());
    println!("cargo::rerun-if-changed=module.c");

    let mut compiler = cc::Build::new();
    compiler
        .cargo_metadata(false)
        .extra_warnings(false) // the host's own headers have some
        .std("gnu11")
        .define("_GNU_SOURCE", None)
        .define("AST_MODULE", format!("\"{module}\"").as_str())
        .define("AST_MODULE_SELF_SYM", format!("__internal_{module}_self").as_str())
        .include(&headers)
        .include(&shim)
        .file(root.join("module.c"));
    for file in SHIM {
        compiler.file(shim.join(file));
    }
    compiler.try_compile("module").map_err(|error| {
        format!("the C half of {module} does not compile (is the package gcc installed?): {error}")
    })?;

    let archive = PathBuf::from(env::var("OUT_DIR")?).join("libmodule.a");
    for argument in [
        "-Wl,--whole-archive".to_owned(), // nothing refers to the constructor in module.c
        archive.display().to_string(),
        "-Wl,--no-whole-archive".to_owned(),
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
    Ok(())
}

/// Compiles `host.c`, which stands for the host, into the programs of a package.
fn stand_in(root: &Path) -> Result<()> {
    let (headers, version) = (headers()?, version()?);
    println!("cargo::rerun-if-changed=host.c");
    cc::Build::new()
        .extra_warnings(false) // the host's own headers have some
        .std("gnu11")
        .define("_GNU_SOURCE", None)
        .define("AST_MODULE", "\"host\"")
        .define("AST_MODULE_SELF_SYM", "__internal_host_self")
        .define("HOST_VERSION", format!("\"{version}\"").as_str())
        .include(&headers)
        .file(root.join("host.c"))
        .try_compile("host")
        .map_err(|error| format!("host.c does not compile: {error}").into())
}

/// The folder of the root package, from a module's.
fn top(module: &Path) -> Result<PathBuf> {
    module
        .ancestors()
        .find(|folder| folder.join("src/shim/shim.h").exists())
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("src/shim is not above {}", module.display()).into())
}
