// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Publishing on one channel: events out, confirms in, until something else is called for.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Error};
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, timeout};

use super::PublishSettings;
use super::desk::{Desk, Wish};
use super::failure::{Trouble, is_echo, is_of_message};
use super::gate::Company;
use super::in_flight::{InFlight, Parcel, Refused};
use super::link::{Change, Link};
use super::message::{properties, short};
use super::pace::{End, Pace, Rest};
use super::tempo::Tempo;
use super::under_way::UnderWay;
use crate::event::Event;
use crate::identity::{Place, is_message_id};
use crate::status::ConnectionState;

/// The shortest time without any confirm after which the connection is taken as lost. Quorum queues
/// may take seconds over a change of leader, and a busy disk as long.
const CONFIRM_LIMIT: Duration = Duration::from_secs(30);

/// How long one event may be unconfirmed while others are: over a slow network, what is under way
/// takes minutes.
const LONGEST_CONFIRM: Duration = Duration::from_secs(600);

/// How often confirms and clocks are looked at, while anything is owed. Nothing waits for a confirm
/// while there is room, so being woken for it would be for nothing.
const TICK: Duration = Duration::from_millis(20);

/// Events handed over before lapin's thread gets its turn: what waits for it is kept in memory twice.
const MOST_AT_ONCE: usize = 256;

/// Why publishing on this channel has ended.
pub(super) enum Next {
    /// The host wants something else.
    Orders(End),
    Lost(Trouble),
    /// The server closed the channel for one event, which is dropped, or the next channel finds it.
    Refused(Trouble),
    Closed {
        trouble: Trouble,
        /// It had its say on an event before.
        heard: bool,
    },
}

/// What one channel leaves to the next.
#[derive(Default)]
pub(super) struct Past {
    /// The server closed it for one of the events up to here.
    doubt: Option<Place>,
    /// The server closed it before it took anything, so that the next is no success by being open.
    pub(super) failed: bool,
}

struct Outcome {
    place: Place,
    result: Result<Confirmation, Error>,
}

/// Sends one event and waits for its confirm. Its place among the delivery tags is fixed when this
/// is polled for the first time.
async fn publish_one(
    channel: &Channel,
    exchange: ShortString,
    event: Arc<Event>,
    options: BasicPublishOptions,
    properties: BasicProperties,
) -> Outcome {
    let sent =
        channel.basic_publish(exchange, short(&*event.key), options, &event.body, properties);
    let result = match sent.await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    Outcome { place: event.place(), result }
}

struct Session<'a> {
    publish: &'a PublishSettings,
    in_flight: InFlight,
    /// The first error that a publish came back with, and that says why.
    error: Option<Error>,
    /// When the broker last had its say on an event, or took one.
    heard: Option<Instant>,
}

