// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! `gateway dispatcher`: keeps Kamailio's list of destinations as Consul has the nodes.
//!
//! A change in Consul becomes another text (`roll`, `shares`), the text a file (`file`), and then
//! Kamailio is told to read it (`kamailio`). It reads the file by itself when it starts, so neither
//! has to be there before the other.

mod file;
mod kamailio;
mod roll;
mod shares;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::config::{Dispatcher, DispatcherConfig};
use crate::fleet::{Fleet, Watch};
use roll::Roll;

/// Between two tries to write the list, or to tell Kamailio of it.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two lists that Kamailio reads, at least. It has room for two: reading another frees the one
/// before the last, and a process of its that has not run for so long and still uses that one dies.
const APART: Duration = Duration::from_secs(1);

/// Why Kamailio may not yet know of a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Unwritten(String),
    #[error("Kamailio cannot be told: {0}")]
    Untold(kamailio::Fault),
}

/// Runs until it is told to end. The list stays as it is then.
pub(crate) async fn run(config: DispatcherConfig) -> Result<(), String> {
    let DispatcherConfig { dispatcher, consul, .. } = config;
    let before = file::ensure(&dispatcher.list)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let roll = Roll::new(dispatcher.transport, &before, consul.forget_after);
    let mut watch = Watch::start(consul)?;
    let desk = Desk::new(dispatcher);
    tracing::info!("keeping {}", desk.settings.list.display());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        fault = keep(&mut watch.fleet, roll, desk) => return Err(fault),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Brings each change to Kamailio, until there can be no more: the reason. A try that has begun
/// comes to its end before the next change is looked at: Kamailio may be reading the list.
async fn keep(seen: &mut watch::Receiver<Arc<Fleet>>, mut roll: Roll, mut desk: Desk) -> String {
    loop {
        tokio::select! {
            changed = seen.changed() => {
                // Its task holds the other end for as long as this one is held.
                if let Err(error) = changed {
                    return error.to_string();
                }
                let fleet = seen.borrow_and_update().clone();
                desk.take(roll.take(&fleet, Instant::now()));
            }
            () = desk.due(), if desk.text.is_some() => desk.deliver().await,
        }
    }
}

/// What is to be written, and told.
struct Desk {
    settings: Dispatcher,
    /// The list that Kamailio has not confirmed yet.
    text: Option<String>,
    fault: Option<Fault>,
    /// No try before.
    next: Instant,
}

impl Desk {
    fn new(settings: Dispatcher) -> Self {
        Self { settings, text: None, fault: None, next: Instant::now() }
    }

    fn take(&mut self, outcome: roll::Outcome) {
        for line in &outcome.told {
            tracing::warn!("{line}");
        }
        if let Some(text) = outcome.text {
            self.text = Some(text);
        }
    }

    /// Waits, so that a try does not come too soon after another.
    async fn due(&self) {
        sleep_until(self.next.into()).await;
    }

    /// One try.
    async fn deliver(&mut self) {
        let Some(text) = &self.text else { return };
        let outcome = async {
            file::write(&self.settings.list, text).map_err(Fault::Unwritten)?;
            kamailio::reload(&self.settings.kamailio).await.map_err(Fault::Untold)
        };
        let fault = outcome.await.err();
        match &fault {
            None => {
                tracing::info!("Kamailio has read the list");
                self.text = None;
            }
            Some(fault) if self.fault.as_ref() == Some(fault) => {}
            Some(fault @ Fault::Unwritten(_)) => tracing::error!("{fault}"),
            Some(fault) => tracing::warn!("{fault}; it reads the list when it starts"),
        }
        self.next = Instant::now() + if fault.is_some() { PAUSE } else { APART };
        self.fault = fault;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;
    use tokio::net::UnixDatagram;
    use tokio::time::timeout;

    use super::*;
    use crate::config::Transport;

    fn desk(folder: &std::path::Path) -> Desk {
        let settings = Dispatcher {
            list: folder.join("list"),
            kamailio: folder.join("socket"),
            transport: Transport::Udp,
        };
        Desk::new(settings)
    }

    const LONG: Duration = Duration::from_secs(20);

    fn list(text: &str) -> roll::Outcome {
        roll::Outcome { text: Some(text.to_owned()), told: Vec::new() }
    }

    #[tokio::test]
    async fn a_list_is_written_without_kamailio_and_told_when_it_is_there() {
        let folder = file::tests::folder("desk");
        let mut desk = desk(&folder);
        desk.take(list("one\n"));
        desk.deliver().await;
        assert_eq!(std::fs::read_to_string(folder.join("list")).unwrap(), "one\n");
        assert!(matches!(desk.fault, Some(Fault::Untold(_))), "{:?}", desk.fault);
        assert!(desk.text.is_some() && desk.next > Instant::now());

        let kamailio = UnixDatagram::bind(folder.join("socket")).unwrap();
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&told);
        let path = folder.join("list");
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((count, from)) = kamailio.recv_from(&mut buffer).await {
                let asked: serde_json::Value = serde_json::from_slice(&buffer[..count]).unwrap();
                seen.lock().unwrap().push(std::fs::read_to_string(&path).unwrap());
                let refused = seen.lock().unwrap().len() == 1;
                let answer = match refused {
                    true => json!({"jsonrpc": "2.0", "id": asked["id"],
                                   "error": {"code": 500, "message": "Reload Failed"}}),
                    false => json!({"jsonrpc": "2.0", "id": asked["id"], "result": "Ok."}),
                };
                let from = std::os::unix::net::SocketAddr::from(from);
                let plain = std::os::unix::net::UnixDatagram::unbound().unwrap();
                plain.send_to_addr(answer.to_string().as_bytes(), &from).unwrap();
            }
        });
        desk.take(list("two\n"));
        desk.deliver().await;
        let refused = kamailio::Fault::Refused("Reload Failed".to_owned());
        assert_eq!(desk.fault, Some(Fault::Untold(refused)));
        timeout(LONG, desk.due()).await.unwrap();
        desk.deliver().await;
        assert_eq!((&desk.fault, &desk.text), (&None, &None));
        assert_eq!(*told.lock().unwrap(), ["two\n", "two\n"]);

        // Changes that come together are one list, and it comes after a while.
        let read = Instant::now();
        desk.take(list("three\n"));
        assert!(timeout(APART / 2, desk.due()).await.is_err());
        desk.take(list("four\n"));
        timeout(LONG, desk.due()).await.unwrap();
        desk.deliver().await;
        assert!(read.elapsed() > APART * 9 / 10);
        assert_eq!(*told.lock().unwrap(), ["two\n", "two\n", "four\n"]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn a_change_that_comes_while_kamailio_is_told_waits_for_its_turn() {
        let folder = file::tests::folder("turn");
        let desk = desk(&folder);
        let kamailio = UnixDatagram::bind(folder.join("socket")).unwrap();
        let roll = Roll::new(desk.settings.transport, "", LONG);
        let (fleet, mut seen) = watch::channel(roll::tests::fleet_of(&["a"]));
        seen.mark_changed();
        let changes = async {
            let mut buffer = [0; 4096];
            timeout(LONG, kamailio.recv_from(&mut buffer)).await.unwrap().unwrap();
            let told = Instant::now();
            fleet.send_replace(roll::tests::fleet_of(&["a", "b"]));
            timeout(LONG, kamailio.recv_from(&mut buffer)).await.unwrap().unwrap();
            told.elapsed()
        };
        tokio::select! {
            apart = changes => assert!(apart >= APART, "{apart:?}"),
            fault = keep(&mut seen, roll, desk) => panic!("{fault}"),
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
