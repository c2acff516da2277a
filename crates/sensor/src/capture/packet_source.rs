//! Where packets come from: files, a replay, or the rings of interfaces.

use super::{CaptureCounters, CaptureError, LinkNotice, Packet};

/// What a source yields next.
#[derive(Debug)]
pub enum Next<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// A capture of this name starts.
    CaptureStart(&'a str),
    /// A capture has been read to its end.
    CaptureEnd,
    /// The rings are empty: no packet is waiting.
    Drained,
    /// No packet has arrived up to this packet time, nanoseconds since 1970-01-01 UTC.
    Idle(i64),
    /// A capture interface has changed.
    LinkChanged(LinkNotice),
    /// There are no more packets.
    End,
}

/// A source of packets.
pub trait Source {
    /// What comes next. Live sources wait a while where nothing has arrived.
    ///
    /// # Errors
    /// Packets could not be read. More may follow: only [`Next::End`] ends a source.
    fn next(&mut self) -> Result<Next<'_>, CaptureError>;

    /// Counters since the source was opened.
    fn counters(&mut self) -> CaptureCounters;
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn next(&mut self) -> Result<Next<'_>, CaptureError> {
        (**self).next()
    }

    fn counters(&mut self) -> CaptureCounters {
        (**self).counters()
    }
}
