//! Events of the alert engine, and sinks that take them.

use std::{error::Error, ops::ControlFlow, sync::Arc};

use super::drift::Outlook;
use super::incident::{CloseReason, Incident};
use super::signature::Signature;
use crate::metrics::Metrics;

/// An incident at the time of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Packet time of the event, nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// The incident.
    pub incident: Incident,
    /// Its signature.
    pub signature: Signature,
    /// Name of the model's class, or key of the rule.
    pub class: String,
    /// Name of the model.
    pub model: Arc<str>,
}

/// The metrics at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Packet time, nanoseconds since 1970-01-01 UTC.
    pub time_nanos: i64,
    /// All metrics. Sinks may add their own before they pass them on.
    pub metrics: Metrics,
}

/// Events of the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A capture starts; `None` where there is only one.
    CaptureStarted(Option<String>),
    /// An incident was opened.
    IncidentOpened(Box<Alert>),
    /// An incident continues.
    IncidentUpdated(Box<Alert>),
    /// An incident was closed.
    IncidentClosed(Box<Alert>, CloseReason),
    /// Benign traffic here scores higher than where the thresholds were chosen. At most once a day.
    DriftWarning {
        /// The expected false positives.
        outlook: Outlook,
        /// Name of the class that most false positives will have.
        class: String,
    },
    /// Metrics, every ten seconds and at the end.
    Stats(Box<Stats>),
}

/// Why a sink cannot take events any more.
pub type SinkError = Box<dyn Error + Send + Sync>;

/// Takes the engine's events, in order.
///
/// `&mut` and `Box` of sinks, `Option`, and pairs are sinks. Of a pair both take every event, even if one of them stops
/// the run or fails.
pub trait Sink {
    /// Takes an event. [`ControlFlow::Break`] ends the run as if the traffic had ended; the events that follow from that
    /// still come.
    ///
    /// # Errors
    /// The sink cannot go on: the run ends with this error, and the sink is not called again.
    fn event(&mut self, event: &Event) -> Result<ControlFlow<()>, SinkError>;

    /// Called once a second of packet time (nanoseconds since 1970-01-01 UTC), after the events of that second.
    ///
    /// # Errors
    /// As [`Sink::event`].
    fn tick(&mut self, now_nanos: i64) -> Result<ControlFlow<()>, SinkError> {
        let _ = now_nanos;
        Ok(ControlFlow::Continue(()))
    }

    /// Called after a batch of events, and after a tick: passes on what the sink has buffered.
    ///
    /// # Errors
    /// As [`Sink::event`].
    fn flush(&mut self) -> Result<ControlFlow<()>, SinkError> {
        Ok(ControlFlow::Continue(()))
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn event(&mut self, event: &Event) -> Result<ControlFlow<()>, SinkError> {
        (**self).event(event)
    }

    fn tick(&mut self, now_nanos: i64) -> Result<ControlFlow<()>, SinkError> {
        (**self).tick(now_nanos)
    }

    fn flush(&mut self) -> Result<ControlFlow<()>, SinkError> {
        (**self).flush()
    }
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn event(&mut self, event: &Event) -> Result<ControlFlow<()>, SinkError> {
        (**self).event(event)
    }

    fn tick(&mut self, now_nanos: i64) -> Result<ControlFlow<()>, SinkError> {
        (**self).tick(now_nanos)
    }

    fn flush(&mut self) -> Result<ControlFlow<()>, SinkError> {
        (**self).flush()
    }
}

impl<S: Sink> Sink for Option<S> {
    fn event(&mut self, event: &Event) -> Result<ControlFlow<()>, SinkError> {
        self.as_mut().map_or(Ok(ControlFlow::Continue(())), |sink| sink.event(event))
    }

    fn tick(&mut self, now_nanos: i64) -> Result<ControlFlow<()>, SinkError> {
        self.as_mut().map_or(Ok(ControlFlow::Continue(())), |sink| sink.tick(now_nanos))
    }

    fn flush(&mut self) -> Result<ControlFlow<()>, SinkError> {
        self.as_mut().map_or(Ok(ControlFlow::Continue(())), Sink::flush)
    }
}

impl<A: Sink, B: Sink> Sink for (A, B) {
    fn event(&mut self, event: &Event) -> Result<ControlFlow<()>, SinkError> {
        both(self.0.event(event), self.1.event(event))
    }

    fn tick(&mut self, now_nanos: i64) -> Result<ControlFlow<()>, SinkError> {
        both(self.0.tick(now_nanos), self.1.tick(now_nanos))
    }

    fn flush(&mut self) -> Result<ControlFlow<()>, SinkError> {
        both(self.0.flush(), self.1.flush())
    }
}

/// The first error, or a break of either.
fn both(
    first: Result<ControlFlow<()>, SinkError>,
    second: Result<ControlFlow<()>, SinkError>,
) -> Result<ControlFlow<()>, SinkError> {
    let (first, second) = (first?, second?);
    Ok(if first.is_break() { first } else { second })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts events; at the third it breaks or fails.
    struct Third {
        events: u32,
        fails: bool,
    }

    impl Sink for Third {
        fn event(&mut self, _: &Event) -> Result<ControlFlow<()>, SinkError> {
            self.events += 1;
            match (self.events, self.fails) {
                (3, true) => Err("full".into()),
                (3, false) => Ok(ControlFlow::Break(())),
                _ => Ok(ControlFlow::Continue(())),
            }
        }
    }

    #[test]
    fn both_sinks_of_a_pair_take_every_event_and_either_ends_the_run() {
        let event = Event::CaptureStarted(None);
        for fails in [false, true] {
            let (mut first, second) =
                (Third { events: 0, fails }, Box::new(Third { events: 1, fails: !fails }) as Box<dyn Sink>);
            let mut pair = (&mut first, Some(second));
            assert!(pair.event(&event).unwrap().is_continue());
            // The second sink has also received its third event.
            match pair.event(&event) {
                Ok(flow) => assert!(fails && flow.is_break()),
                Err(error) => assert!(!fails && error.to_string() == "full"),
            }
            assert_eq!(first.events, 2);
        }
    }
}