pub(super) async fn run(
    desk: &Desk<'_>,
    link: &mut Link,
    channel: &Channel,
    publish: &PublishSettings,
    past: &mut Past,
) -> Next {
    if !past.failed {
        desk.show_up(link);
    }
    let exchange = short(&publish.exchange);
    let options = BasicPublishOptions { mandatory: publish.mandatory, ..Default::default() };
    let limit = confirm_limit(desk.heartbeat());
    let in_flight = InFlight::new(publish.outbox.clone(), desk.worker(), past.doubt.take());
    let mut session = Session { publish, in_flight, error: None, heard: None };
    let mut under_way = UnderWay::new();
    let mut done = Vec::new();
    let mut tempo = Tempo::new(Instant::now());
    let mut ticked = false;
    let mut company = Company::new(link.gate.clone());
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pace = Pace::Flow;
    let mut tried = false;
    let mut rung = true;

    let next = loop {
        if std::mem::take(&mut rung) {
            match desk.heed(link, Some(publish)) {
                Wish::Stop(by) => {
                    desk.show(ConnectionState::Stopping);
                    pace = Pace::Drain { by };
                }
                Wish::Change { elsewhere } => pace = pace.finish(Instant::now(), elsewhere),
                Wish::Nothing => {}
            }
        }
        let now = Instant::now();
        match std::mem::take(&mut ticked) {
            true => under_way.sweep(&mut done),
            false => under_way.take_oldest(&mut done),
        }
        session.take(&mut done, now);
        if past.failed && (session.heard.is_some() || session.is_idle()) {
            past.failed = false;
            desk.show_up(link);
        }
        let leases = pace.leases();
        let mut sent = 0;
        let mut batch = None;
        while session.error.is_none()
            && sent < MOST_AT_ONCE
            && let Some(parcel) = session.in_flight.next(now, leases)
        {
            batch.get_or_insert_with(|| {
                company.come();
                link.gate.shut()
            });
            let publish = session.send(parcel, channel, exchange.clone(), options);
            // In order, before any other: this is what pairs events with delivery tags.
            if let Some(outcome) = under_way.begin(publish) {
                done.push(outcome);
                session.take(&mut done, now);
            }
            sent += 1;
        }
        drop(batch);
        if session.error.is_some() {
            // What came too late for the channel only says so; what was out before knows the reason.
            under_way.sweep(&mut done);
            session.take(&mut done, now);
        }
        if let Some(error) = session.error.take() {
            break match link.cause(&error).await {
                Some(trouble) => Next::Lost(trouble),
                // Without confirms the event is forgotten by then, and need not be found.
                None if publish.confirms && is_of_message(&error, session.in_flight.keys()) => {
                    Next::Refused(Trouble::of_channel(&error))
                }
                None => Next::Closed {
                    trouble: Trouble::of_channel(&error),
                    heard: session.heard.is_some(),
                },
            };
        }
        if pace != Pace::Flow
            && let Some(end) = pace.end(&session.rest(link.blocked.is_some()), now)
        {
            break Next::Orders(end);
        }
        if link.blocked.is_none() && session.is_overdue(now, limit) {
            let reason = format!("the server has not confirmed an event within {limit:?}");
            break Next::Lost(Trouble::lost(reason));
        }

        let gather = tempo.took(sent, now);
        if sent == MOST_AT_ONCE {
            // lapin's thread, which is on this processor.
            std::thread::yield_now();
            continue;
        }
        let listens = leases && session.in_flight.would_lease();
        let gather = gather.filter(|_| listens && pace == Pace::Flow);
        // False where something can be taken. But what there is may be too large for the room that
        // is left, so this is tried once, and then a confirm has to come first.
        if listens && gather.is_none() && !publish.outbox.sleep_if_empty(desk.worker()) && !tried {
            tried = true;
            continue;
        }
        tried = false;
        // Without confirms, nothing else wakes us to what comes back after the last event.
        let returns = publish.mandatory && !publish.confirms;
        let owed = pace != Pace::Flow || !session.in_flight.is_empty() || returns;
        // Nothing that arrives now is worth being woken for, confirms neither, and a sleeping thread
        // that runs lapin's sockets is not woken for them.
        if let Some(until) = gather {
            std::thread::sleep(until.saturating_duration_since(now));
        }
        let presses = pace != Pace::Flow || !session.in_flight.would_lease();
        link.socket.be_patient(!presses && session.in_flight.unconfirmed() > 0);
        tokio::select! {
            biased;
            () = desk.rung() => rung = true,
            change = link.change() => match change {
                Change::Lost(trouble) => break Next::Lost(trouble),
                // It may be of the channel before, and what is out is told the reason by itself.
                Change::ChannelClosed(_) if session.in_flight.unconfirmed() > 0 => ticked = true,
                Change::ChannelClosed(error) if !channel.status().connected() => {
                    session.error = Some(error);
                }
                Change::ChannelClosed(_) => {}
                Change::Blocked => desk.show_up(link),
                Change::Unblocked => {
                    session.in_flight.forgive(Instant::now());
                    pace = pace.unblocked(Instant::now());
                    desk.show_up(link);
                }
            },
            () = poll_fn(|context| under_way.poll_oldest(context, &mut done)), if presses => {}
            _ = tick.tick(), if owed => {
                ticked = true;
                // What has come so far is read now.
                link.socket.be_patient(false);
                yield_now().await;
            }
            () = yield_now(), if gather.is_some() => {}
        }
        if returns {
            session.collect_returns(channel);
        }
    };
    link.socket.be_patient(false);
    if matches!(next, Next::Orders(End::Done)) && link.blocked.is_none() {
        // The server answers when it has done what was sent before. Without confirms this is how to
        // know, and the next channel's events then come after this one's.
        let _ = timeout(pace.patience(Instant::now()), channel.close(200, ShortString::default()))
            .await;
    }
    // What has been confirmed meanwhile need not be sent again.
    under_way.sweep(&mut done);
    session.take(&mut done, Instant::now());
    if let Next::Refused(trouble) = &next {
        match session.in_flight.refused() {
            Some(Refused::This(event)) => desk.refused(&event.key, trouble),
            Some(Refused::OneUpTo(last)) => past.doubt = Some(last),
            None => {}
        }
    }
    next
}

