//! The engine's only source of time (DEC-20).
//!
//! Wall time is the moment the clock was made plus what has passed on Tokio's clock since: it never jumps, and it stands
//! still and leaps as tests tell it to.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::Instant;

/// Wall time that follows Tokio's time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    start: Instant,
}

impl Clock {
    /// A clock that begins at the system's time.
    #[must_use]
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place where the system's time comes in")]
        let now = SystemTime::now();
        // Later than the year 9999, or so far in the past: no system runs there, but no reason to fail.
        Self::starting_at(Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// A clock that begins at a given time.
    #[must_use]
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { wall, start: Instant::now() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.wall.saturating_add(self.start.elapsed()).unwrap_or(Timestamp::MAX)
    }

    /// The moment on Tokio's clock that is the given time; the start, if it is before.
    #[must_use]
    pub fn instant(&self, time: Timestamp) -> Instant {
        self.start + Duration::try_from(time.duration_since(self.wall)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DEC-20.
    #[tokio::test(start_paused = true)]
    async fn wall_time_follows_tokios_time() {
        let clock = Clock::starting_at("2030-01-01T00:00:00Z".parse().unwrap());
        let start = Instant::now();
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(clock.now().to_string(), "2030-01-01T00:00:01.5Z");
        assert_eq!(clock.instant(clock.now()), start + Duration::from_millis(1500));
        assert_eq!(clock.instant(Timestamp::UNIX_EPOCH), start);
    }
}
