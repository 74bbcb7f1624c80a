//! The server's time: the only place where the wall clock is read, and where the server waits for time to pass.
//!
//! Wall time is the moment of the start plus what Tokio's clock has moved since, so that a test that pauses Tokio's
//! time moves the server's time too. Besides, a test can freeze the server's time and move it forward by hand, over real
//! sockets as well (D-230).

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// Time as the server sees it; all clones are one clock.
///
/// Everything of the server follows it: times in objects, ages in tables, bookmarks and the ends of watches, tokens, how
/// long the past is kept, the grace of Pods, and the durations of faults.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The wall time at the moment zero.
    wall: Timestamp,
    state: Mutex<State>,
    /// Wakes those who wait when the clock was moved, frozen or let go.
    moved: Notify,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// The time since the moment zero when the clock was last touched.
    elapsed: Duration,
    /// Since when it has been running; `None` while it is frozen.
    running_since: Option<Instant>,
}

/// A moment of the server's time, to be compared with others of the same clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// So much later.
    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// How long ago `earlier` was; zero if it is still to come.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Clock {
    /// A clock that starts at the present time.
    #[must_use]
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
        Self::starting_at(Timestamp::now())
    }

    /// A clock that shows `wall` now and runs with Tokio's clock from here.
    #[must_use]
    pub fn starting_at(wall: Timestamp) -> Self {
        Self::new(wall, Some(Instant::now()))
    }

    /// A clock that shows `wall` until it is moved.
    #[must_use]
    pub fn frozen_at(wall: Timestamp) -> Self {
        Self::new(wall, None)
    }

    fn new(wall: Timestamp, running_since: Option<Instant>) -> Self {
        let state = Mutex::new(State { elapsed: Duration::ZERO, running_since });
        Self(Arc::new(Inner { wall, state, moved: Notify::new() }))
    }

    /// The wall time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.moment().0).unwrap_or(SignedDuration::MAX);
        self.0.wall.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// The wall time now as Kubernetes writes times: UTC, whole seconds.
    #[must_use]
    pub fn now_text(&self) -> String {
        time_text(self.now())
    }

    /// As [`Clock::now_text`], some seconds later.
    #[must_use]
    pub fn text_after(&self, seconds: i64) -> String {
        time_text(self.now().checked_add(seconds.seconds()).unwrap_or(Timestamp::MAX))
    }

    /// Moves the time forward at once, running or frozen. What was due in between happens now.
    pub fn advance(&self, time: Duration) {
        self.change(|state| state.elapsed = state.elapsed.saturating_add(time));
    }

    /// Stops the time until it is moved by [`Clock::advance`] or let go by [`Clock::run`].
    pub fn freeze(&self) {
        self.change(|state| *state = State { elapsed: state.elapsed(), running_since: None });
    }

    /// Lets a frozen time run again, from where it is.
    pub fn run(&self) {
        self.change(|state| {
            state.running_since.get_or_insert_with(Instant::now);
        });
    }

    /// Whether the time stands still.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.lock().running_since.is_none()
    }

    /// Now, for comparisons.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.lock().elapsed())
    }

    /// Waits until a moment. Cancel safe.
    pub(crate) async fn sleep_until(&self, moment: Moment) {
        loop {
            // Listening begins before the look at the clock, so that no move between the two is missed.
            let mut moved = pin!(self.0.moved.notified());
            moved.as_mut().enable();
            let state = *self.lock();
            let left = moment.since(Moment(state.elapsed()));
            if left.is_zero() {
                return;
            }
            if state.running_since.is_none() {
                moved.await;
                continue;
            }
            tokio::select! {
                biased;
                () = moved => {}
                () = sleep(left) => {}
            }
        }
    }

    /// Waits so long. Cancel safe.
    pub(crate) async fn sleep(&self, time: Duration) {
        self.sleep_until(self.moment().after(time)).await;
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.0.moved.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Two numbers: a panic elsewhere cannot leave them half changed.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn elapsed(&self) -> Duration {
        let run = self.running_since.map_or(Duration::ZERO, |since| since.elapsed());
        self.elapsed.saturating_add(run)
    }
}

/// A time as Kubernetes' `Time` is written: `2026-01-02T03:04:05Z`.
fn time_text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-01-02T03:04:05.9Z".parse().unwrap()
    }

    /// DEC-20.
    #[tokio::test(start_paused = true)]
    async fn wall_time_moves_with_tokios_time() {
        let clock = Clock::starting_at(start());
        assert_eq!(clock.now_text(), "2026-01-02T03:04:05Z");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now_text(), "2026-01-02T03:05:05Z");
        assert_eq!(clock.text_after(30), "2026-01-02T03:05:35Z");
    }

    /// D-230.
    #[tokio::test(start_paused = true)]
    async fn a_frozen_clock_stands_until_it_is_moved_and_goes_on_from_there() {
        let clock = Clock::starting_at(start());
        clock.freeze();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now_text(), "2026-01-02T03:04:05Z");
        clock.advance(Duration::from_secs(3 * 3600));
        assert_eq!(clock.now_text(), "2026-01-02T06:04:05Z");
        clock.run();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now_text(), "2026-01-02T06:05:05Z");
    }

    /// D-230.
    #[tokio::test(start_paused = true)]
    async fn whoever_waits_wakes_when_the_clock_is_moved_past_it() {
        let clock = Clock::frozen_at(start());
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(100)).await }
        });
        tokio::time::sleep(Duration::from_secs(1000)).await;
        clock.advance(Duration::from_secs(99));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        clock.advance(Duration::from_secs(1));
        waiting.await.unwrap();
    }
}
