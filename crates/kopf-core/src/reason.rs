//! Why an object needs handling, and what kind of watch event told so.

use std::fmt;

/// Why handlers run, detected from the state of the object (W-CAU-001, W-CAU-006).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The object has never been handled.
    Create,
    /// The essence differs from the last handled one.
    Update,
    /// The object is marked for deletion and held by our finalizer.
    Delete,
    /// Nothing changed, but this process sees the object for the first time.
    Resume,
    /// Nothing changed.
    Noop,
    /// The object is being deleted, and not held by us (any more).
    Free,
    /// The object does not exist any more.
    Gone,
}

impl Reason {
    /// The word in kwargs and progress records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Resume => "resume",
            Self::Noop => "noop",
            Self::Free => "free",
            Self::Gone => "gone",
        }
    }

    /// The word in log lines: `Creation`, `Updating`, `Deletion`, `Resuming`.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Create => "Creation",
            Self::Update => "Updating",
            Self::Delete => "Deletion",
            Self::Resume => "Resuming",
            Self::Noop => "Noop",
            Self::Free => "Free",
            Self::Gone => "Gone",
        }
    }

    /// Reads the word of a progress record's `purpose`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Resume, Self::Noop, Self::Free, Self::Gone]
            .into_iter()
            .find(|reason| reason.as_str() == word)
    }

    /// Whether state-changing handlers run for it.
    #[must_use]
    pub fn is_handled(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete | Self::Resume)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The type of a watch event. An object of the initial listing has none: `Option<EventType>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// The object has appeared.
    Added,
    /// The object has changed.
    Modified,
    /// The object is gone; the event shows its last state.
    Deleted,
}

impl EventType {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }

    /// Reads the word on the wire; none for bookmarks, errors and unknown types.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Added, Self::Modified, Self::Deleted].into_iter().find(|kind| kind.as_str() == word)
    }
}