impl Session<'_> {
    fn send<'c>(
        &self,
        parcel: Parcel,
        channel: &'c Channel,
        exchange: ShortString,
        options: BasicPublishOptions,
    ) -> impl Future<Output = Outcome> + use<'c> {
        let counters = &self.publish.counters;
        count(if parcel.again { &counters.republished } else { &counters.published });
        let event = parcel.event;
        let properties = properties(&event, &self.publish.identity, self.publish.persistent);
        publish_one(channel, exchange, event, options, properties)
    }

    fn take(&mut self, done: &mut Vec<Outcome>, now: Instant) {
        let mut settled = Vec::with_capacity(done.len());
        for Outcome { place, result } in done.drain(..) {
            let counters = &self.publish.counters;
            match result {
                Ok(Confirmation::Ack(returned)) => {
                    self.heard = Some(now);
                    self.returned(returned);
                    count(&counters.confirmed);
                    settled.push(place);
                }
                Ok(Confirmation::Nack(returned)) => {
                    self.heard = Some(now);
                    self.returned(returned);
                    count(&counters.nacked);
                    self.in_flight.nacked(place, now);
                }
                // Without confirms, an event is done with when it is on the socket: what the server
                // takes is all that is heard of it.
                Ok(Confirmation::NotRequested) => {
                    self.heard = Some(now);
                    settled.push(place);
                }
                Err(error) => {
                    self.error = Some(self.error.take().filter(|e| !is_echo(e)).unwrap_or(error));
                }
            }
        }
        self.in_flight.settle(settled);
    }

    /// Counts a message that no queue took. Which event it was stands in its message id only:
    /// lapin hands it out with whichever confirm comes next.
    fn returned(&self, message: Option<BasicReturnMessage>) {
        let message_id = message.and_then(|message| message.properties.message_id().clone());
        if message_id.is_some_and(|id| is_message_id(id.as_str())) {
            count(&self.publish.counters.returned);
        }
    }

    /// Without confirms lapin keeps returned messages until it is asked for them.
    fn collect_returns(&self, channel: &Channel) {
        for message in
            channel.wait_for_confirms().now_or_never().and_then(Result::ok).into_iter().flatten()
        {
            self.returned(Some(message));
        }
    }

    /// Whether a confirm is missing for so long that the connection must be lost.
    fn is_overdue(&mut self, now: Instant, limit: Duration) -> bool {
        let Some(at) = self.in_flight.oldest() else {
            return false;
        };
        let heard = self.heard.map_or(at, |heard| heard.max(at));
        now - heard >= limit || now - at >= LONGEST_CONFIRM.max(limit)
    }

    /// Whether there is nothing to hear the server on.
    fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.publish.outbox.depth().nothing_waits()
    }

    fn rest(&self, blocked: bool) -> Rest {
        Rest {
            nothing_waits: self.publish.outbox.depth().nothing_waits(),
            unconfirmed: self.in_flight.unconfirmed(),
            resting: self.in_flight.resting(),
            blocked,
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Never below what the heartbeat needs to find the peer dead by itself.
fn confirm_limit(heartbeat: u16) -> Duration {
    CONFIRM_LIMIT.max(Duration::from_secs(u64::from(heartbeat)) * 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ExchangeType;
    use crate::counters::Counters;
    use crate::identity::Identity;
    use crate::limits::{Limits, Overflow};
    use crate::outbox::Outbox;

    #[test]
    fn what_the_server_takes_without_confirms_shows_that_it_lives() {
        let limits = Limits { events: 10, bytes: 1 << 20, overflow: Overflow::DropOldest };
        let counters = Arc::new(Counters::default());
        let outbox = Arc::new(Outbox::new("1", limits, Arc::clone(&counters), || {}));
        (0..2).for_each(|_| outbox.push(Event::channel("Dial", "{}", 0)));
        let publish = PublishSettings {
            exchange: "asterisk".into(),
            exchange_type: ExchangeType::Topic,
            declare_exchange: true,
            persistent: true,
            confirms: false,
            mandatory: false,
            identity: Identity { eid: "e".into(), boot: "1".into() },
            outbox: Arc::clone(&outbox),
            counters,
        };
        let in_flight = InFlight::new(outbox, 1, None);
        let mut session = Session { publish: &publish, in_flight, error: None, heard: None };
        let start = Instant::now();
        let first = session.in_flight.next(start, true).unwrap().event.place();
        session.in_flight.next(start, true).unwrap();

        // A slow network has taken the first, and is at the second.
        let later = start + CONFIRM_LIMIT - Duration::from_secs(1);
        let taken = Outcome { place: first, result: Ok(Confirmation::NotRequested) };
        session.take(&mut vec![taken], later);
        assert!(!session.is_overdue(start + CONFIRM_LIMIT, CONFIRM_LIMIT));
        assert!(session.is_overdue(later + CONFIRM_LIMIT, CONFIRM_LIMIT));
    }

    #[test]
    fn a_confirm_is_not_missed_before_the_heartbeat_has_had_its_say() {
        assert_eq!(confirm_limit(0), Duration::from_secs(30));
        assert_eq!(confirm_limit(10), Duration::from_secs(30));
        assert_eq!(confirm_limit(60), Duration::from_secs(180));
    }
}
