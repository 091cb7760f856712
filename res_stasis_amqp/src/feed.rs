// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! From what Asterisk hands over to events in the outbox. All of it runs on Asterisk's threads:
//! nothing here waits for anything.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use asterisk::channel_event::{ChannelMessage, ChannelMessages, Kind};
use asterisk::json::{Json, Text, Value, View};
use asterisk::manager::ManagerMessages;
use asterisk::stasis::Message;
use asterisk::stasis_app;

use crate::ami::{self, Source};
use crate::counters::Counters;
use crate::direct::{Direct, Standing};
use crate::event::{Event, now};
use crate::filter::Filter;
use crate::labels::Labels;
use crate::outbox::Outbox;
use crate::times::Times;

pub(crate) struct Feed {
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    times: Times,
    channel_messages: ChannelMessages,
    manager_messages: ManagerMessages,
    direct: Direct,
    /// None: nothing is published.
    filter: Mutex<Option<Arc<Filter>>>,
}

impl Feed {
    pub(crate) fn new(outbox: Arc<Outbox>, counters: Arc<Counters>) -> Self {
        Self {
            times: Times::default(),
            channel_messages: ChannelMessages::of_host(),
            manager_messages: ManagerMessages::of_host(),
            direct: Direct::new(Arc::clone(&counters)),
            filter: Mutex::new(None),
            outbox,
            counters,
        }
    }

    /// From now on, publish what `filter` admits; nothing without one.
    pub(crate) fn set_filter(&self, filter: Option<&Filter>) {
        let filter = filter.map(|filter| Arc::new(filter.clone()));
        *self.filter.lock().unwrap_or_else(PoisonError::into_inner) = filter;
    }

    /// Whether anything is published at all.
    pub(crate) fn is_open(&self) -> bool {
        self.filter().is_some()
    }

    /// How long each event has held the thread that brought it.
    pub(crate) fn times(&self) -> &Times {
        &self.times
    }

    /// Which events are written directly.
    pub(crate) fn standing(&self) -> Standing {
        self.direct.standing()
    }

    fn filter(&self) -> Option<Arc<Filter>> {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An event of a Stasis application. The value is shared with other subscribers.
    pub(crate) fn app_event(&self, app: &Labels, event: &Value) {
        self.timed(|| self.push_app_event(app, event));
    }

    /// A message of the channel topic.
    pub(crate) fn channel_event(&self, message: &Message<'_>) {
        self.timed(|| self.push_channel_event(message));
    }

    /// A message of the manager topic.
    pub(crate) fn manager_event(&self, message: &Message<'_>) {
        self.timed(|| self.push_manager_event(message));
    }

    /// The text of an AMI event as the manager hook gives it.
    pub(crate) fn hooked_event(&self, name: &str, text: &[u8]) {
        self.timed(|| self.push_ami(name, text, Source::Hook));
    }

    fn timed(&self, work: impl FnOnce()) {
        let began = Instant::now();
        work();
        self.times.record(began.elapsed());
    }

    fn push_app_event(&self, app: &Labels, event: &Value) {
        let Some(name) = self.wanted(event) else {
            return;
        };
        if !stasis_app::event_allowed(app.host_name(), event) {
            self.counters.filtered();
            return;
        }
        let general = || dumped_for(app.name(), event);
        if let Some(body) = self.direct.app_event(app.name(), &name, event, general) {
            self.outbox.push(Event::written_of_app(app, &name, body, now()));
            return;
        }
        match general() {
            Some(text) => self.outbox.push(Event::app(app, &name, &text, now())),
            None => self.counters.unreadable(),
        }
    }

    fn push_channel_event(&self, message: &Message<'_>) {
        match self.channel_messages.tell(message) {
            Some(known) => self.push_known(message, &known),
            None => self.push_unknown(message),
        }
    }

    /// An event whose name and variable are told without any text of it.
    fn push_known(&self, message: &Message<'_>, known: &ChannelMessage<'_>) {
        if !has_form(known) {
            return;
        }
        let name = known.kind.name();
        let by_variable = |filter: &Filter| {
            let variable = || known.said().and_then(|said| said.string(c"variable"));
            known.kind != Kind::Varset || filter.includes_variable(&variable().unwrap_or_default())
        };
        if !self.admits(name, by_variable) {
            return;
        }
        let general = || message.to_json().and_then(|event| event.dump());
        if let Some(body) = self.direct.channel_event(known, general) {
            self.outbox.push(Event::written_of_channel(name, body, now()));
            return;
        }
        match message.to_json().and_then(|event| event.dump()) {
            Some(text) => self.outbox.push(Event::channel(name, &text, now())),
            None => self.counters.unreadable(),
        }
    }

    fn push_unknown(&self, message: &Message<'_>) {
        let Some(event) = message.to_json() else {
            return; // the type has JSON, this message has none
        };
        let Some(name) = self.wanted(&event) else {
            return;
        };
        match event.dump() {
            Some(text) => self.outbox.push(Event::channel(&name, &text, now())),
            None => self.counters.unreadable(),
        }
    }

    fn push_manager_event(&self, message: &Message<'_>) {
        if let Some(name) = self.manager_messages.name(message)
            && self.filter().is_none_or(|filter| filter.excludes(name))
        {
            self.counters.seen();
            self.counters.filtered();
            return;
        }
        if let Some(event) = message.to_ami() {
            self.push_ami(&event.name(), event.fields(), Source::Fields);
        }
    }

    fn push_ami(&self, name: &str, text: &[u8], source: Source) {
        if self.admits(name, |_| true) {
            let fields = ami::to_json(name, text, source);
            self.outbox.push(Event::ami(name, &fields, now()));
        }
    }

    /// Counts `event`; its name, if it is to be published.
    fn wanted<'a>(&self, event: &'a Value) -> Option<Cow<'a, str>> {
        let Some(name) = event.string(c"type") else {
            self.counters.seen();
            self.counters.unreadable();
            return None;
        };
        let by_variable = |filter: &Filter| {
            name != "ChannelVarset"
                || filter.includes_variable(&event.string(c"variable").unwrap_or_default())
        };
        self.admits(&name, by_variable).then_some(name)
    }

    /// Counts an event of that name; whether it is to be published, which `more` has a say in.
    fn admits(&self, name: &str, more: impl FnOnce(&Filter) -> bool) -> bool {
        self.counters.seen();
        let filter = self.filter();
        let admitted = filter.is_some_and(|filter| !filter.excludes(name) && more(&filter));
        if !admitted {
            self.counters.filtered();
        }
        admitted
    }
}

/// What another client's handler may have set in place is set anew, on a copy of ours.
fn dumped_for(app: &str, event: &Value) -> Option<Text> {
    let mut event: Json = event.copy()?;
    event.set_string(c"application", app).then(|| event.dump()).flatten()
}

/// Of DTMF that was sent ARI has no event.
fn has_form(message: &ChannelMessage<'_>) -> bool {
    let is_received = || {
        let direction = message.said().and_then(|said| said.member(c"direction"));
        direction.is_some_and(|direction| {
            matches!(direction.view(), View::String(text) if text.eq_ignore_ascii_case(b"Received"))
        })
    };
    message.kind != Kind::DtmfEnd || is_received()
}
