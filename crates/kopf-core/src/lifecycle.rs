//! Lifecycles: which of the handlers that may run now do run, and in which order.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use crate::{cause::Cause, error::ErrorInfo, handler::HandlerId};

/// A handler that may run now, as a lifecycle sees it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its id.
    pub id: HandlerId,
    /// The attempts made so far.
    pub retries: u32,
    /// When it was first selected.
    pub started: Timestamp,
}

/// Chooses from the candidates, which come in the order of declaration (A-LIF-001).
pub trait Lifecycle: fmt::Debug + Send + Sync {
    /// The positions of the chosen candidates, in the order in which they are to run.
    ///
    /// # Errors
    /// What the code raises: the step fails, and the object is throttled.
    fn choose(
        &self,
        candidates: &[Candidate],
        cause: &Cause,
        now: Timestamp,
    ) -> Result<Vec<usize>, ErrorInfo>;

    /// Whether it is the door's code (DEC-6).
    fn is_plugin(&self) -> bool {
        true
    }
}

/// The lifecycles that come with the engine (A-LIF-003).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Builtin {
    /// All, one after another.
    AllAtOnce,
    /// The first.
    OneByOne,
    /// One, by chance.
    Randomized,
    /// All, in an order by chance.
    Shuffled,
    /// The one with the fewest attempts so far; of equals, the first declared. The default.
    #[default]
    Asap,
}

/// The default lifecycle.
#[must_use]
pub fn asap() -> Arc<dyn Lifecycle> {
    Arc::new(Builtin::Asap)
}

impl Lifecycle for Builtin {
    fn choose(
        &self,
        candidates: &[Candidate],
        _cause: &Cause,
        now: Timestamp,
    ) -> Result<Vec<usize>, ErrorInfo> {
        let all = 0..candidates.len();
        Ok(match self {
            Self::AllAtOnce => all.collect(),
            Self::OneByOne => all.take(1).collect(),
            Self::Randomized => shuffled(candidates.len(), now).into_iter().take(1).collect(),
            Self::Shuffled => shuffled(candidates.len(), now),
            Self::Asap => all.min_by_key(|&position| candidates[position].retries).into_iter().collect(),
        })
    }

    fn is_plugin(&self) -> bool {
        false
    }
}

/// The positions in an order that differs from moment to moment. Chance comes from the clock, which comes in as a value:
/// the core has no source of randomness of its own, so that a recorded run can be replayed.
fn shuffled(len: usize, now: Timestamp) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    let mut state = now.as_nanosecond() as u64;
    for last in (1..len).rev() {
        state = splitmix(state);
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
    order
}

/// One step of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
fn splitmix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
