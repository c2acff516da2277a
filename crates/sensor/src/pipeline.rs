//! The whole data path: `capture -> wire -> flow -> feature -> detect`, and from there to an [`Observer`].
//!
//! In: packets from a [`Source`]: files, a replay, or the rings of interfaces. Out: a [`Shard`]'s events, to an
//! [`Observer`], usually the alert engine with its sinks. All sources share one loop.

use std::mem::take;

use citronella_nn::Error;

use crate::capture::{CaptureCounters, CaptureError, Next, Source};
use crate::detect::{Control, Observer, Shard};

const SECOND: i64 = 1_000_000_000;

/// Runs detection over all packets of a source, on this thread. `report_error` receives read errors;
/// reading continues after them.
///
/// # Errors
/// The network cannot step: the model does not fit this program.
pub fn run(
    source: &mut impl Source,
    shard: &mut Shard,
    observer: &mut impl Observer,
    mut report_error: impl FnMut(CaptureError),
) -> Result<(), Error> {
    let mut boundary = RecordingBoundary::default();
    let mut heartbeat = Heartbeat::default();
    let mut capture = CaptureCounters::default();
    loop {
        let mut is_due = false;
        match source.next() {
            Ok(Next::Packet(packet)) => {
                if boundary.is_crossed(packet.time_nanos) {
                    let shared = shard.config().shared();
                    shard.restart(shared, observer)?;
                }
                is_due = heartbeat.is_due(packet.time_nanos);
                if is_due {
                    shard.heartbeat(packet.time_nanos, capture, observer)?;
                }
                shard.packet(&packet, observer)?;
            }
            Ok(Next::Idle(now_nanos)) => {
                is_due = heartbeat.is_due(now_nanos);
                if is_due {
                    shard.heartbeat(now_nanos, source.counters(), observer)?;
                }
                shard.tick(now_nanos, observer)?;
            }
            // The rings are empty: score the waiting packets.
            Ok(Next::Drained) => shard.flush(observer)?,
            Ok(Next::CaptureStart(name)) => {
                shard.flush(observer)?;
                observer.capture_started(name);
                boundary.is_new_file = true;
            }
            Ok(Next::CaptureEnd) => {}
            Ok(Next::LinkChanged(notice)) => observer.link_changed(&notice),
            Ok(Next::End) => break,
            Err(error) => report_error(error),
        }
        if is_due {
            // For the next heartbeat: a packet borrows from the source.
            capture = source.counters();
        }
        match observer.control() {
            Control::Continue => {}
            Control::Reload(detector) => shard.reload(&detector, observer)?,
            Control::Stop => break,
        }
    }
    shard.finish(observer)?;
    if let Some(now_nanos) = heartbeat.latest_nanos {
        shard.heartbeat(now_nanos, source.counters(), observer)?;
    }
    Ok(())
}

/// Decides when a heartbeat is due: once per second of packet time.
#[derive(Debug, Default)]
struct Heartbeat {
    latest_nanos: Option<i64>,
    next_nanos: Option<i64>,
}

impl Heartbeat {
    #[inline]
    fn is_due(&mut self, now_nanos: i64) -> bool {
        self.latest_nanos = Some(now_nanos);
        match self.next_nanos {
            // A clock that was set back must not stop the heartbeat.
            Some(next) if now_nanos < next && next.saturating_sub(now_nanos) <= 2 * SECOND => false,
            _ => {
                self.next_nanos = Some(now_nanos.saturating_add(SECOND));
                true
            }
        }
    }
}

/// Separates the files of different recordings: a file that starts more than a minute before the latest packet is another
/// recording; otherwise flows continue from file to file.
#[derive(Debug, Default)]
struct RecordingBoundary {
    is_new_file: bool,
    latest_nanos: Option<i64>,
}

impl RecordingBoundary {
    /// Consecutive files of one recorder may overlap by this much.
    const OVERLAP_NANOS: i64 = 60 * SECOND;

    /// Whether a packet of this time starts another recording.
    #[inline]
    fn is_crossed(&mut self, time_nanos: i64) -> bool {
        let latest = self.latest_nanos.unwrap_or(time_nanos);
        let goes_back = latest.saturating_sub(time_nanos) > RecordingBoundary::OVERLAP_NANOS;
        let crossed = take(&mut self.is_new_file) && goes_back;
        self.latest_nanos = Some(if crossed { time_nanos } else { latest.max(time_nanos) });
        crossed
    }
}

#[cfg(test)]
mod tests {
    use super::{Heartbeat, RecordingBoundary, SECOND};

    #[test]
    fn a_file_that_starts_earlier_is_another_recording() {
        let mut boundary = RecordingBoundary { is_new_file: true, ..RecordingBoundary::default() };
        assert!(!boundary.is_crossed(1_000 * SECOND));
        // Within a file a clock may be set back.
        assert!(!boundary.is_crossed(100 * SECOND));
        boundary.is_new_file = true;
        assert!(!boundary.is_crossed(950 * SECOND));
        boundary.is_new_file = true;
        assert!(boundary.is_crossed(900 * SECOND));
        boundary.is_new_file = true;
        assert!(!boundary.is_crossed(900 * SECOND));
    }

    #[test]
    fn a_heartbeat_comes_once_a_second_even_if_the_clock_is_set_back() {
        let mut heartbeat = Heartbeat::default();
        let times = [0, 1, SECOND / 2, SECOND, SECOND + 1, 5 * SECOND, SECOND, SECOND + 1];
        let due = times.map(|time| heartbeat.is_due(time));
        assert_eq!(due, [true, false, false, true, false, true, true, false]);
    }
}
