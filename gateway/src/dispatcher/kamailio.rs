// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Tells Kamailio to read its list anew, over the datagram socket of its module `jsonrpcs`.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as Plain};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(2);
/// The largest datagram of Kamailio's is some more; what answers a reload is far less.
const LARGEST: usize = 65536;

/// Why it is not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Unreachable(String),
    #[error("it did not answer in time")]
    Silent,
    #[error("it says {0:?}")]
    Refused(String),
}

/// Returns when Kamailio has read the list.
pub(super) async fn reload(socket: &Path) -> Result<(), Fault> {
    let unreachable =
        |error: std::io::Error| Fault::Unreachable(format!("{}: {error}", socket.display()));
    let id: u32 = rand::random();
    let own = own_socket(id).map_err(unreachable)?;
    let request = json!({"jsonrpc": "2.0", "method": "dispatcher.reload", "id": id});
    let answered = timeout(PATIENCE, async {
        own.send_to(request.to_string().as_bytes(), socket).await?;
        let mut buffer = vec![0; LARGEST];
        loop {
            let (count, _) = own.recv_from(&mut buffer).await?;
            let answer = buffer.get(..count).unwrap_or_default();
            if let Some(outcome) = outcome(answer, id) {
                return Ok(outcome);
            }
        }
    });
    match answered.await {
        Ok(Ok(outcome)) => outcome.map_err(Fault::Refused),
        Ok(Err(error)) => Err(unreachable(error)),
        Err(_) => Err(Fault::Silent),
    }
}

/// A name outside of the file system: no folder is needed in which both users may write, and nothing
/// is left behind.
fn own_socket(id: u32) -> std::io::Result<UnixDatagram> {
    let name = format!("constellation-dispatcher-{}-{id}", std::process::id());
    let plain = Plain::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    plain.set_nonblocking(true)?;
    UnixDatagram::from_std(plain)
}

/// `None`: it answers something else.
fn outcome(answer: &[u8], id: u32) -> Option<Result<(), String>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    if answer.get("id") != Some(&json!(id)) {
        return None;
    }
    let Some(error) = answer.get("error") else { return Some(Ok(())) };
    let message = error.get("message").and_then(Value::as_str);
    Some(Err(message.unwrap_or("no").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let read = |answer: Value| outcome(answer.to_string().as_bytes(), 7);
        assert_eq!(read(json!({"result": "Ok.", "id": 7})), Some(Ok(())));
        let refused = json!({"error": {"code": 500, "message": "Reload Failed"}, "id": 7});
        assert_eq!(read(refused), Some(Err("Reload Failed".to_owned())));
        assert_eq!(read(json!({"result": "Ok.", "id": 8})), None);
        assert_eq!(outcome(b"nonsense", 7), None);
    }

    #[tokio::test]
    async fn whoever_does_not_listen_or_answer_is_told_of() {
        let told = reload(Path::new("/nowhere/socket")).await.unwrap_err();
        assert!(told.to_string().starts_with("/nowhere/socket: "), "{told}");
        let folder = super::super::file::tests::folder("silent");
        let path = folder.join("socket");
        let silent = UnixDatagram::bind(&path).unwrap();
        assert_eq!(reload(&path).await, Err(Fault::Silent));
        drop(silent);
        let told = reload(&path).await.unwrap_err();
        assert!(matches!(told, Fault::Unreachable(_)), "{told}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
