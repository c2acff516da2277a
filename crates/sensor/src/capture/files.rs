//! Capture files as a source of packets.

use std::{mem::take, path::PathBuf, vec::IntoIter};

use super::{Capture, CaptureCounters, CaptureError, Next, Source, filter::Filter};

/// Capture files, one after another.
pub struct Files {
    paths: IntoIter<PathBuf>,
    capture: Option<Capture>,
    filter: Filter,
    name: String,
    is_at_end: bool,
    counters: CaptureCounters,
}

impl Files {
    /// Files in the order given; `-` is stdin. A packet that the filter excludes only lets time pass: it is a
    /// [`Next::Idle`].
    pub fn new(paths: Vec<PathBuf>, filter: Filter) -> Files {
        let (capture, name, counters) = (None, String::new(), CaptureCounters::default());
        Files { paths: paths.into_iter(), capture, filter, name, is_at_end: false, counters }
    }
}

impl Source for Files {
    #[inline]
    fn next(&mut self) -> Result<Next<'_>, CaptureError> {
        if take(&mut self.is_at_end) {
            self.capture = None;
        }
        if self.capture.is_none() {
            let Some(path) = self.paths.next() else { return Ok(Next::End) };
            let name = self.capture.insert(Capture::open(&path)?).name();
            name.clone_into(&mut self.name);
            return Ok(Next::CaptureStart(name));
        }
        let Some(capture) = &mut self.capture else { return Ok(Next::End) };
        match capture.next() {
            Ok(Some(packet)) if self.filter.is_empty() || self.filter.matches(&packet) => {
                self.counters.packets += 1;
                Ok(Next::Packet(packet))
            }
            Ok(Some(packet)) => match self.filter.check(packet.link) {
                Ok(()) => {
                    self.counters.filtered += 1;
                    Ok(Next::Idle(packet.time_nanos))
                }
                Err(problem) => {
                    self.is_at_end = true;
                    Err(CaptureError::Filter { name: self.name.clone(), problem })
                }
            },
            Ok(None) => {
                self.is_at_end = true;
                Ok(Next::CaptureEnd)
            }
            Err(error) => {
                self.is_at_end = true;
                Err(error)
            }
        }
    }

    fn counters(&mut self) -> CaptureCounters {
        self.counters
    }
}
