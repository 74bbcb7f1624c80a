//! Values that may be replaced at any time, from any thread, and are read as snapshots.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use kopf_core::{
    settings::Settings,
    storage::{DiffBaseStorage, ProgressStorage},
};

/// A value that may be replaced while the operator runs. Cloning shares it.
pub struct Shared<T>(Arc<ArcSwap<T>>);

/// The settings: read anew before each use, so that a change has effect at once (A-ACT-004).
pub type SettingsHandle = Shared<Settings>;

/// The storages: startup activities may replace them.
pub type StoragesHandle = Shared<Storages>;

/// Where progress and the last handled essence are kept: `settings.persistence.*_storage`.
#[derive(Clone, Debug)]
pub struct Storages {
    /// Progress.
    pub progress: Arc<dyn ProgressStorage>,
    /// The last handled essence.
    pub diff_base: Arc<dyn DiffBaseStorage>,
}

impl<T> Shared<T> {
    /// Shares a value.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// The value as it is now.
    #[must_use]
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value.
    pub fn store(&self, value: T) {
        self.0.store(Arc::new(value));
    }

    /// Changes a copy of the value and puts it in its place; again if somebody else was faster.
    pub fn update(&self, change: impl Fn(&mut T))
    where
        T: Clone,
    {
        self.0.rcu(|current| {
            let mut next = T::clone(current);
            change(&mut next);
            next
        });
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
