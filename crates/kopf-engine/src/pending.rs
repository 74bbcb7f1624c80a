//! What a worker waits for: a few futures at the same time.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use crate::door::BoxFuture;

/// Futures with what they are known by. They are few, as many as one object has handlers: so all are polled whenever one of them
/// may have ended, which is cheaper than to keep account of each.
pub(crate) struct Pending<K, T>(Vec<(K, BoxFuture<T>)>);

impl<K: Copy + PartialEq, T> Pending<K, T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, key: K, future: BoxFuture<T>) {
        self.0.push((key, future));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, key: K) -> bool {
        self.keys().any(|pending| pending == key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = K> + '_ {
        self.0.iter().map(|(key, _)| *key)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The end of the next that ends; none if there are none. Nothing is lost if it is dropped before.
    pub(crate) async fn next(&mut self) -> Option<(K, T)> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(K, T)>> {
        for position in 0..self.0.len() {
            let (key, future) = &mut self.0[position];
            if let Poll::Ready(result) = future.as_mut().poll(context) {
                let key = *key;
                drop(self.0.remove(position));
                return Poll::Ready(Some((key, result)));
            }
        }
        if self.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, poll};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn each_ends_once_in_the_order_in_which_they_end() {
        let mut pending = Pending::new();
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel::<u32>()).unzip();
        for (key, receiver) in receivers.into_iter().enumerate() {
            pending.push(key, receiver.map(Result::unwrap).boxed());
        }
        assert!(poll!(Box::pin(pending.next())).is_pending());
        for (key, sender) in senders.into_iter().enumerate().rev() {
            assert!(pending.contains(key));
            sender.send(7).unwrap();
            assert_eq!(pending.next().await, Some((key, 7)));
            assert!(!pending.contains(key));
        }
        assert_eq!(pending.next().await, None);
    }

    #[tokio::test]
    async fn an_end_wakes_whoever_waits() {
        let mut pending = Pending::new();
        let (sender, receiver) = oneshot::channel::<u32>();
        pending.push(1, receiver.map(Result::unwrap).boxed());
        let waiting = tokio::spawn(async move { pending.next().await });
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Some((1, 7)));
    }
}
