//! Bodies of answers: whole, or a stream of pieces that are already encoded.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::ready;
use futures_util::stream::{self, BoxStream, Stream as _, StreamExt as _};
use http_body::{Frame, SizeHint};

/// A connection is broken on purpose, by a fault.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the connection was broken by a fault of the dev cluster")]
pub struct CutOff;

/// The body of an answer.
pub struct Body(Kind);

enum Kind {
    Whole(Option<Bytes>),
    Stream(BoxStream<'static, Result<Bytes, CutOff>>),
}

impl Body {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole((!bytes.is_empty()).then_some(bytes)))
    }

    pub(crate) fn stream(
        stream: impl futures_util::Stream<Item = Result<Bytes, CutOff>> + Send + 'static,
    ) -> Self {
        Self(Kind::Stream(stream.boxed()))
    }

    /// The same, later: the header does not wait.
    pub(crate) fn after(self, wait: impl Future<Output = ()> + Send + 'static) -> Self {
        match self.0 {
            Kind::Whole(bytes) => {
                Self::stream(stream::once(wait).filter_map(move |()| ready(bytes.clone().map(Ok))))
            }
            Kind::Stream(rest) => Self::stream(stream::once(wait).filter_map(|()| ready(None)).chain(rest)),
        }
    }

    /// The first half of a whole body, and the break.
    pub(crate) fn half(self) -> Self {
        let half = match self.0 {
            Kind::Whole(Some(bytes)) => bytes.slice(..bytes.len() / 2),
            Kind::Whole(None) | Kind::Stream(_) => Bytes::new(),
        };
        let broken = stream::once(async {
            // Waiting once lets the connection write out the half.
            tokio::task::yield_now().await;
            Err(CutOff)
        });
        Self::stream(stream::iter([Ok(half)]).chain(broken))
    }

    /// The length of a whole body.
    pub(crate) fn whole_length(&self) -> Option<usize> {
        match &self.0 {
            Kind::Whole(bytes) => Some(bytes.as_ref().map_or(0, Bytes::len)),
            Kind::Stream(_) => None,
        }
    }

    /// A whole body with other bytes.
    pub(crate) fn map_whole(self, map: impl FnOnce(Bytes) -> Bytes) -> Self {
        match self.0 {
            Kind::Whole(Some(bytes)) => Self::whole(map(bytes)),
            other => Self(other),
        }
    }

    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Whole(None))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Whole(bytes) => f.debug_tuple("Whole").field(bytes).finish(),
            Kind::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Stream(stream) => {
                Pin::new(stream).poll_next(ctx).map(|next| next.map(|bytes| bytes.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}
