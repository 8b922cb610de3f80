//! The one writer of the process's standard output.

use crate::frame::{Frame, FrameError};
use crate::protocol::Report;
use std::io::{self, Stdout, Write};
use std::sync::{Mutex, PoisonError};

/// Sends whole frames, from any thread.
pub struct ReportSender(Mutex<Stdout>);

impl ReportSender {
    /// Sends over standard output.
    pub fn new() -> Self {
        Self(Mutex::new(io::stdout()))
    }

    /// Sends `frame`; waits while the pipe is full.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] before anything is sent, [`FrameError::Io`] when the server is gone.
    pub fn send(&self, frame: impl Into<Frame<Report>>) -> Result<(), FrameError> {
        let frame = frame.into();
        let head = frame.head()?;
        let out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = out.lock();
        out.write_all(&head)?;
        for attachment in &frame.attachments {
            out.write_all(attachment)?;
        }
        Ok(out.flush()?)
    }
}
