//! One token, one order of leaving: whoever holds a [`Shutdown`] hears that the process is to go,
//! by signal or by request, and stops taking on work.

use tokio::sync::watch;

/// Says that the process is to leave. Clones hear the same word.
#[derive(Clone, Debug)]
pub struct Shutdown {
    sender: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            sender: watch::Sender::new(false),
        }
    }
}

impl Shutdown {
    /// A token that is triggered by SIGINT or SIGTERM.
    ///
    /// # Errors
    /// Where the signals cannot be listened for.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let shutdown = Self::default();
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        let trigger = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            trigger.trigger();
        });
        Ok(shutdown)
    }

    /// Tells everybody to leave.
    pub fn trigger(&self) {
        self.sender.send_replace(true);
    }

    /// Whether the process is leaving.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        *self.sender.borrow()
    }

    /// Waits until the process is to leave.
    pub async fn triggered(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives in `self`, so the wait ends by the value alone.
        let _ = receiver.wait_for(|leaving| *leaving).await;
    }
}
