//! Session records of one shard.

use std::io::Write;

use citronella_sensor::{
    capture::Packet,
    detect::{Observer, Progress},
    flow::sessions::Sessions,
};
use citronella_wire::Frame;

use crate::encoder::{Encoder, EveOptions};
use crate::output::QueueSender;

/// Observes a shard's packets and writes `mqtt`, `anomaly`, `tls` and `flow` records.
pub struct SessionRecorder {
    sessions: Sessions,
    encoder: Encoder<QueueSender>,
    names_captures: bool,
}

impl SessionRecorder {
    /// A recorder that writes to a queue; `None` where the options ask for none of its records. `interface` is that of
    /// live traffic; records name their capture where there are several (`names_captures`).
    pub fn new(
        queue: QueueSender,
        options: &EveOptions,
        interface: Option<&str>,
        names_captures: bool,
    ) -> Option<SessionRecorder> {
        if !(options.mqtt || options.anomaly || options.tls || options.flow) {
            return None;
        }
        let mut encoder = Encoder::new(queue, options.clone());
        encoder.set_interface(interface);
        Some(SessionRecorder { sessions: Sessions::default(), encoder, names_captures })
    }
}

impl Observer for SessionRecorder {
    fn capture_started(&mut self, name: &str) {
        self.encoder.begin_capture(self.names_captures.then_some(name));
    }

    fn packet(&mut self, packet: &Packet<'_>, frame: &Frame<'_>) {
        let SessionRecorder { sessions, encoder, .. } = self;
        sessions.frame(packet, frame, |event| {
            // The queue counts what it cannot take.
            let _ = encoder.write(event);
        });
    }

    fn heartbeat(&mut self, _: i64, _: &Progress) {
        let _ = self.encoder.get_mut().flush();
    }
}

impl Drop for SessionRecorder {
    /// Writes the records of open sessions.
    fn drop(&mut self) {
        let SessionRecorder { sessions, encoder, .. } = self;
        sessions.finish(|event| {
            let _ = encoder.write(event);
        });
    }
}
