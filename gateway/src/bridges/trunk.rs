// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The call between a part of a bridge and its home.

use std::collections::HashSet;
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::{sleep, timeout};

use super::HIDDEN_APP;
use super::node::{At, End, Told};
use super::span::Trunk;
use super::trouble::Trouble;
use crate::proxy::Gateway;

/// Between two looks at what takes some time.
const LOOK: Duration = Duration::from_millis(25);
/// What is hung up has left its bridge long before.
const LEAVING: Duration = Duration::from_secs(1);
/// What the application wants to hear of: next to nothing, for nobody listens.
const APP_VALUE: &str = r#"{"events":{"allowed":[{"type":"ApplicationReplaced"}]}}"#;

impl Gateway {
    /// Makes the bridge at the part, and calls home. The channel at home.
    pub(super) async fn connect(
        &self,
        home: At<'_>,
        part: At<'_>,
        bridge: &Told,
        trunk: &Trunk,
    ) -> Result<String, Trouble> {
        let within = self.config.bridges.trunk_timeout;
        let none = || Trouble::NoTrunk(part.eid().to_owned(), home.eid().to_owned());
        let connecting = async {
            for node in [home, part] {
                self.wait_for_app(node).await?;
            }
            part.make(bridge).await?;
            let endpoint = &self.config.bridges.trunk_endpoint;
            let endpoint = format!("PJSIP/{endpoint}/sip:{}@{}", trunk.token, home.sip()?);
            part.call(&trunk.near(), &endpoint, within).await?;
            let spans = self.bridges.spans();
            let mut looked = HashSet::new();
            loop {
                for leg in home.legs().await?.unwrap_or_default() {
                    if !spans.is_leg(&leg)
                        && looked.insert(leg.clone())
                        && home.extension_of(&leg).await?.as_ref() == Some(&trunk.token)
                    {
                        return Ok(leg);
                    }
                }
                if !part.has_channel(&trunk.near()).await? {
                    return Err(none());
                }
                sleep(LOOK).await;
            }
        };
        timeout(within, connecting).await.unwrap_or_else(|_| Err(none()))
    }

    /// Ends a part's end of a trunk and has it leave: Asterisk lets a holding bridge have one
    /// announcer, and sends the next away while the first is still there.
    pub(super) async fn end_leg(&self, part: At<'_>, near: &str) -> Result<(), Trouble> {
        part.hang_up(near).await?;
        let leaving = async {
            while part.has_channel(near).await? {
                sleep(LOOK).await;
            }
            Ok(())
        };
        // One that stays is found when the bridge is looked at again.
        timeout(LEAVING, leaving).await.unwrap_or(Ok(()))
    }

    /// Puts both ends of a trunk into the bridge.
    pub(super) async fn join_ends(
        &self,
        home: At<'_>,
        part: At<'_>,
        bridge: &Told,
        (near, far): (&str, &str),
    ) -> Result<(), Trouble> {
        let within = self.config.bridges.trunk_timeout;
        let joining = async {
            for (node, leg, end) in [(home, far, End::AtHome), (part, near, End::AtPart)] {
                loop {
                    match node.add(bridge, leg, end).await? {
                        status if status.is_success() => break,
                        // It is up, and on its way into the application.
                        StatusCode::UNPROCESSABLE_ENTITY => sleep(LOOK).await,
                        other => {
                            let eid = node.eid().to_owned();
                            return Err(Trouble::Said(
                                eid,
                                other.as_u16(),
                                "addChannel of a trunk",
                            ));
                        }
                    }
                }
            }
            Ok(())
        };
        let none = || Trouble::NoTrunk(part.eid().to_owned(), home.eid().to_owned());
        timeout(within, joining).await.unwrap_or_else(|_| Err(none()))
    }

    /// The first that needs it puts it into Consul, for all nodes to make it.
    async fn wait_for_app(&self, node: At<'_>) -> Result<(), Trouble> {
        if node.legs().await?.is_some() {
            return Ok(());
        }
        let key = format!("{}{HIDDEN_APP}", self.config.events.app_prefix);
        self.peers.put_if(&key, APP_VALUE.as_bytes(), 0).await?;
        let waiting = async {
            while node.legs().await?.is_none() {
                sleep(LOOK).await;
            }
            Ok(())
        };
        let limit = self.config.bridges.trunk_timeout / 2;
        timeout(limit, waiting).await.unwrap_or_else(|_| Err(Trouble::NoApp(node.eid().to_owned())))
    }
}
