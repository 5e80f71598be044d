//! Bodies of the echo: a whole one, or one fed through a channel.

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use std::convert::Infallible;
use tokio::sync::mpsc;

/// Any body of the echo.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// A whole body.
pub fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

/// The feeding end of a [`channel`].
pub struct Sender(mpsc::Sender<Frame<Bytes>>);

/// The reader is gone.
pub struct Gone;

impl Sender {
    /// Sends a piece.
    pub async fn data(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.0.send(Frame::data(bytes)).await.map_err(|_| Gone)
    }

    /// Sends trailers; nothing may follow.
    pub async fn trailers(self, map: HeaderMap) {
        // A reader that is gone wants no trailers.
        let _ = self.0.send(Frame::trailers(map)).await;
    }
}

/// A body that is written piece by piece.
pub fn channel() -> (Sender, Body) {
    let (sender, receiver) = mpsc::channel(4);
    let frames = futures_util::stream::unfold(receiver, |mut r| async move { r.recv().await.map(|frame| (Ok::<_, Infallible>(frame), r)) });
    (Sender(sender), StreamBody::new(frames).boxed_unsync())
}
