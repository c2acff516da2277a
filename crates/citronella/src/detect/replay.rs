//! `--replay-speed`: a recording's packets at the pace at which they were recorded, or a multiple of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use citronella_sensor::capture::{CaptureCounters, CaptureError, Next, Packet, Source};
use citronella_wire::LinkType;

/// Interval at which a paced source reports that it is idle, so that waiting packets are scored.
const IDLE_INTERVAL: Duration = Duration::from_millis(5);
/// A larger step back in the recording's time restarts the pace; a smaller one is a late packet.
const SET_BACK_NANOS: i64 = 1_000_000_000;

/// Delays packets until they are due.
pub(super) struct Paced<S> {
    source: S,
    speed: f64,
    /// An instant and the packet time that corresponds to it.
    anchor: Option<(Instant, i64)>,
    last_idle: Instant,
    /// The next packet, and whether it still has to be delivered.
    held: HeldPacket,
    is_holding: bool,
}

#[derive(Default)]
struct HeldPacket {
    number: u64,
    time_nanos: i64,
    link: Option<LinkType>,
    wire_len: u32,
    bytes: Vec<u8>,
}

impl<S: Source> Paced<S> {
    /// A source that is `speed` times as fast as the recording; `speed` is above 0.
    pub(super) fn new(source: S, speed: f64) -> Paced<S> {
        let (anchor, held, last_idle) = (None, HeldPacket::default(), Instant::now());
        Paced { source, speed, anchor, last_idle, held, is_holding: false }
    }

    /// The time until the held packet is due.
    fn remaining(&mut self, now: Instant) -> Duration {
        let time_nanos = self.held.time_nanos;
        let (start, first) = *self.anchor.get_or_insert((now, time_nanos));
        let nanos = time_nanos.saturating_sub(first);
        let due =
            Duration::try_from_secs_f64(nanos.max(0) as f64 * 1e-9 / self.speed).unwrap_or(Duration::MAX);
        if nanos < -SET_BACK_NANOS {
            self.anchor = Some((now, time_nanos));
        }
        due.saturating_sub(now.duration_since(start))
    }

    /// The current packet time.
    fn packet_time(&self, now: Instant) -> i64 {
        self.anchor.map_or(0, |(start, first)| {
            first.saturating_add((now.duration_since(start).as_secs_f64() * 1e9 * self.speed) as i64)
        })
    }
}

impl<S: Source> Source for Paced<S> {
    fn next(&mut self) -> Result<Next<'_>, CaptureError> {
        if !self.is_holding {
            match self.source.next()? {
                Next::Packet(packet) => self.held.set(&packet),
                // A name borrows from the source, which the packets below do as well.
                Next::CaptureStart(name) => {
                    self.held.bytes = name.as_bytes().to_vec();
                    return Ok(Next::CaptureStart(std::str::from_utf8(&self.held.bytes).unwrap_or_default()));
                }
                Next::Idle(now_nanos) => return Ok(Next::Idle(now_nanos)),
                Next::LinkChanged(notice) => return Ok(Next::LinkChanged(notice)),
                Next::CaptureEnd => return Ok(Next::CaptureEnd),
                Next::Drained => return Ok(Next::Drained),
                Next::End => return Ok(Next::End),
            }
            self.is_holding = true;
        }
        let now = Instant::now();
        let remaining = self.remaining(now);
        if !remaining.is_zero() {
            thread::sleep(remaining.min(IDLE_INTERVAL));
        }
        let now = Instant::now();
        let is_due = self.remaining(now).is_zero();
        if !is_due || now.duration_since(self.last_idle) >= IDLE_INTERVAL {
            self.last_idle = now;
            // Time does not overtake the next packet.
            return Ok(Next::Idle(self.packet_time(now).min(self.held.time_nanos)));
        }
        self.is_holding = false;
        Ok(Next::Packet(self.held.packet()))
    }

    fn counters(&mut self) -> CaptureCounters {
        self.source.counters()
    }
}

impl HeldPacket {
    fn set(&mut self, packet: &Packet<'_>) {
        (self.number, self.time_nanos) = (packet.number, packet.time_nanos);
        (self.link, self.wire_len) = (Some(packet.link), packet.wire_len);
        self.bytes.clear();
        self.bytes.extend_from_slice(packet.bytes);
    }

    fn packet(&self) -> Packet<'_> {
        Packet {
            number: self.number,
            time_nanos: self.time_nanos,
            link: self.link.unwrap_or(LinkType::Ethernet),
            wire_len: self.wire_len,
            bytes: &self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets at these times, in milliseconds.
    struct Times<'a>(std::slice::Iter<'a, i64>);

    impl Source for Times<'_> {
        fn next(&mut self) -> Result<Next<'_>, CaptureError> {
            Ok(self.0.next().map_or(Next::End, |time| {
                let (number, link, wire_len) = (1, LinkType::Ethernet, 4);
                Next::Packet(Packet { number, time_nanos: time * 1_000_000, link, wire_len, bytes: b"four" })
            }))
        }

        fn counters(&mut self) -> CaptureCounters {
            CaptureCounters::default()
        }
    }

    /// Elapsed milliseconds, packets in order, and the number of idle reports.
    fn replay(times: &[i64], speed: f64) -> (u128, Vec<i64>, usize) {
        let mut paced = Paced::new(Times(times.iter()), speed);
        let (start, mut seen, mut idle) = (Instant::now(), Vec::new(), 0);
        loop {
            match paced.next().unwrap() {
                Next::Packet(packet) => seen.push(packet.time_nanos / 1_000_000),
                Next::Idle(now) => {
                    assert!(seen.last().is_none_or(|last| now / 1_000_000 >= *last));
                    idle += 1;
                }
                _ => return (start.elapsed().as_millis(), seen, idle),
            }
        }
    }

    #[test]
    fn packets_keep_their_pace() {
        let (millis, seen, idle) = replay(&[1_000, 1_050, 1_100], 1.0);
        assert_eq!(seen, [1_000, 1_050, 1_100]);
        assert!(millis >= 100 && idle >= 10, "{millis} ms, {idle}");
        let (faster, seen, _) = replay(&[1_000, 2_000, 3_000], 100.0);
        assert!(seen.len() == 3 && (20..1_000).contains(&faster), "{faster} ms");
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_pace() {
        let (millis, seen, _) = replay(&[5_000_000, 10, 40], 1.0);
        assert_eq!(seen, [5_000_000, 10, 40]);
        assert!((30..5_000).contains(&millis), "{millis} ms");
    }
}
