// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Routing keys: where an event goes on the exchange.
//!
//! Only ASCII letters are made lower case. The C modules used `tolower` on each byte, which in a
//! UTF-8 locale changes nothing else, and consumers' bindings were written against that: Unicode
//! folding would send the events of an application `École` past them.

use crate::short_text::ShortText;

/// Events about the publishing itself.
pub(crate) const META: &str = "stasis.meta";

/// `stasis.app.<application>`: what a Stasis application is told.
pub(crate) fn application(name: &str) -> ShortText {
    ShortText::lowered("stasis.app.", name)
}

/// `stasis.channel.<event>`: what Asterisk says of channels.
pub(crate) fn channel(event: &str) -> ShortText {
    ShortText::lowered("stasis.channel.", event)
}

/// `ami.<event>`: a manager event.
pub(crate) fn ami(event: &str) -> ShortText {
    ShortText::lowered("ami.", event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_c_modules() {
        assert_eq!(*application("MyApp"), *"stasis.app.myapp");
        let varset = channel("ChannelVarset");
        assert_eq!(*varset, *"stasis.channel.channelvarset");
        assert_eq!(*ami("UserEvent"), *"ami.userevent");
        assert_eq!(*application("École.X"), *"stasis.app.École.x");
        assert_eq!(application(&"A".repeat(400)).len(), 255);
    }
}
