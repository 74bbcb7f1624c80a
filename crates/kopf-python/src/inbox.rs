//! What the engine wants from Python, in order: a queue that the event loop drains in batches.
//!
//! Every kind of message is bounded, but in its own way, so that one queue keeps them all in order. Calls and steps take a
//! permit, which is given back when they are drained: their producers wait. Log lines beyond [`LOGS_WAITING`] are dropped
//! and counted, which happens only while the loop is blocked: the engine is not held by a slow reader of its log. Of the rest
//! there is at most one for each call or object.

use std::{
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crossbeam_queue::SegQueue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{locked, message::Message};

/// Calls and steps that wait for the loop, at most.
const CALLS_WAITING: usize = 1024;

/// Log lines that wait for the loop, at most.
const LOGS_WAITING: usize = 10_000;

/// The queue.
pub(crate) struct Inbox {
    queue: SegQueue<(Message, Option<OwnedSemaphorePermit>)>,
    permits: Arc<Semaphore>,
    logs: AtomicUsize,
    dropped_logs: AtomicUsize,
    /// The loop knows that something waits.
    armed: AtomicBool,
    closed: AtomicBool,
    reader: UnixStream,
    writer: UnixStream,
    /// For loops that cannot wait for files: a thread waits here instead.
    pump: (Mutex<Pump>, Condvar),
}

#[derive(Default)]
struct Pump {
    used: bool,
    awake: bool,
}

/// The right to put a call or a step into the inbox.
pub(crate) struct Permit(OwnedSemaphorePermit);

impl Inbox {
    /// An empty inbox.
    ///
    /// # Errors
    /// If the process may not open more files.
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self {
            queue: SegQueue::new(),
            permits: Arc::new(Semaphore::new(CALLS_WAITING)),
            logs: AtomicUsize::new(0),
            dropped_logs: AtomicUsize::new(0),
            armed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            reader,
            writer,
            pump: Default::default(),
        })
    }

    /// The file that becomes readable when something waits.
    pub(crate) fn fd(&self) -> i32 {
        self.reader.as_raw_fd()
    }

    /// From now on a thread waits instead of the loop.
    pub(crate) fn use_pump(&self) {
        locked(&self.pump.0).used = true;
    }

    /// Blocks until something waits; false after the end.
    pub(crate) fn wait(&self) -> bool {
        let mut pump = locked(&self.pump.0);
        while !pump.awake && !self.closed.load(Ordering::SeqCst) {
            pump = self.pump.1.wait(pump).unwrap_or_else(PoisonError::into_inner);
        }
        pump.awake = false;
        !self.closed.load(Ordering::SeqCst)
    }

    /// A permit if there is one now.
    pub(crate) fn try_permit(&self) -> Option<Permit> {
        self.permits.clone().try_acquire_owned().ok().map(Permit)
    }

    /// A permit, as soon as there is one; none after the end.
    pub(crate) async fn permit(&self) -> Option<Permit> {
        self.permits.clone().acquire_owned().await.ok().map(Permit)
    }

    /// Puts in a call or a step.
    pub(crate) fn push_permitted(&self, message: Message, permit: Permit) {
        self.push_any(message, Some(permit.0));
    }

    /// Puts in anything else.
    pub(crate) fn push(&self, message: Message) {
        if matches!(message, Message::Log(_)) && self.logs.fetch_add(1, Ordering::Relaxed) >= LOGS_WAITING {
            self.logs.fetch_sub(1, Ordering::Relaxed);
            self.dropped_logs.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.push_any(message, None);
    }

    /// Takes out the next message. Its permit is given back.
    pub(crate) fn pop(&self) -> Option<Message> {
        let (message, _permit) = self.queue.pop()?;
        if matches!(message, Message::Log(_)) {
            self.logs.fetch_sub(1, Ordering::Relaxed);
        }
        Some(message)
    }

    /// Called at the begin of a drain: whatever is put in from now on wakes the loop again.
    pub(crate) fn disarm(&self) {
        // Only wake-ups are in it; one that comes between the two lines costs a drain that finds nothing.
        let _ = (&self.reader).read(&mut [0; 64]);
        // An exchange, not a store: whoever has found it set has pushed before, and that must be seen from here on.
        self.armed.swap(false, Ordering::SeqCst);
    }

    /// Called at the end of a drain: wakes the loop again if something is left.
    pub(crate) fn rearm(&self) {
        if !self.queue.is_empty() {
            self.wake();
        }
    }

    /// The number of log lines that were dropped since the last call.
    pub(crate) fn take_dropped_logs(&self) -> usize {
        self.dropped_logs.swap(0, Ordering::Relaxed)
    }

    /// The end: what waits is dropped, which completes calls as cancelled, and so is whatever comes later.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.permits.close();
        while self.pop().is_some() {}
        self.wake_pump();
    }

    fn push_any(&self, message: Message, permit: Option<OwnedSemaphorePermit>) {
        self.queue.push((message, permit));
        if self.closed.load(Ordering::SeqCst) {
            // Nobody drains any more; also if it was closed between the check and the push.
            while self.pop().is_some() {}
            return;
        }
        self.wake();
    }

    fn wake(&self) {
        if !self.armed.swap(true, Ordering::SeqCst) {
            // If the file is full, the loop has been told more often than it has looked.
            let _ = (&self.writer).write(&[0]);
            self.wake_pump();
        }
    }

    fn wake_pump(&self) {
        let mut pump = locked(&self.pump.0);
        if pump.used {
            pump.awake = true;
            self.pump.1.notify_one();
        }
    }
}
