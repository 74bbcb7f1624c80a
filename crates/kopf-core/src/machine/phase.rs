//! What the machine is doing: the states, and what they carry.

use std::{iter, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use super::{CallId, changes::Changes, handling::Handling, sleep::Sleep, watching::Watching, write::Write};
use crate::{
    cause::Cause,
    finalizer::FinalizerChange,
    handler::{Handler, HandlerId},
    object::Object,
    patch::Patch,
    reason::EventType,
    state::State,
};

/// The states. Arrows name what follows; phases marked *waits* end only by an input.
#[derive(Clone, Debug, Default)]
pub(super) enum Phase {
    /// *Waits.* Nothing to do. → `Begun` (event).
    #[default]
    Idle,
    /// An event is to be processed. → `Watching`, `Watched`.
    Begun(Box<Cycle>),
    /// Event handlers run; *waits* while one does. → `Watched`.
    Watching(Box<Watching>),
    /// Event handlers are done; the cause is to be detected. → `Waiting`, `Overdue`, `Consistent`, `Closing`.
    Watched(Box<Cycle>),
    /// *Waits* until the own write is seen in the stream. → `Begun` (event), `Overdue` (time).
    Waiting(Box<Cycle>, Timestamp),
    /// The own write was not seen in time. → `Consistent`, `Begun`, `Idle`.
    Overdue(Box<Cycle>),
    /// The object is as we have written it; its handlers are to be selected. → `Handling`, `Closing`.
    Consistent(Box<Cycle>),
    /// State-changing handlers run; *waits* while one does. → `Closing`.
    Handling(Box<Handling>),
    /// All is decided; the patch is to be made. → `Applying`, `Sleeping`, `Touching`, `Idle`, `Gone`.
    Closing(Box<Cycle>),
    /// *Waits* for delayed handlers. → `Begun` (event), `Touching` (time).
    Sleeping(Box<Sleep>),
    /// The object is to be touched, so that its event continues the work. → `Applying`, `Begun`.
    Touching(Box<Cycle>),
    /// Requests are sent one after another; *waits* while one is under way. → `Waiting`, `Begun`, `Idle`.
    Applying(Box<Write>),
    /// *Waits* after an error, for a time or, if none is set, for an event. → what failed (time), `Begun` (event).
    Throttled(Option<Timestamp>, Box<Self>),
    /// *Waits.* The object is gone.
    Gone,
}

/// An event, with what was done about it.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) event_type: Option<EventType>,
    pub(super) object: Object,
    /// Its event handlers have run.
    pub(super) is_watched: bool,
}

/// The processing of one event.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    pub(super) number: u64,
    pub(super) event: Event,
    /// More events wait: nothing is slept for (W-QUE-002).
    pub(super) is_pressed: bool,
    /// Something of cycles before is still to be written: state-changing handlers have to wait (W-PAT-009).
    pub(super) is_carrying: bool,
    /// What handlers want to be changed.
    pub(super) patch: Patch,
    /// Results of event handlers.
    pub(super) results: Vec<(HandlerId, Value)>,
    /// What the engine wants to be changed.
    pub(super) changes: Changes,
    /// Sub-handlers whose records are in the patch, and not among the changes yet.
    pub(super) children: Vec<HandlerId>,
    /// What handlers have finished with, if it is not among the changes yet.
    pub(super) finished_with: Option<FinishedWith>,
    /// The finalizer is to be added or removed.
    pub(super) finalizer: Option<FinalizerChange>,
    /// Why state-changing handlers run; none if none is concerned.
    pub(super) cause: Option<Arc<Cause>>,
    /// What became of the state-changing part.
    pub(super) progress: Progress,
}

/// What became of the state-changing part of a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing to do: no state-changing handler is concerned.
    #[default]
    Unconcerned,
    /// Put off: this version of the object has to be looked at again.
    Deferred,
    /// There are handlers left, which may run at this time.
    Unfinished(Timestamp),
    /// All is done.
    Done,
}

/// A call that has not finished.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) call: CallId,
    pub(super) handler: Arc<Handler>,
}

impl Phase {
    pub(super) fn accepts_events(&self) -> bool {
        matches!(self, Self::Idle | Self::Waiting(..) | Self::Sleeping(_) | Self::Throttled(..) | Self::Gone)
    }

    /// Nothing can be done before an input.
    pub(super) fn is_waiting(&self) -> bool {
        match self {
            Self::Idle | Self::Waiting(..) | Self::Sleeping(_) | Self::Throttled(..) | Self::Gone => true,
            Self::Watching(watching) => !watching.is_ready(),
            Self::Handling(handling) => !handling.is_ready(),
            Self::Applying(write) => !write.is_ready(),
            Self::Begun(_)
            | Self::Watched(_)
            | Self::Overdue(_)
            | Self::Consistent(_)
            | Self::Closing(_)
            | Self::Touching(_) => false,
        }
    }

    /// A write has begun and is not accepted yet.
    pub(super) fn is_writing(&self) -> bool {
        match self {
            Self::Applying(_) => true,
            Self::Throttled(_, then) => then.is_writing(),
            _ => false,
        }
    }

    /// The patches that are pending.
    pub(super) fn patches(&self) -> Box<dyn Iterator<Item = &Patch> + '_> {
        match self {
            Self::Idle | Self::Gone => Box::new(iter::empty()),
            Self::Begun(cycle)
            | Self::Watched(cycle)
            | Self::Waiting(cycle, _)
            | Self::Overdue(cycle)
            | Self::Consistent(cycle)
            | Self::Closing(cycle)
            | Self::Touching(cycle) => Box::new(iter::once(&cycle.patch)),
            Self::Watching(watching) => Box::new(iter::once(&watching.cycle.patch)),
            Self::Handling(handling) => Box::new(iter::once(&handling.cycle.patch)),
            Self::Sleeping(sleep) => Box::new(iter::once(&sleep.cycle.patch)),
            Self::Applying(write) => Box::new(iter::once(&write.cycle.patch)),
            Self::Throttled(_, then) => then.patches(),
        }
    }
}

/// What handlers have finished with in a cycle that was given up.
#[derive(Clone, Debug)]
pub(super) struct FinishedWith {
    /// The essence that they have seen.
    pub(super) seen: Arc<Value>,
    /// The last handled essence then.
    pub(super) old: Option<Arc<Value>>,
    /// The progress of all.
    pub(super) state: State,
}

impl Cycle {
    pub(super) fn new(number: u64, event: Event, is_pressed: bool) -> Box<Self> {
        Box::new(Self {
            number,
            event,
            is_pressed,
            is_carrying: false,
            patch: Patch::default(),
            results: Vec::new(),
            changes: Changes::default(),
            children: Vec::new(),
            finished_with: None,
            finalizer: None,
            cause: None,
            progress: Progress::default(),
        })
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.event.event_type == Some(EventType::Deleted)
    }
}
