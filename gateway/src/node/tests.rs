// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Against a scripted server: what is sent, and how often.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};

use super::*;
use crate::config::{Nodes, Origin};
use crate::net::Dialer;
use crate::net::scripted::{Answer, Scripted};

fn settings(more: &str) -> Nodes {
    let text = format!(
        "[nodes]\nuser = \"ari\"\npassword = \"p w\"\n{more}\n[[user]]\nname = \"n\"\n\
         token_hash = \"sha256:{}\"\n",
        "0".repeat(64)
    );
    crate::config::read("t", &text, BTreeMap::new()).unwrap().nodes
}

fn client(port: u16, more: &str) -> Arc<Client> {
    let settings = settings(more);
    let dialer = Dialer::new(&settings.trust, settings.connect_timeout).unwrap();
    let origin = Origin { is_https: false, host: "127.0.0.1".into(), port };
    Client::new(origin, &settings, dialer).unwrap()
}

fn request(method: Method) -> Outgoing {
    Outgoing {
        method,
        target: "/ari/channels?a=b".into(),
        content_type: None,
        body: Bytes::from_static(b"{}"),
        timeout: Duration::from_millis(500),
    }
}

fn fine() -> Answer {
    Answer::json(200, "", "[]")
}

#[tokio::test]
async fn credentials_are_ours_and_the_connection_is_kept() {
    let node = Scripted::start(|_, _| fine()).await;
    let client = client(node.port, "");
    for _ in 0..3 {
        let (status, body) = client.fetch(&request(Method::GET)).await.unwrap();
        assert_eq!((status, body.as_ref()), (StatusCode::OK, b"[]".as_slice()));
    }
    let requests = node.requests();
    assert_eq!(requests.len(), 3);
    let first = requests[0].to_lowercase();
    assert!(first.starts_with("get /ari/channels?a=b http/1.1\r\n"), "{first}");
    assert!(requests[0].contains("Basic YXJpOnAgdw=="), "{first}");
    assert!(!format!("{client:?}").contains("YXJp"));
}

#[tokio::test]
async fn what_changes_something_is_sent_once_whatever_happens() {
    for (script, wanted) in [
        ((|| Answer::Close) as fn() -> Answer, NodeError::Broken),
        (|| Answer::Silence, NodeError::Silent),
        (|| Answer::Text("nonsense\r\n\r\n".into()), NodeError::Broken),
    ] {
        for is_kept in [false, true] {
            // The first request leaves a connection behind.
            let skipped = usize::from(is_kept);
            let node =
                Scripted::start(move |number, _| if number < skipped { fine() } else { script() })
                    .await;
            let client = client(node.port, "");
            for _ in 0..skipped {
                client.fetch(&request(Method::GET)).await.unwrap();
            }
            let error = client.send(&request(Method::POST)).await.unwrap_err();
            assert_eq!(error, wanted);
            assert!(error.may_have_happened());
            assert_eq!(node.requests().len(), skipped + 1, "{wanted:?}");
        }
    }
}

#[tokio::test]
async fn a_question_is_asked_again_when_a_kept_connection_ends_under_it() {
    let node = Scripted::start(|number, _| if number == 1 { Answer::Close } else { fine() }).await;
    let client = client(node.port, "");
    for _ in 0..2 {
        client.fetch(&request(Method::GET)).await.unwrap();
    }
    assert_eq!(node.requests().len(), 3);
}

#[tokio::test]
async fn a_connection_that_ended_meanwhile_is_no_loss() {
    let node = Scripted::start(|_, _| {
        Answer::Text("HTTP/1.1 204 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into())
    })
    .await;
    let client = client(node.port, "");
    for _ in 0..3 {
        let answer = client.send(&request(Method::POST)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(node.requests().len(), 3);
}

#[tokio::test]
async fn who_is_not_there_got_nothing_and_is_suspect() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = client(port, "");
    assert!(!client.is_suspect());
    let error = client.send(&request(Method::POST)).await.unwrap_err();
    assert!(matches!(error, NodeError::Refused) && !error.may_have_happened());
    assert!(client.is_suspect());
}

#[tokio::test]
async fn connections_are_bounded_and_waiting_is_too() {
    let node = Scripted::start(|_, _| Answer::Silence).await;
    let client = client(node.port, "connections = 1\nqueue_timeout = \"100ms\"");
    let first = {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.send(&request(Method::GET)).await.err() })
    };
    while node.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.send(&request(Method::GET)).await.err(), Some(NodeError::Busy));
    assert_eq!(first.await.unwrap(), Some(NodeError::Silent));
    // Its place is free again.
    assert_eq!(client.send(&request(Method::GET)).await.err(), Some(NodeError::Silent));
}

#[tokio::test]
async fn a_connection_is_busy_until_its_answer_is_read() {
    let node = Scripted::start(|_, _| fine()).await;
    let client = client(node.port, "connections = 1\nqueue_timeout = \"100ms\"");
    let unread = client.send(&request(Method::GET)).await.unwrap();
    assert_eq!(client.send(&request(Method::GET)).await.err(), Some(NodeError::Busy));
    drop(unread);
    client.fetch(&request(Method::GET)).await.unwrap();
}
