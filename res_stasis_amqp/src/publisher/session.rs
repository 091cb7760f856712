// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Publishing on one channel: events out, confirms in, until something else is called for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Error};
use tokio::time::{MissedTickBehavior, sleep, timeout};

use super::PublishSettings;
use super::desk::{Desk, Wish};
use super::failure::Trouble;
use super::in_flight::{InFlight, Parcel};
use super::link::{Change, Link};
use super::message::{properties, short};
use super::pace::{End, Pace, Rest};
use crate::event::Event;
use crate::identity::{Place, is_message_id};
use crate::status::ConnectionState;

/// The shortest time without any confirm after which the connection is taken as lost. Quorum queues
/// may take seconds over a change of leader, and a busy disk as long.
const CONFIRM_LIMIT: Duration = Duration::from_secs(30);

/// How long one event may be unconfirmed while others are: over a slow network, what is under way
/// takes minutes.
const LONGEST_CONFIRM: Duration = Duration::from_secs(600);

/// Woken again within this time, the worker lets some events gather before it goes to the outbox:
/// waking for each would cost more than the events do. The first after a pause goes out at once.
const BUSY: Duration = Duration::from_millis(10);
const GATHER: Duration = Duration::from_millis(2);

/// How often the clocks are looked at, while anything is owed.
const TICK: Duration = Duration::from_millis(100);

/// Why publishing on this channel has ended.
pub(super) enum Next {
    /// The host wants something else.
    Orders(End),
    Lost(Trouble),
    Closed(Trouble),
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
    let sent = channel.basic_publish(exchange, short(&event.key), options, &event.body, properties);
    let result = match sent.await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    Outcome { place: event.place(), result }
}

struct Session<'a> {
    publish: &'a PublishSettings,
    in_flight: InFlight,
    /// The first error that a publish came back with.
    error: Option<Error>,
    /// When the broker last had its say on an event.
    heard: Option<Instant>,
}

pub(super) async fn run(
    desk: &Desk<'_>,
    link: &mut Link,
    channel: &Channel,
    publish: &PublishSettings,
) -> Next {
    let exchange = short(&publish.exchange);
    let options = BasicPublishOptions { mandatory: publish.mandatory, ..Default::default() };
    let limit = confirm_limit(desk.heartbeat());
    let in_flight = InFlight::new(publish.outbox.clone(), desk.worker(), desk.high_water());
    let mut session = Session { publish, in_flight, error: None, heard: None };
    let mut confirms = FuturesUnordered::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pace = Pace::Flow;
    let mut tried = false;
    let mut rung = true;
    let mut woken: Option<Instant> = None;

    let next = loop {
        if std::mem::take(&mut rung) {
            if woken.replace(Instant::now()).is_some_and(|last| last.elapsed() < BUSY) {
                sleep(GATHER).await;
            }
            match desk.heed(link, Some(publish)) {
                Wish::Stop(by) => {
                    desk.show(ConnectionState::Stopping);
                    pace = Pace::Drain { by };
                }
                Wish::Change { reconnect } if pace.leases() || reconnect => {
                    pace = Pace::finish(Instant::now(), reconnect);
                }
                Wish::Change { .. } | Wish::Nothing => {}
            }
        }
        let now = Instant::now();
        let leases = pace.leases();
        while let Some(parcel) = session.in_flight.next(now, leases) {
            let one = session.send(parcel, channel, exchange.clone(), options);
            let mut one = Box::pin(one);
            // In order, before any other: this is what pairs events with delivery tags.
            match one.as_mut().poll_unpin(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => confirms.push(one),
                Poll::Ready(outcome) => session.take(outcome, now),
            }
            if session.error.is_some() {
                break;
            }
        }
        if let Some(error) = session.error.take() {
            break match link.cause(&error).await {
                Some(trouble) => Next::Lost(trouble),
                None => Next::Closed(Trouble::of_channel(&error)),
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

        let listens = leases && session.in_flight.would_lease();
        // False where something can be taken. But what there is may be too large for the room that
        // is left, so this is tried once, and then a confirm has to come first.
        if listens && !publish.outbox.sleep_if_empty(desk.worker()) && !tried {
            tried = true;
            continue;
        }
        tried = false;
        // Without confirms, nothing else wakes us to what comes back after the last event.
        let returns = publish.mandatory && !publish.confirms;
        let owed = pace != Pace::Flow || !session.in_flight.is_empty() || returns;
        tokio::select! {
            biased;
            () = desk.rung() => rung = true,
            change = link.change() => match change {
                Change::Lost(trouble) => break Next::Lost(trouble),
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
            Some(outcome) = confirms.next(), if !confirms.is_empty() => {
                session.take(outcome, Instant::now());
                session.take_all(&mut confirms);
            }
            _ = tick.tick(), if owed => {}
        }
        if returns {
            session.collect_returns(channel);
        }
    };
    if matches!(next, Next::Orders(End::Done)) && link.blocked.is_none() {
        // The server answers when it has done what was sent before. Without confirms this is how to
        // know, and the next channel's events then come after this one's.
        let _ = timeout(pace.patience(Instant::now()), channel.close(200, ShortString::default()))
            .await;
    }
    // What has been confirmed meanwhile need not be sent again.
    session.take_all(&mut confirms);
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

    fn take(&mut self, outcome: Outcome, now: Instant) {
        let counters = &self.publish.counters;
        match outcome.result {
            Ok(Confirmation::Ack(returned)) => {
                self.heard = Some(now);
                self.returned(returned.and_then(|message| message.properties.message_id().clone()));
                count(&counters.confirmed);
                self.in_flight.settle(outcome.place);
            }
            Ok(Confirmation::Nack(returned)) => {
                self.heard = Some(now);
                self.returned(returned.and_then(|message| message.properties.message_id().clone()));
                count(&counters.nacked);
                self.in_flight.nacked(outcome.place, now);
            }
            // Without confirms, an event is done with when it is on the socket.
            Ok(Confirmation::NotRequested) => self.in_flight.settle(outcome.place),
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
    }

    /// Takes what is there without waiting.
    fn take_all<F>(&mut self, confirms: &mut FuturesUnordered<F>)
    where
        F: Future<Output = Outcome>,
    {
        let mut context = Context::from_waker(Waker::noop());
        let now = Instant::now();
        while let Poll::Ready(Some(outcome)) = confirms.poll_next_unpin(&mut context) {
            self.take(outcome, now);
        }
    }

    /// Counts a message that no queue took. Which event it was stands in its message id only:
    /// lapin hands it out with whichever confirm comes next.
    fn returned(&self, message_id: Option<ShortString>) {
        if message_id.is_some_and(|id| is_message_id(id.as_str())) {
            count(&self.publish.counters.returned);
        }
    }

    /// Without confirms lapin keeps returned messages until it is asked for them.
    fn collect_returns(&self, channel: &Channel) {
        for message in
            channel.wait_for_confirms().now_or_never().and_then(Result::ok).iter().flatten()
        {
            self.returned(message.properties.message_id().clone());
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

    #[test]
    fn a_confirm_is_not_missed_before_the_heartbeat_has_had_its_say() {
        assert_eq!(confirm_limit(0), Duration::from_secs(30));
        assert_eq!(confirm_limit(10), Duration::from_secs(30));
        assert_eq!(confirm_limit(60), Duration::from_secs(180));
    }
}
