//! The order in which an operator starts and stops.

use tokio_util::sync::CancellationToken;

use crate::{error::RunError, operator::Operator};

pub(crate) async fn run(operator: Operator, stop: CancellationToken) -> Result<(), RunError> {
    operator.door.ready();
    stop.cancelled().await;
    drop(operator.posts);
    Ok(())
}
