//! The progress of all handlers of an object in one cycle: who is done, who may run, how long to wait, what to write.
//!
//! Values only: reading from the object and writing into the patch go through the storages of the plan.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use crate::{
    error::ErrorInfo,
    handler::{Handler, HandlerId},
    json::python_bool,
    lifecycle::Candidate,
    object::Object,
    reason::Reason,
    record::ProgressRecord,
    storage::{ProgressStorage, RawRecord},
};

/// The progress of one handler.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Its id.
    pub id: HandlerId,
    /// What is known of it.
    pub record: ProgressRecord,
    /// Selected for the cause of this cycle.
    pub is_active: bool,
    /// The record as it is stored.
    origin: Option<RawRecord>,
}

impl Progress {
    /// Whether the stored record says that the handler has succeeded or failed for good.
    fn was_finished(&self) -> bool {
        let was = |field| self.origin.as_ref().and_then(|origin| origin.get(field)).is_some_and(python_bool);
        was("success") || was("failure")
    }
}

/// The progress of all handlers: those with a record, and those selected.
#[derive(Clone, Debug)]
pub struct State {
    reason: Reason,
    all: Vec<Progress>,
}

/// How many handlers are how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Have succeeded.
    pub succeeded: usize,
    /// Have failed for good.
    pub failed: usize,
    /// Are not finished.
    pub left: usize,
}

impl State {
    /// Reads the records of the declared handlers, and begins those of the selected ones that have none (W-CYC-011).
    ///
    /// # Errors
    /// What the storage raises, and records that make no sense.
    pub fn read(
        storage: &dyn ProgressStorage,
        object: &Object,
        declared: &[Arc<Handler>],
        selected: &[Arc<Handler>],
        reason: Reason,
        now: Timestamp,
    ) -> Result<Self, ErrorInfo> {
        let mut state = Self { reason, all: Vec::new() };
        for handler in declared {
            if state.progress(&handler.id).is_some() {
                continue; // Two handlers may share an id, and so a record (A-HID-011).
            }
            if let Some(origin) = storage.fetch(&handler.id, object)? {
                let record = read_record(&handler.id, &origin, now)?;
                state.all.push(Progress {
                    id: handler.id.clone(),
                    record,
                    is_active: false,
                    origin: Some(origin),
                });
            }
        }
        for handler in selected {
            match state.progress_mut(&handler.id) {
                Some(progress) => progress.is_active = true,
                None => state.all.push(Progress {
                    id: handler.id.clone(),
                    record: ProgressRecord::new(Some(reason), now),
                    is_active: true,
                    origin: None,
                }),
            }
        }
        Ok(state)
    }

    /// The causes that this one supersedes, with the progress made for them, in the order of first sight (W-CYC-013).
    #[must_use]
    pub fn superseded(&self) -> Vec<(Reason, Counts)> {
        let mut reasons: Vec<Reason> = Vec::new();
        for reason in self.all.iter().filter_map(|progress| self.other_purpose(progress)) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        let counts =
            |reason| count(self.all.iter().filter(|progress| self.other_purpose(progress) == Some(reason)));
        reasons.into_iter().map(|reason| (reason, counts(reason))).collect()
    }

    /// Takes the selected handlers over to this cause, with all they have achieved (W-CYC-014). The others stay as they are.
    pub fn take_over(&mut self) {
        for progress in self.all.iter_mut().filter(|progress| progress.is_active) {
            progress.record.purpose = Some(self.reason);
        }
    }

    /// Forgets the handlers of other causes, and gives what is to be purged of them. What the selected ones have is kept,
    /// also if it needs no writing (W-CYC-019).
    pub fn drop_irrelevant(&mut self) -> BTreeSet<HandlerId> {
        let is_relevant = |progress: &Progress| progress.is_active || self.other_purpose(progress).is_none();
        let (kept, dropped): (Vec<_>, Vec<_>) = self.all.clone().into_iter().partition(is_relevant);
        let wanted = with_children(&kept);
        self.all = kept;
        with_children(&dropped).into_iter().filter(|id| !wanted.contains(id)).collect()
    }

    /// The selected handlers that may run now, in the order of declaration.
    #[must_use]
    pub fn awakened(&self, selected: &[Arc<Handler>], now: Timestamp) -> Vec<Arc<Handler>> {
        let is_awakened = |id| self.progress(id).is_some_and(|progress| progress.record.is_awakened(now));
        selected.iter().filter(|handler| is_awakened(&handler.id)).cloned().collect()
    }

    /// A handler as lifecycles see it.
    #[must_use]
    pub fn candidate(&self, id: &HandlerId) -> Option<Candidate> {
        let record = self.record(id)?;
        Some(Candidate { id: id.clone(), retries: record.retries, started: record.started.timestamp() })
    }

