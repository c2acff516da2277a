//! The data path whole: `capture -> wire -> flow -> feature -> detect -> alert`.
//!
//! In: a [`Source`] of packets. Out: what a [`Shard`] finds in them, told to a [`Sink`]. Files and live capture differ
//! in the source only.

use std::path::PathBuf;

use citronella_nn::Error;

use crate::capture::{Capture, CaptureError, Packet, filter::Filter};
use crate::detect::{Shard, Sink};

/// What a source has next.
pub enum Next<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// A capture of this name begins.
    Begins(&'a str),
    /// A capture has been read to its end.
    Ends,
    /// No packet has come until now, by the packets' clock: nanoseconds since 1970-01-01 UTC.
    Quiet(i64),
    /// There is no more.
    End,
}

/// Where packets come from.
pub trait Source {
    /// What comes next.
    ///
    /// # Errors
    /// Packets cannot be read here. There may be more: only [`Next::End`] says that there is not.
    fn next(&mut self) -> Result<Next<'_>, CaptureError>;
}

/// Detects in all packets of a source; this thread reads, and tells. `trouble` hears what could not be read; what can be read after it
/// is.
///
/// # Errors
/// The network cannot step: the model does not fit this program.
pub fn run(
    source: &mut impl Source,
    shard: &mut Shard,
    sink: &mut impl Sink,
    mut trouble: impl FnMut(CaptureError),
) -> Result<(), Error> {
    let mut border = Border::default();
    loop {
        match source.next() {
            Ok(Next::Packet(packet)) => {
                if border.is_crossed(packet.time_nanos) {
                    let shared = shard.config().shared();
                    shard.begin_anew(shared, sink)?;
                }
                shard.packet(&packet, sink)?;
            }
            Ok(Next::Begins(name)) => {
                shard.flush(sink)?;
                sink.capture(name);
                border.begins = true;
            }
            Ok(Next::Ends) => {}
            Ok(Next::Quiet(now_nanos)) => shard.tick(now_nanos, sink)?,
            Ok(Next::End) => return shard.finish(sink),
            Err(error) => trouble(error),
        }
    }
}

/// Where a file begins before the one before it ended, it is another recording; else time goes on, and so do flows.
#[derive(Debug, Default)]
struct Border {
    begins: bool,
    latest_nanos: Option<i64>,
}

impl Border {
    /// Files that a recorder wrote one after another may overlap by as much.
    const OVERLAP_NANOS: i64 = 60_000_000_000;

    /// Whether another recording begins with a packet of this time.
    #[inline]
    fn is_crossed(&mut self, time_nanos: i64) -> bool {
        let latest = self.latest_nanos.unwrap_or(time_nanos);
        let crossed =
            std::mem::take(&mut self.begins) && latest.saturating_sub(time_nanos) > Border::OVERLAP_NANOS;
        self.latest_nanos = Some(if crossed { time_nanos } else { latest.max(time_nanos) });
        crossed
    }
}

/// Capture files, one after another.
pub struct Files {
    paths: std::vec::IntoIter<PathBuf>,
    capture: Option<Capture>,
    filter: Filter,
    name: String,
    is_over: bool,
}

impl Files {
    /// In the order given; `-` is stdin. Packets that the filter does not keep let time pass, no more: each is a
    /// [`Next::Quiet`].
    pub fn new(paths: Vec<PathBuf>, filter: Filter) -> Files {
        Files { paths: paths.into_iter(), capture: None, filter, name: String::new(), is_over: false }
    }
}

impl Source for Files {
    fn next(&mut self) -> Result<Next<'_>, CaptureError> {
        if std::mem::take(&mut self.is_over) {
            self.capture = None;
        }
        if self.capture.is_none() {
            let Some(path) = self.paths.next() else { return Ok(Next::End) };
            let name = self.capture.insert(Capture::open(&path)?).name();
            name.clone_into(&mut self.name);
            return Ok(Next::Begins(name));
        }
        let Some(capture) = &mut self.capture else { return Ok(Next::End) };
        match capture.next() {
            Ok(Some(packet)) if self.filter.is_empty() => Ok(Next::Packet(packet)),
            Ok(Some(packet)) if self.filter.matches(&packet) => Ok(Next::Packet(packet)),
            Ok(Some(packet)) => match self.filter.check(packet.link) {
                Ok(()) => Ok(Next::Quiet(packet.time_nanos)),
                Err(problem) => {
                    self.is_over = true;
                    Err(CaptureError::Filter { name: self.name.clone(), problem })
                }
            },
            Ok(None) => {
                self.is_over = true;
                Ok(Next::Ends)
            }
            Err(error) => {
                self.is_over = true;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Border;

    #[test]
    fn a_file_that_begins_earlier_is_another_recording() {
        const SECOND: i64 = 1_000_000_000;
        let mut border = Border { begins: true, ..Border::default() };
        assert!(!border.is_crossed(1_000 * SECOND));
        // Within a file a clock may be set back.
        assert!(!border.is_crossed(100 * SECOND));
        border.begins = true;
        assert!(!border.is_crossed(950 * SECOND));
        border.begins = true;
        assert!(border.is_crossed(900 * SECOND));
        border.begins = true;
        assert!(!border.is_crossed(900 * SECOND));
    }
}
