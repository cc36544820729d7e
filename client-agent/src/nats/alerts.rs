//! Alarms of the watch, told on the bank's stream: one after the other, the oldest first, each
//! until the stream has confirmed it. Which are told, and what a start makes of it, is the affair
//! of `watch/telling.rs`.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use host::shutdown::Shutdown;
use tokio::sync::watch;

use super::Link;
use super::letter::Letter;
use super::meters::{Ended, Meters};
use crate::config::nats::NatsConfig;
use crate::watch::{AlarmEvent, Outbox};

/// Tells of alarms.
pub(super) struct Alerts {
    config: Arc<NatsConfig>,
    outbox: Outbox,
    jetstream: Context,
    link: watch::Receiver<Link>,
    meters: Meters,
}

impl Alerts {
    pub(super) fn new(
        config: &Arc<NatsConfig>,
        outbox: Outbox,
        jetstream: &Context,
        (link, meters): (&watch::Receiver<Link>, &Meters),
    ) -> Self {
        Self {
            config: Arc::clone(config),
            outbox,
            jetstream: jetstream.clone(),
            link: link.clone(),
            meters: meters.clone(),
        }
    }

    /// Works until the process is to leave.
    pub(super) async fn run(mut self, shutdown: &Shutdown) {
        let (mut pause, mut said) = (PAUSE_MIN, None);
        while let Some(event) = self.next(shutdown).await {
            self.meters.left_out(self.outbox.take_left_out());
            let Err(error) = self.tell(&event).await else {
                (pause, said) = (PAUSE_MIN, None);
                continue;
            };
            let why = error.to_string();
            // Without a link everything fails, and the link has said so.
            if self.link.borrow().is_up && said.as_ref() != Some(&why) {
                tracing::warn!(why, "an alert waits for the stream; it is tried again");
                said = Some(why);
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.triggered() => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The oldest event, once there is one and a server; nothing where the process is to leave.
    async fn next(&mut self, shutdown: &Shutdown) -> Option<AlarmEvent> {
        let (outbox, link) = (&self.outbox, &mut self.link);
        let next = async {
            let event = outbox.first().await;
            drop(link.wait_for(|link| link.is_up).await.ok()?);
            Some(event)
        };
        tokio::select! {
            biased;
            () = shutdown.triggered() => None,
            event = next => event,
        }
    }

    /// Publishes an event, and has it forgotten once the stream has it.
    async fn tell(&self, event: &AlarmEvent) -> Result<(), async_nats::Error> {
        let Letter { subject, message } = Letter::alert(&self.config, event);
        self.jetstream.send_publish(subject, message).await?.await?;
        self.meters.ended(Ended::Alert);
        let (outbox, alert_id) = (self.outbox.clone(), event.alert_id().to_owned());
        tokio::task::spawn_blocking(move || outbox.confirmed(&alert_id)).await?;
        Ok(())
    }
}

const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Nobody waits behind an alert but the next one, and a stream for it is made by a person.
const PAUSE_MAX: Duration = Duration::from_secs(30);