    /// The record of a handler.
    #[must_use]
    pub fn record(&self, id: &HandlerId) -> Option<&ProgressRecord> {
        self.progress(id).map(|progress| &progress.record)
    }

    /// Replaces the record of a known handler.
    pub fn update(&mut self, id: &HandlerId, record: ProgressRecord) {
        if let Some(progress) = self.progress_mut(id) {
            progress.record = record;
        }
    }

    /// Whether all selected handlers have succeeded or failed for good.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.active().all(|progress| progress.record.is_finished())
    }

    /// Whether any selected handler had already succeeded or failed for good before this cycle.
    #[must_use]
    pub fn had_finished(&self) -> bool {
        self.active().any(Progress::was_finished)
    }

    /// Whether any record is stored in the object.
    #[must_use]
    pub fn is_any_stored(&self) -> bool {
        self.all.iter().any(|progress| progress.origin.is_some())
    }

    /// When the first of the selected handlers that are finished has begun, as it is stored.
    #[must_use]
    pub fn finished_since(&self) -> Option<String> {
        let finished = self.active().filter(|progress| progress.record.is_finished());
        let first = finished.min_by_key(|progress| progress.record.started.timestamp())?;
        Some(first.record.started.to_string())
    }

    /// Whether a handler that has begun at this moment was stored as finished.
    #[must_use]
    pub fn has_finished_since(&self, started: &str) -> bool {
        let mut finished = self.all.iter().filter(|progress| progress.was_finished());
        finished.any(|progress| progress.record.started.to_string() == started)
    }

    /// How long until a selected handler may run; none if all are done (W-REC-017).
    #[must_use]
    pub fn delay(&self, now: Timestamp) -> Option<SignedDuration> {
        self.active().filter_map(|progress| progress.record.delay(now)).min()
    }

    /// The progress made for this cause, also by handlers that are not selected any more.
    #[must_use]
    pub fn counts(&self) -> Counts {
        count(self.all.iter().filter(|progress| self.other_purpose(progress).is_none()))
    }

    /// All handlers of the state and their sub-handlers: those whose records end with the cycle (W-PRG-006).
    #[must_use]
    pub fn ids(&self) -> BTreeSet<HandlerId> {
        with_children(&self.all)
    }

    /// The records that differ from what is stored (W-REC-015, W-REC-016).
    pub fn changed<'a>(
        &'a self,
        storage: &'a dyn ProgressStorage,
    ) -> impl Iterator<Item = (&'a HandlerId, RawRecord)> {
        self.all.iter().filter_map(|progress| {
            let record = progress.record.to_raw();
            let is_stored = progress.origin.as_ref().is_some_and(|origin| *origin == storage.kept(&record));
            (!is_stored).then_some((&progress.id, record))
        })
    }

    /// The progress of all handlers.
    pub fn iter(&self) -> impl Iterator<Item = &Progress> {
        self.all.iter()
    }

    fn active(&self) -> impl Iterator<Item = &Progress> {
        self.all.iter().filter(|progress| progress.is_active)
    }

    fn progress(&self, id: &HandlerId) -> Option<&Progress> {
        self.all.iter().find(|progress| progress.id == *id)
    }

    fn progress_mut(&mut self, id: &HandlerId) -> Option<&mut Progress> {
        self.all.iter_mut().find(|progress| progress.id == *id)
    }

    /// The purpose of a record that was made for another cause. Records without one belong to any (W-REC-009).
    fn other_purpose(&self, progress: &Progress) -> Option<Reason> {
        progress.record.purpose.filter(|&purpose| purpose != self.reason)
    }
}

/// Reads a stored record; the error names the handler.
pub(crate) fn read_record(
    id: &HandlerId,
    raw: &RawRecord,
    now: Timestamp,
) -> Result<ProgressRecord, ErrorInfo> {
    ProgressRecord::parse(raw, now)
        .map_err(|error| ErrorInfo::new(format!("handler {:?}: {error}", id.as_str())))
}

fn count<'a>(all: impl Iterator<Item = &'a Progress>) -> Counts {
    all.fold(Counts::default(), |mut counts, progress| {
        *match (progress.record.success, progress.record.failure) {
            (true, _) => &mut counts.succeeded,
            (_, true) => &mut counts.failed,
            _ => &mut counts.left,
        } += 1;
        counts
    })
}

fn with_children(all: &[Progress]) -> BTreeSet<HandlerId> {
    all.iter().flat_map(|progress| progress.record.subrefs.iter().chain([&progress.id])).cloned().collect()
}
