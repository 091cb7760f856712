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
mod dispatcher;
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
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tracing_subscriber::filter::LevelFilter;

use config::{Config, Log, LogFormat};
use http::Service;
use net::threads::Threads;
use proxy::Gateway;

/// The longest wait for the other gateways to be told of our sockets' end.
const FAREWELL: Duration = Duration::from_secs(2);

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
    let (address, drain) = (config.http.listen, config.http.drain);
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("[http]: listen: {address}: {error}"))?;
    let dialer = net::Dialer::new(&config.nodes.trust, config.nodes.connect_timeout)?;
    let fleet = fleet::Watch::start(config.consul.clone())?;
    let peers = peers::Peers::start(config.consul.clone(), &http::uuid())?;
    let hub = events::Hub::new(config.events.clone(), peers.name());
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
    let (mut consuming, mut announcing) = (None, None);
    if let (Some((settings, dialer, wiring)), Some(exchange)) = (broker, exchange) {
        let feed = events::Feed::new(Arc::clone(&gateway), Arc::clone(&hub));
        let (name, stopping) = (peers.name().to_owned(), stopping.clone());
        let (uses, events) = (hub.uses(), gateway.config.events.clone());
        let keeping = apps::keep(peers.clone(), events, uses, registered, stopping.clone());
        tokio::spawn(keeping);
        let seen = events::seen(&peers);
        tokio::spawn(events::follow(Arc::clone(&gateway), Arc::clone(&hub), seen.clone()));
        let announced = events::announce(Arc::clone(&hub), peers.clone(), seen, stopping.clone());
        announcing = Some(tokio::spawn(announced));
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
    let threads = Threads::start().map_err(|error| format!("no thread to serve: {error}"))?;
    let service = Service { gateway, sockets, ready, stopping };
    let serving = tokio::spawn(http::serve(listener, tls, service, threads));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    let until = Instant::now() + drain + events::FAREWELL;
    hub.close();
    // The server holds the other end.
    let _ = stop.send(true);
    let served = serving.await;
    // What is being mended is not: others do.
    let _ = keeping.await;
    // Sockets send what waits for their clients, and say goodbye.
    let _ = tokio::time::timeout_at(until, hub.empty()).await;
    let served = served.map(http::Rest::cut);
    if let Some(announcing) = announcing {
        // That they have ended, and so how far they were told.
        let _ = tokio::time::timeout(FAREWELL, announcing).await;
    }
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
