//! Handlers as they are declared: what to run, for which objects, how often to try.

use std::{fmt, sync::Arc};

use jiff::SignedDuration;

use crate::{field::FieldPath, filter::Filters, reason::Reason};

/// The persistent id of a handler: names its progress record, its result and its log lines (W-KEY-001).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandlerId(Arc<str>);

impl HandlerId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of a sub-handler: `parent/own` (A-HID-006).
    #[must_use]
    pub fn child(&self, own: &str) -> Self {
        Self(format!("{}/{own}", self.0).into())
    }

    /// The id of a handler with `field=`: `id/spec.size` (A-HID-004).
    #[must_use]
    pub fn with_field(&self, field: &FieldPath) -> Self {
        Self(format!("{}/{field}", self.0).into())
    }
}

impl From<&str> for HandlerId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for HandlerId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for HandlerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When a handler of an object runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// On every watch event (`on.event`).
    Event,
    /// Once for a new object (`on.create`).
    Create,
    /// Once for every change of the essence (`on.update`).
    Update,
    /// Before the object is gone (`on.delete`).
    Delete {
        /// Requires no finalizer; runs only if the object is held for another reason (A-DEC-020).
        optional: bool,
    },
    /// Once per process for an object that was there before (`on.resume`).
    Resume {
        /// Runs also for objects that are being deleted (A-DEC-019).
        deleted: bool,
    },
    /// On every change of one field, whatever the cause (`on.field`).
    Field,
    /// In any cause of its parent (`subhandler`, `register`, `execute`).
    Sub {
        /// The parent's reason is `update`, or it is a field handler: then `field=` requires a change (A-SUB-008).
        needs_change: bool,
    },
}

impl Trigger {
    /// Whether its progress is kept in the object: all but event handlers.
    #[must_use]
    pub fn is_changing(self) -> bool {
        self != Self::Event
    }

    /// The one reason for which it runs; none if several are possible.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Create => Some(Reason::Create),
            Self::Update => Some(Reason::Update),
            Self::Delete { .. } => Some(Reason::Delete),
            Self::Event | Self::Resume { .. } | Self::Field | Self::Sub { .. } => None,
        }
    }
}

/// What happens to errors that are neither temporary nor permanent (A-DEC-013).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorsMode {
    /// They count as a success without a result.
    Ignored,
    /// The handler is tried again after its backoff.
    Temporary,
    /// The handler has failed for good.
    Permanent,
}

/// How often and how long a handler is tried. None = not set.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The treatment of arbitrary errors; by default `Ignored` for event handlers, `Temporary` for others.
    pub errors: Option<ErrorsMode>,
    /// The time for all attempts together, from the first selection.
    pub timeout: Option<SignedDuration>,
    /// The number of attempts.
    pub retries: Option<u32>,
    /// The delay after an arbitrary error; by default `settings.execution.default_backoff`.
    pub backoff: Option<SignedDuration>,
}

/// What a handler reads of the object, as bits: decides what is kept in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(pub u16);

impl Needs {
    /// Labels, annotations, name, namespace, uid.
    pub const METADATA: Self = Self(1);
    /// The spec and other top-level fields.
    pub const SPEC: Self = Self(2);
    /// The status.
    pub const STATUS: Self = Self(4);
    /// The last handled essence: `old`, `new`, `diff`.
    pub const OLD: Self = Self(8);
    /// Changes the object by the patch.
    pub const PATCH: Self = Self(16);
    /// `metadata.managedFields` (DEC-18).
    pub const MANAGED_FIELDS: Self = Self(32);
    /// Everything.
    pub const ALL: Self = Self(u16::MAX);

    /// What either needs.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is needed.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A handler of the objects of one or several resources. What the function is, only the door knows.
#[derive(Clone, Debug)]
pub struct Handler {
    /// The full id, with the parent's id and the field.
    pub id: HandlerId,
    /// When it runs.
    pub trigger: Trigger,
    /// For which objects it runs.
    pub filters: Filters,
    /// How it is tried.
    pub options: Options,
    /// The identity of the door's function: one function under several triggers runs once per cause (W-CYC-018).
    pub function: u64,
    /// What it reads.
    pub needs: Needs,
}

impl Handler {
    /// The field it is about, if any.
    #[must_use]
    pub fn field(&self) -> Option<&FieldPath> {
        self.filters.field.as_ref()
    }
}
