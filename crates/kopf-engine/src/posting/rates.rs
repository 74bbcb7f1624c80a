//! How often Events on the progress of handling may be posted (DEC-12).

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// What one object may post at once.
const OBJECT_BURST: f64 = 25.0;
/// After that, one in this time.
const OBJECT_REFILL: Duration = Duration::from_secs(300);
/// What one operator may post in a second.
const OPERATOR_RATE: f64 = 50.0;
/// The objects that are remembered: who has posted longest ago is forgotten, and starts with a full bucket again.
const OBJECTS: usize = 4096;

/// What fills slowly and empties by use.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    since: Instant,
}

/// The rates of an operator and its objects.
#[derive(Debug)]
pub(crate) struct Rates {
    operator: Bucket,
    objects: HashMap<String, Bucket>,
    order: VecDeque<String>,
}

impl Rates {
    pub(crate) fn new() -> Self {
        Self {
            operator: Bucket { tokens: OPERATOR_RATE, since: Instant::now() },
            objects: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Whether an Event about the object may be posted now. Only the object's own rate holds warnings.
    pub(crate) fn admit(&mut self, object: &str, warning: bool) -> bool {
        let now = Instant::now();
        let per_second = OPERATOR_RATE;
        self.operator.fill(now, per_second, OPERATOR_RATE);
        if !warning && self.operator.tokens < 1.0 {
            return false;
        }
        let bucket = self.object(object, now);
        bucket.fill(now, 1.0 / OBJECT_REFILL.as_secs_f64(), OBJECT_BURST);
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        self.operator.tokens = (self.operator.tokens - 1.0).max(0.0);
        true
    }

    fn object(&mut self, object: &str, now: Instant) -> &mut Bucket {
        if !self.objects.contains_key(object) {
            if self.objects.len() >= OBJECTS
                && let Some(oldest) = self.order.pop_front()
            {
                self.objects.remove(&oldest);
            }
            self.order.push_back(object.to_owned());
        }
        self.objects.entry(object.to_owned()).or_insert(Bucket { tokens: OBJECT_BURST, since: now })
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant, per_second: f64, limit: f64) {
        let gained = (now - self.since).as_secs_f64() * per_second;
        self.tokens = (self.tokens + gained).min(limit);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DEC-12.
    #[tokio::test(start_paused = true)]
    async fn an_object_has_a_burst_and_then_one_in_five_minutes() {
        let mut rates = Rates::new();
        assert_eq!((0..100).filter(|_| rates.admit("a", true)).count(), 25);
        tokio::time::advance(Duration::from_secs(299)).await;
        assert!(!rates.admit("a", true));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(rates.admit("a", true) && !rates.admit("a", true) && rates.admit("b", true));
    }

    /// DEC-12.
    #[tokio::test(start_paused = true)]
    async fn an_operator_posts_fifty_a_second_and_warnings_before_all() {
        let mut rates = Rates::new();
        assert_eq!((0..100).filter(|i| rates.admit(&format!("o{i}"), false)).count(), 50);
        assert!(rates.admit("w", true));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..100).filter(|i| rates.admit(&format!("p{i}"), false)).count(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn the_objects_that_are_remembered_are_limited() {
        let mut rates = Rates::new();
        for object in 0..10_000 {
            rates.admit(&object.to_string(), true);
        }
        assert_eq!((rates.objects.len(), rates.order.len()), (OBJECTS, OBJECTS));
    }
}
