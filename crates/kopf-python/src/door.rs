//! The door: what the engine asks of Python goes into the inbox. Nothing here attaches to the interpreter.

use std::{fmt, sync::Arc};

use kopf_core::{
    handler::Needs,
    log::Level,
    machine::{Call, CallId},
    outcome::Outcome,
    resource::Resource,
};
use kopf_engine::door::{ActivityCall, BoxFuture, Door, Finished, Record, Step};
use tokio::sync::oneshot;

use crate::{hub::Hub, message::Message, report::Report};

/// The Python door of one operator.
pub(crate) struct PythonDoor(Arc<Hub>);

impl PythonDoor {
    /// A door to a hub.
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self(hub)
    }

    /// Puts a message into the inbox: at once if there is room, so that the order is that of the calls of this function,
    /// else when there is.
    fn enqueue(&self, message: Message) -> impl Future<Output = ()> + Send + use<> {
        let waiting = match self.0.inbox.try_permit() {
            Some(permit) => {
                self.0.inbox.push_permitted(message, permit);
                None
            }
            None => Some((self.0.clone(), message)),
        };
        async move {
            if let Some((hub, message)) = waiting
                && let Some(permit) = hub.inbox.permit().await
            {
                hub.inbox.push_permitted(message, permit);
            }
        }
    }
}

impl Door for PythonDoor {
    fn call(&self, resource: &Arc<Resource>, call: Call) -> BoxFuture<Finished> {
        if call.handler.needs != Needs::METADATA {
            // Here, and not in the loop, which has more to do and only one thread.
            let _ = call.cause.object.body();
        }
        let (sender, receiver) = oneshot::channel();
        let report = Report::object(sender, call.patch.clone(), (call.cause.object_id, call.id));
        let patch = call.patch.clone();
        let enqueued =
            self.enqueue(Message::Call { resource: resource.clone(), call: Box::new(call), report });
        Box::pin(async move {
            enqueued.await;
            receiver.await.unwrap_or(Finished { outcome: Outcome::Cancelled, patch, subrefs: Vec::new() })
        })
    }

    fn cancel(&self, object_id: u64, call: CallId) {
        self.0.inbox.push(Message::Cancel(object_id, call));
    }

    fn call_activity(&self, call: ActivityCall) -> BoxFuture<Outcome> {
        let (sender, receiver) = oneshot::channel();
        let enqueued =
            self.enqueue(Message::Activity { call: Box::new(call), report: Report::activity(sender) });
        Box::pin(async move {
            enqueued.await;
            receiver.await.unwrap_or(Outcome::Cancelled)
        })
    }

    fn step(&self, step: Step) -> BoxFuture<()> {
        let (sender, receiver) = oneshot::channel();
        let enqueued = self.enqueue(Message::Step(step, sender));
        Box::pin(async move {
            enqueued.await;
            // Dropped unrun if the loop is gone: then the operator is ending anyway.
            let _ = receiver.await;
        })
    }

    fn wants(&self, level: Level) -> bool {
        self.0.wants(level)
    }

    fn log(&self, record: Record) {
        self.0.inbox.push(Message::Log(record));
    }

    fn forget(&self, object_id: u64) {
        self.0.inbox.push(Message::Forget(object_id));
    }

    fn ready(&self) {
        self.0.inbox.push(Message::Ready);
    }
}

impl fmt::Debug for PythonDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PythonDoor")
    }
}
