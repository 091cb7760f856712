// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The gateway: one ARI address in front of a fleet of Asterisk servers.
#![forbid(unsafe_code)]

mod access;
mod amqp;
mod apps;
mod ari;
mod bridges;
mod config;
mod consul;
mod ends;
mod events;
mod fleet;
mod holdings;
mod http;
mod index;
mod net;
mod node;
mod peers;
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

use config::{Config, LogFormat};
use http::Service;
use proxy::Gateway;

/// One ARI address in front of a fleet of Asterisk servers.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration.
    #[arg(long, default_value = "/etc/constellation/gateway.toml")]
    config: PathBuf,
    /// Only say whether the configuration can be used.
    #[arg(long)]
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Some(Command::Hash) => hash(),
        Some(Command::Token) => {
            let (token, hash) = access::new_token();
            say(&format!("{token}\n{hash}"))
        }
        None => match load(&arguments) {
            Ok(_) if arguments.check => say(&format!("{}: fine", arguments.config.display())),
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
    let broker = config.amqp.as_ref().map(|amqp| &amqp.trust);
    for trust in [&config.consul.trust, &config.nodes.trust].into_iter().chain(broker) {
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

fn log(config: &Config) {
    let level = LevelFilter::from_level(config.log.level);
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match config.log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

#[tokio::main]
async fn run(config: Config) -> Result<(), String> {
    log(&config);
    let tls = tls(&config)?;
    let (address, drain) = (config.http.listen, config.http.drain);
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("[http]: listen: {address}: {error}"))?;
    let dialer = net::Dialer::new(&config.nodes.trust, config.nodes.connect_timeout)?;
    let fleet = fleet::Watch::start(config.consul.clone())?;
    let peers = peers::Peers::start(config.consul.clone(), &http::uuid())?;
    let hub = events::Hub::new(config.events.clone());
    let (exchange, wiring) = amqp::Exchange::new(hub.wanted());
    let broker = match config.amqp.clone() {
        Some(settings) => {
            let dialer = net::Dialer::new(&settings.trust, settings.timeout)?;
            Some((settings, dialer, wiring))
        }
        None => None,
    };
    let exchange = broker.is_some().then_some(exchange);
    let gateway = Arc::new(Gateway::new(config, fleet, peers.clone(), exchange.clone()));
    let (is_ready, ready) = watch::channel(false);
    let (stop, stopping) = watch::channel(false);
    let keeping = tokio::spawn(bridges::keep(Arc::clone(&gateway), stopping.clone()));
    tokio::spawn(proxy::refresh(Arc::clone(&gateway), dialer, is_ready));
    let (registered, is_registered) = watch::channel(Arc::default());
    let sockets = events::Sockets {
        hub: Arc::clone(&hub),
        registered: is_registered,
        stopping: stopping.clone(),
    };
    let mut consuming = None;
    if let (Some((settings, dialer, wiring)), Some(exchange)) = (broker, exchange) {
        let feed = events::Feed::new(Arc::clone(&gateway), Arc::clone(&hub));
        let (name, stopping) = (peers.name().to_owned(), stopping.clone());
        let (uses, events) = (hub.uses(), gateway.config.events.clone());
        let keeping = apps::keep(peers.clone(), events, uses, registered, stopping.clone());
        tokio::spawn(keeping);
        tokio::spawn(ends::watch(Arc::clone(&gateway)));
        tokio::spawn(ends::tell(Arc::clone(&gateway), exchange));
        consuming = Some(tokio::spawn(async move {
            let (begun, deliver) = (|| feed.begin(), |message| feed.take(&message));
            amqp::run(settings, dialer, &name, wiring, stopping, begun, deliver).await;
        }));
    }
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate()).map_err(|error| error.to_string())?,
        signal(SignalKind::interrupt()).map_err(|error| error.to_string())?,
    );
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!("serving ARI at {scheme}://{address}/ari");
    let serving =
        tokio::spawn(http::serve(listener, tls, Service { gateway, sockets, ready, stopping }));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    // The server holds the other end.
    let _ = stop.send(true);
    let served = serving.await;
    // What is being mended is not: others do.
    let _ = keeping.await;
    // Sockets are told, and say goodbye.
    let _ = tokio::time::timeout(drain, hub.empty()).await;
    if let Some(consuming) = consuming {
        // It closes what it has within its own time.
        let _ = consuming.await;
    }
    peers.close().await;
    match served {
        Ok(0) => tracing::info!("stopped"),
        Ok(cut) => tracing::warn!("stopped; {cut} connections were cut"),
        Err(error) => return Err(error.to_string()),
    }
    Ok(())
}
