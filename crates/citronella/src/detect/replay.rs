//! `--replay-speed`: a recording's packets at the pace at which they were recorded, or a multiple of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use citronella_sensor::{
    capture::{CaptureError, Packet},
    pipeline::{Next, Source},
};
use citronella_wire::LinkType;

/// How often the shards hear at least that time has passed: what waits in a micro-batch is scored then.
const HEARTBEAT: Duration = Duration::from_millis(5);
/// A step back in a recording's time by more than this begins the pace anew; less is a packet that came late.
const SET_BACK_NANOS: i64 = 1_000_000_000;

/// Holds packets back until their time has come.
pub(super) struct Paced<S> {
    source: S,
    speed: f64,
    /// The moment and the packet time that stand for each other.
    anchor: Option<(Instant, i64)>,
    beat: Instant,
    /// The packet that comes next, and whether it has been handed out.
    held: Held,
    waits: bool,
}

#[derive(Default)]
struct Held {
    number: u64,
    time_nanos: i64,
    link: Option<LinkType>,
    wire_len: u32,
    bytes: Vec<u8>,
}

impl<S: Source> Paced<S> {
    /// `speed` times as fast as recorded; above 0.
    pub(super) fn new(source: S, speed: f64) -> Paced<S> {
        Paced { source, speed, anchor: None, beat: Instant::now(), held: Held::default(), waits: false }
    }

    /// How long the held packet still waits.
    fn still(&mut self, now: Instant) -> Duration {
        let time_nanos = self.held.time_nanos;
        let (begun, first) = *self.anchor.get_or_insert((now, time_nanos));
        let nanos = time_nanos.saturating_sub(first);
        let due =
            Duration::try_from_secs_f64(nanos.max(0) as f64 * 1e-9 / self.speed).unwrap_or(Duration::MAX);
        if nanos < -SET_BACK_NANOS {
            self.anchor = Some((now, time_nanos));
        }
        due.saturating_sub(now.duration_since(begun))
    }

    /// The packets' time at this moment.
    fn packet_time(&self, now: Instant) -> i64 {
        self.anchor.map_or(0, |(begun, first)| {
            first.saturating_add((now.duration_since(begun).as_secs_f64() * 1e9 * self.speed) as i64)
        })
    }
}

impl<S: Source> Source for Paced<S> {
    fn next(&mut self) -> Result<Next<'_>, CaptureError> {
        if !self.waits {
            match self.source.next()? {
                Next::Packet(packet) => {
                    let held = &mut self.held;
                    (held.number, held.time_nanos) = (packet.number, packet.time_nanos);
                    (held.link, held.wire_len) = (Some(packet.link), packet.wire_len);
                    held.bytes.clear();
                    held.bytes.extend_from_slice(packet.bytes);
                    self.waits = true;
                }
                Next::Quiet(now_nanos) => return Ok(Next::Quiet(now_nanos)),
                Next::Ends => return Ok(Next::Ends),
                Next::End => return Ok(Next::End),
                // The borrow of a name cannot be handed on beside the packets' below.
                Next::Begins(name) => {
                    self.held.bytes = name.as_bytes().to_vec();
                    return Ok(Next::Begins(std::str::from_utf8(&self.held.bytes).unwrap_or_default()));
                }
            }
        }
        let now = Instant::now();
        let still = self.still(now);
        if !still.is_zero() {
            thread::sleep(still.min(HEARTBEAT));
        }
        let now = Instant::now();
        let is_due = self.still(now).is_zero();
        if !is_due || now.duration_since(self.beat) >= HEARTBEAT {
            self.beat = now;
            // Time does not pass the packet that comes next.
            return Ok(Next::Quiet(self.packet_time(now).min(self.held.time_nanos)));
        }
        self.waits = false;
        let Held { number, time_nanos, link, wire_len, bytes } = &self.held;
        Ok(Next::Packet(Packet {
            number: *number,
            time_nanos: *time_nanos,
            link: link.unwrap_or(LinkType::Ethernet),
            wire_len: *wire_len,
            bytes,
        }))
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
    }

    /// Milliseconds that passed, packets in order, and how often the source said that nothing came.
    fn replay(times: &[i64], speed: f64) -> (u128, Vec<i64>, usize) {
        let mut paced = Paced::new(Times(times.iter()), speed);
        let (begun, mut seen, mut quiet) = (Instant::now(), Vec::new(), 0);
        loop {
            match paced.next().unwrap() {
                Next::Packet(packet) => seen.push(packet.time_nanos / 1_000_000),
                Next::Quiet(now) => {
                    assert!(seen.last().is_none_or(|last| now / 1_000_000 >= *last));
                    quiet += 1;
                }
                _ => return (begun.elapsed().as_millis(), seen, quiet),
            }
        }
    }

    #[test]
    fn packets_come_at_their_pace() {
        let (millis, seen, quiet) = replay(&[1_000, 1_050, 1_100], 1.0);
        assert_eq!(seen, [1_000, 1_050, 1_100]);
        assert!(millis >= 100 && quiet >= 10, "{millis} ms, {quiet}");
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
