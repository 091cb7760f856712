// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The gateway: one ARI address in front of a fleet of Asterisk servers.
#![forbid(unsafe_code)]

mod access;
mod ari;
mod config;
mod dispatcher;
mod fleet;
mod http;
mod index;
mod net;
mod node;
mod proxy;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing_subscriber::filter::LevelFilter;

use config::{Config, Log, LogFormat};
use http::Service;
use proxy::Gateway;

/// One ARI address in front of a fleet of Asterisk servers.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration.
    #[arg(long, global = true, default_value = "/etc/constellation/gateway.toml")]
    config: PathBuf,
    /// Only say whether the configuration can be used.
    #[arg(long, global = true)]
    check: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read a password from the standard input and print its hash.
    Hash,
    /// Make a token, and print it with its hash.
    Token,
    /// Keep Kamailio's list of destinations as Consul has the nodes.
    Dispatcher(DispatcherOptions),
}

/// What goes before the same options of section [dispatcher].
#[derive(Debug, clap::Args)]
struct DispatcherOptions {
    /// The file that Kamailio reads.
    #[arg(long)]
    list: Option<String>,
    /// Kamailio's socket for JSON-RPC.
    #[arg(long)]
    kamailio: Option<String>,
    /// What Kamailio speaks to the nodes: udp, tcp or tls.
    #[arg(long)]
    transport: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.command {
        Some(Command::Hash) => hash(),
        Some(Command::Token) => {
            let (token, hash) = access::new_token();
            say(&format!("{token}\n{hash}"))
        }
        Some(Command::Dispatcher(options)) => dispatch(&arguments, options),
        None => match load(&arguments) {
            Ok(_) if arguments.check => say_fine(&arguments),
            Ok(config) => run(config),
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Who reads it has gone when this fails.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> Result<(), String> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| error.to_string())
}

fn say_fine(arguments: &Arguments) -> Result<(), String> {
    say(&format!("{}: fine", arguments.config.display()))
}

fn hash() -> Result<(), String> {
    let mut password = String::new();
    std::io::stdin().read_line(&mut password).map_err(|error| error.to_string())?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err("the password is empty".to_owned());
    }
    say(&access::hash_password(password)?)
}

/// Also what can only be seen by trying: certificates.
fn load(arguments: &Arguments) -> Result<Config, String> {
    let config = config::load(&arguments.config).map_err(|error| error.to_string())?;
    tls(&config)?;
    for trust in [&config.consul.trust, &config.nodes.trust] {
        net::Dialer::new(trust, config.nodes.connect_timeout)?;
    }
    Ok(config)
}

fn tls(config: &Config) -> Result<Option<TlsAcceptor>, String> {
    let made = config.http.tls.as_ref().map(|(certificate, key)| {
        net::server_config(certificate, key).map(|tls| TlsAcceptor::from(Arc::new(tls)))
    });
    made.transpose()
}

fn log(log: &Log) {
    let level = LevelFilter::from_level(log.level);
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

fn dispatch(arguments: &Arguments, options: &DispatcherOptions) -> Result<(), String> {
    let given = [
        ("list", &options.list),
        ("kamailio", &options.kamailio),
        ("transport", &options.transport),
    ];
    let given: Vec<(&str, &str)> =
        given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let config = config::load_dispatcher(&arguments.config, &given);
    let config = config.map_err(|error| error.to_string())?;
    net::Dialer::new(&config.consul.trust, config.consul.timeout)?;
    if arguments.check {
        return say_fine(arguments);
    }
    log(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(dispatcher::run(config))
}

#[tokio::main]
async fn run(config: Config) -> Result<(), String> {
    log(&config.log);
    let tls = tls(&config)?;
    let address = config.http.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("[http]: listen: {address}: {error}"))?;
    let dialer = net::Dialer::new(&config.nodes.trust, config.nodes.connect_timeout)?;
    let fleet = fleet::Watch::start(config.consul.clone())?;
    let gateway = Arc::new(Gateway::new(config, fleet));
    let (is_ready, ready) = watch::channel(false);
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(proxy::refresh(Arc::clone(&gateway), dialer, is_ready));
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate()).map_err(|error| error.to_string())?,
        signal(SignalKind::interrupt()).map_err(|error| error.to_string())?,
    );
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!("serving ARI at {scheme}://{address}/ari");
    let serving = tokio::spawn(http::serve(listener, tls, Service { gateway, ready, stopping }));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    // The server holds the other end.
    let _ = stop.send(true);
    match serving.await {
        Ok(0) => tracing::info!("stopped"),
        Ok(cut) => tracing::warn!("stopped; {cut} connections were cut"),
        Err(error) => return Err(error.to_string()),
    }
    Ok(())
}
