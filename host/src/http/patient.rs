//! A stream that waits for its reader, but not for ever: whoever asks and then takes nothing of
//! the answer would hold its place at the door. Reading is left alone; its bounds are elsewhere.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The stream.
pub(super) struct Patient<T> {
    stream: T,
    stall_max: Duration,
    /// Runs while the peer takes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<T> Patient<T> {
    pub(super) fn new(stream: T, stall_max: Duration) -> Self {
        Self {
            stream,
            stall_max,
            waiting: None,
        }
    }

    /// What a write gave, or the end of patience.
    fn bound<U>(&mut self, context: &mut Context<'_>, gave: Poll<Result<U>>) -> Poll<Result<U>> {
        if gave.is_ready() {
            self.waiting = None;
            return gave;
        }
        let stall_max = self.stall_max;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(stall_max)));
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(Error::from(ErrorKind::TimedOut))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let gave = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bound(context, gave)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let gave = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.bound(context, gave)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let gave = Pin::new(&mut self.stream).poll_flush(context);
        self.bound(context, gave)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let gave = Pin::new(&mut self.stream).poll_shutdown(context);
        self.bound(context, gave)
    }
}
