// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! The publishes that are not confirmed, in the order they were sent.
//!
//! A broker confirms in about that order and many at a time. So whoever wants to be woken is woken
//! for the oldest, and those behind it are looked at then. One that is done before the oldest is
//! found by [`UnderWay::sweep`]. The memory of what is done is used again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Done publishes whose memory is kept.
const MOST_SPARE: usize = 256;

pub(super) struct UnderWay<F: Future> {
    sent: VecDeque<Pin<Box<F>>>,
    spare: Vec<Pin<Box<F>>>,
}

impl<F: Future> UnderWay<F> {
    pub(super) fn new() -> Self {
        Self { sent: VecDeque::new(), spare: Vec::new() }
    }

    /// Begins `publish`, which fixes its place among all others; its output, if it is done at once.
    pub(super) fn begin(&mut self, publish: F) -> Option<F::Output> {
        let mut one = match self.spare.pop() {
            Some(mut one) => {
                one.set(publish);
                one
            }
            None => Box::pin(publish),
        };
        match one.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => {
                self.keep(one);
                Some(output)
            }
            Poll::Pending => {
                self.sent.push_back(one);
                None
            }
        }
    }

    /// Takes what is done from the front, without asking to be woken.
    pub(super) fn take_oldest(&mut self, done: &mut Vec<F::Output>) {
        // Pending is what it is in the end.
        let _ = self.poll_oldest(&mut Context::from_waker(Waker::noop()), done);
    }

    /// The same; pending, and woken later, where the oldest is not done.
    pub(super) fn poll_oldest(
        &mut self,
        context: &mut Context<'_>,
        done: &mut Vec<F::Output>,
    ) -> Poll<()> {
        let before = done.len();
        while let Some(oldest) = self.sent.front_mut()
            && let Poll::Ready(output) = oldest.as_mut().poll(context)
        {
            done.push(output);
            if let Some(one) = self.sent.pop_front() {
                self.keep(one);
            }
        }
        if done.len() > before { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes what is done, wherever it stands, without asking to be woken.
    pub(super) fn sweep(&mut self, done: &mut Vec<F::Output>) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..self.sent.len() {
            let Some(mut one) = self.sent.pop_front() else { break };
            match one.as_mut().poll(&mut context) {
                Poll::Ready(output) => {
                    done.push(output);
                    self.keep(one);
                }
                Poll::Pending => self.sent.push_back(one),
            }
        }
    }

    /// A future that is done holds nothing but its memory.
    fn keep(&mut self, one: Pin<Box<F>>) {
        if self.spare.len() < MOST_SPARE {
            self.spare.push(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use tokio::sync::oneshot;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Publishes of numbered events, each to be confirmed by hand.
    fn begun(
        count: usize,
    ) -> (UnderWay<impl Future<Output = usize>>, Vec<Option<oneshot::Sender<()>>>) {
        let (mut under_way, mut brokers) = (UnderWay::new(), Vec::new());
        for number in 0..count {
            let (broker, confirm) = oneshot::channel();
            brokers.push(Some(broker));
            let publish = async move {
                confirm.await.unwrap();
                number
            };
            assert_eq!(under_way.begin(publish), None);
        }
        (under_way, brokers)
    }

    fn confirm(brokers: &mut [Option<oneshot::Sender<()>>], number: usize) {
        brokers[number].take().unwrap().send(()).unwrap();
    }

    #[test]
    fn the_oldest_wakes_and_brings_all_behind_it_that_are_done() {
        let (mut under_way, mut brokers) = begun(5);
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(wakes.clone());
        let (mut context, mut done) = (Context::from_waker(&waker), Vec::new());
        assert!(under_way.poll_oldest(&mut context, &mut done).is_pending());
        [1, 2, 4].iter().for_each(|number| confirm(&mut brokers, *number));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0, "woken by what is not the oldest");
        confirm(&mut brokers, 0);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(under_way.poll_oldest(&mut context, &mut done).is_ready());
        assert_eq!(done, [0, 1, 2]);
        // The new oldest has been asked to wake.
        confirm(&mut brokers, 3);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
        under_way.take_oldest(&mut done);
        assert_eq!(done, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_sweep_finds_what_is_done_behind_the_oldest_and_keeps_the_order() {
        let (mut under_way, mut brokers) = begun(4);
        let mut done = Vec::new();
        [3, 1].iter().for_each(|number| confirm(&mut brokers, *number));
        under_way.take_oldest(&mut done);
        assert!(done.is_empty());
        under_way.sweep(&mut done);
        assert_eq!(done, [1, 3]);
        [2, 0].iter().for_each(|number| confirm(&mut brokers, *number));
        under_way.take_oldest(&mut done);
        assert_eq!(done, [1, 3, 0, 2]);
    }

    #[test]
    fn what_is_done_at_once_is_told_at_once_and_memory_is_used_again() {
        let mut under_way = UnderWay::new();
        for number in 0..MOST_SPARE * 2 {
            assert_eq!(under_way.begin(std::future::ready(number)), Some(number));
        }
        assert_eq!((under_way.sent.len(), under_way.spare.len()), (0, 1));
    }
}
