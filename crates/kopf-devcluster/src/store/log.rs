//! The changes of one resource, oldest first, bounded in number and age.
//!
//! Watchers own a cursor and read from here; nothing is queued for them, so a slow one delays nobody. Whoever falls
//! behind what is kept is told so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Compacted, Key, Object, Retention};
use crate::clock::Moment;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One change in the log.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: Arc<Key>,
    pub(crate) kind: ChangeKind,
    /// The new state; for a deletion the last one, under the deletion's resource version.
    pub(crate) object: Arc<Object>,
    /// What was there before.
    pub(crate) previous: Option<Arc<Object>>,
    pub(crate) at: Moment,
    departed: OnceLock<Arc<Object>>,
    lines: Mutex<Vec<Line>>,
}

/// A line of a watch stream that several watchers share.
#[derive(Debug)]
struct Line {
    view: u64,
    kind: ChangeKind,
    bytes: Bytes,
}

/// The lines that are remembered for each change: a few views, each with one or two kinds.
const REMEMBERED_LINES: usize = 4;

impl Change {
    pub(crate) fn new(
        key: Arc<Key>,
        kind: ChangeKind,
        object: Arc<Object>,
        previous: Option<Arc<Object>>,
        at: Moment,
    ) -> Self {
        let revision = object.revision;
        Self { revision, key, kind, object, previous, at, departed: OnceLock::new(), lines: Mutex::default() }
    }

    /// What a watcher sees when the change takes the object out of its selection: the old content under the new
    /// resource version (D-183).
    pub(crate) fn departed(&self) -> &Arc<Object> {
        self.departed.get_or_init(|| self.previous.as_ref().unwrap_or(&self.object).at(self.revision))
    }

    /// The line of a watch stream for a view, made by `encode` the first time.
    pub(crate) fn line(&self, view: u64, kind: ChangeKind, encode: impl FnOnce() -> Bytes) -> Bytes {
        let lock = || self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lock().iter().find(|line| line.view == view && line.kind == kind) {
            return line.bytes.clone();
        }
        let bytes = encode();
        let mut lines = lock();
        if lines.len() < REMEMBERED_LINES {
            lines.push(Line { view, kind, bytes: bytes.clone() });
        }
        bytes
    }
}

/// The log of a resource.
#[derive(Debug, Default)]
pub(super) struct Log {
    changes: VecDeque<Arc<Change>>,
    /// Revisions below this cannot be continued from.
    compacted: u64,
    /// The newest change that was dropped.
    dropped: u64,
}

impl Log {
    pub(super) fn append(&mut self, change: Change, retention: Retention) {
        let now = change.at;
        self.changes.push_back(Arc::new(change));
        while let Some(oldest) = self.changes.front() {
            if self.changes.len() <= retention.changes && now.since(oldest.at) <= retention.age {
                break;
            }
            self.compact(oldest.revision);
        }
    }

    pub(super) fn compact(&mut self, revision: u64) {
        while let Some(oldest) = self.changes.front().filter(|oldest| oldest.revision <= revision) {
            self.dropped = oldest.revision;
            self.changes.pop_front();
        }
        self.compacted = self.compacted.max(revision);
    }

    /// Whether everything after `revision` is known.
    pub(super) fn check(&self, revision: u64) -> Result<(), Compacted> {
        if revision < self.compacted { Err(Compacted { oldest: self.compacted }) } else { Ok(()) }
    }

    /// At most `limit` changes after `cursor`, and how many more there are.
    pub(super) fn after(&self, cursor: u64, limit: usize) -> Result<(Vec<Arc<Change>>, usize), Compacted> {
        if cursor < self.dropped {
            return Err(Compacted { oldest: self.compacted });
        }
        let start = self.changes.partition_point(|change| change.revision <= cursor);
        let changes: Vec<_> = self.changes.iter().skip(start).take(limit).map(Arc::clone).collect();
        let remaining = self.changes.len() - start - changes.len();
        Ok((changes, remaining))
    }

    /// The revision at which the resource was as it was so many changes before `revision`, as far back as is known.
    pub(super) fn before(&self, revision: u64, changes: usize) -> u64 {
        let there = self.changes.partition_point(|change| change.revision <= revision);
        let kept = there.saturating_sub(changes);
        kept.checked_sub(1).map_or(self.oldest(), |last| self.changes[last].revision)
    }

    /// The revision at which the resource was as it was `time` before `now`, as far back as is known.
    pub(super) fn revision_at(&self, now: Moment, time: Duration) -> u64 {
        let kept = self.changes.partition_point(|change| change.at.after(time) <= now);
        kept.checked_sub(1).map_or(self.oldest(), |last| self.changes[last].revision)
    }

    /// Nothing before this revision is known.
    pub(super) fn oldest(&self) -> u64 {
        self.compacted.max(self.dropped)
    }

    /// Takes back the changes after `revision`, newest first.
    pub(super) fn take_back(&mut self, revision: u64) -> Vec<Arc<Change>> {
        let start = self.changes.partition_point(|change| change.revision <= revision);
        self.changes.drain(start..).rev().collect()
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Arc<Change>> {
        self.changes.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(revision: u64, at: Moment) -> Change {
        let object = Arc::new(Object::new(revision, json!({"metadata": {}})));
        Change::new(Arc::new(Key::new("", "a")), ChangeKind::Modified, object, None, at)
    }

    #[test]
    fn changes_are_dropped_by_number_and_by_age() {
        let retention = Retention { changes: 2, age: Duration::from_secs(10) };
        let mut log = Log::default();
        for revision in 1..=3 {
            log.append(change(revision, Moment::default()), retention);
        }
        assert!(log.after(0, 10).is_err());
        assert_eq!(log.after(1, 10).unwrap().0.len(), 2);
        log.append(change(4, Moment::default().after(Duration::from_secs(11))), retention);
        assert!(log.check(2).is_err());
        assert_eq!(log.after(3, 10).unwrap().0.len(), 1);
    }
}
