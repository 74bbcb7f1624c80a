//! The server's source of chance: uids and generated names. Seeded, two clusters make the same ones.

use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::machinery::names;

/// Shared by all requests of a cluster.
#[derive(Debug)]
pub(crate) struct Random(Mutex<StdRng>);

impl Random {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self(Mutex::new(seed.map_or_else(rand::make_rng, StdRng::seed_from_u64)))
    }

    /// A generator for the part `part` of a cluster, independent of what the others draw.
    pub(crate) fn derived(seed: Option<u64>, part: u64) -> Self {
        // Seeds that are next to each other give unrelated generators; the odd factor keeps parts of neighbours apart.
        Self::new(seed.map(|seed| seed.wrapping_add(part.wrapping_mul(0x9E37_79B9_7F4A_7C15))))
    }

    /// Whether something with this probability happens this time.
    pub(crate) fn happens(&self, probability: f64) -> bool {
        self.lock().random_bool(probability.clamp(0.0, 1.0))
    }

    /// A random UUID (version 4) as text.
    pub(crate) fn uid(&self) -> String {
        let bytes: [u8; 16] = self.lock().random();
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// `base` with five random characters, the base cut so that the whole has at most 63 (D-102).
    pub(crate) fn name(&self, base: &str) -> String {
        names::generate(base, self.lock().random())
    }

    /// An address from the range of Services, which is 10.96.0.0/12.
    pub(crate) fn service_address(&self) -> String {
        let mut rng = self.lock();
        let (a, b, c) = (rng.random_range(96..112), rng.random_range(0..=255), rng.random_range(1..=254));
        format!("10.{a}.{b}.{c}")
    }

    /// A factor in `[1, 2)`.
    pub(crate) fn one_to_two(&self) -> f64 {
        self.lock().random_range(1.0..2.0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, StdRng> {
        // A panic elsewhere cannot leave a generator half changed in a way that matters.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-102.
    #[test]
    fn the_same_seed_makes_the_same_uids_and_names() {
        let (a, b) = (Random::new(Some(7)), Random::new(Some(7)));
        assert_eq!((a.uid(), a.name("x-")), (b.uid(), b.name("x-")));
    }
}
