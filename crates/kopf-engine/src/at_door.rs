//! Runs a piece of work that may call the door's code, where the door wants it (DEC-6).

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::door::Door;

/// Runs it there if it has such code, else here. None if the door has abandoned it.
pub(crate) async fn at_door<T: Send + 'static>(
    door: &Arc<dyn Door>,
    has_code: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if !has_code {
        return Some(work());
    }
    let (result, done) = oneshot::channel();
    // Whoever waits may be gone: then nobody is there to care.
    door.step(Box::new(move || drop(result.send(work())))).await;
    done.await.ok()
}
