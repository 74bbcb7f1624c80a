//! The server's time: the only place where the wall clock is read.
//!
//! Wall time is the moment of the start plus what Tokio's clock has moved since, so that a test that pauses Tokio's
//! time moves the server's time too.

use jiff::{SignedDuration, Timestamp, ToSpan as _};
use tokio::time::Instant;

/// Time as the server sees it; a copy tells the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    started: Instant,
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
        Self { wall, started: Instant::now() }
    }

    /// The wall time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::MAX);
        self.wall.checked_add(elapsed).unwrap_or(Timestamp::MAX)
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
}

/// A time as Kubernetes' `Time` is written: `2026-01-02T03:04:05Z`.
fn time_text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// DEC-20.
    #[tokio::test(start_paused = true)]
    async fn wall_time_moves_with_tokios_time() {
        let clock = Clock::starting_at("2026-01-02T03:04:05.9Z".parse().unwrap());
        assert_eq!(clock.now_text(), "2026-01-02T03:04:05Z");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now_text(), "2026-01-02T03:05:05Z");
        assert_eq!(clock.text_after(30), "2026-01-02T03:05:35Z");
    }
}
