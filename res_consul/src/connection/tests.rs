// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! What is noted of a request, over servers of the test.

use super::*;
use crate::http::Method;
use crate::tests::{Server, TestHost, ok};

#[test]
fn an_answer_is_not_noted_of_settings_that_came_in_the_meantime() {
    let [before, after] = [(); 2].map(|()| Server::start(|_, _| ok(0, "\"x\"")));
    let connection = Connection::new(Arc::new(TestHost::default()), before.settings(&[]));
    let cutter = Arc::new(Cutter::default());
    let mut slot = None;
    let request = Request {
        method: Method::Get,
        path: "/v1/status/leader".to_owned(),
        body: None,
        wait: Duration::ZERO,
        limit: 1_000,
    };
    let mut ask = |meanwhile: &dyn Fn()| {
        let wire = connection.wire(&cutter, &mut slot, Connection::setup).unwrap();
        connection.ask(&cutter, wire, &request, |_| {
            meanwhile();
            Ok(())
        })
    };
    assert_eq!(ask(&|| connection.apply(after.settings(&[]))), Err(Fault::Interrupted));
    assert_eq!(connection.state(), (State::Unknown, None));
    assert_eq!(ask(&|| ()), Ok(()));
    assert_eq!(connection.state().0, State::Reachable);
    assert_eq!([before.asked().len(), after.asked().len()], [1, 1]);
}
