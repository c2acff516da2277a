//! A capture's packets in memory, and in the order in which a variant has them.
//!
//! Memory: the packets' bytes, once a capture; a time and a number a packet for each variant at work.

use citronella_sensor::feature::sequence::{SequenceLevel, SequenceRow};
use citronella_wire::{LinkType, decode_frame};

use super::{
    SequenceError, pool,
    recording::Captured,
    variant::{Changer, Variant},
};

#[derive(Clone, Copy, Debug)]
struct Place {
    time_nanos: i64,
    link: LinkType,
    begin: usize,
    end: usize,
}

/// Packets of one capture.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    bytes: Vec<u8>,
    packets: Vec<Place>,
}

/// One row of a walk.
pub(super) struct Walked {
    pub(super) time_nanos: i64,
    /// The class that the manifest gives the packet's hosts, as they were before any change.
    pub(super) class: u32,
    /// Honest work of a host from which an attack comes too.
    pub(super) beside_attack: bool,
    pub(super) row: SequenceRow,
}

impl Traffic {
    /// Reads a capture.
    ///
    /// # Errors
    /// The bytes are no capture.
    pub(super) fn read(capture: &Captured) -> Result<Traffic, SequenceError> {
        let mut traffic = Traffic::default();
        let mut packets = capture.open()?;
        while let Some(packet) = packets.next()? {
            let begin = traffic.bytes.len();
            traffic.bytes.extend_from_slice(packet.bytes);
            let end = traffic.bytes.len();
            traffic.packets.push(Place { time_nanos: packet.time_nanos, link: packet.link, begin, end });
        }
        Ok(traffic)
    }

    /// Seconds from the first packet to the last.
    pub(super) fn secs(&self) -> f64 {
        let ends = self.packets.first().zip(self.packets.last());
        ends.map_or(0.0, |(first, last)| {
            last.time_nanos.saturating_sub(first.time_nanos).max(0) as f64 * 1e-9
        })
    }

    /// Walks over the packets as a variant has them: the rows that detection would make of them.
    pub(super) fn walk(
        &self,
        capture: &Captured,
        variant: Variant,
        mut hear: impl FnMut(&SequenceLevel, Walked),
    ) {
        let frame = |place: &Place| {
            decode_frame(place.link, self.bytes.get(place.begin..place.end).unwrap_or_default())
        };
        let frames = || self.packets.iter().map(|place| (place.time_nanos, frame(place)));
        let mut changer = Changer::new(variant, capture, frames());
        let mut order: Vec<(i64, usize)> = Vec::with_capacity(self.packets.len());
        for (number, (time_nanos, frame)) in frames().enumerate() {
            order.extend(changer.time(time_nanos, &frame).map(|time| (time, number)));
        }
        changer.settle(&mut order);
        let mut level = SequenceLevel::new(pool::config());
        for (time_nanos, number) in order {
            let Some(mut frame) = self.packets.get(number).map(frame) else { continue };
            let Some(ip) = frame.ip else { continue };
            let class = pool::class_number(capture.class_of(&frame));
            let beside_attack = class == 0 && changer.attacks(ip.src, ip.dst);
            changer.disguise(&mut frame);
            let Some(row) = level.frame(time_nanos, &frame) else { continue };
            hear(&level, Walked { time_nanos, class, beside_attack, row });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sequence::Recording;

    /// Benign packets, attack conversations and honest packets beside an attack, of a recorded attack.
    fn counted(scenario: &str, variant: Variant) -> (usize, usize, usize) {
        counted_of("run-1", scenario, variant)
    }

    fn counted_of(recording: &str, file: &str, variant: Variant) -> (usize, usize, usize) {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab");
        let recording = Recording::open(&lab.join(recording).join("manifest.csv")).unwrap();
        let named = |name: &str| name.contains(&format!("/{file}."));
        let capture = recording.captures.iter().find(|capture| named(&capture.name)).unwrap();
        let (mut counts, mut latest) = ((0, 0, 0), i64::MIN);
        Traffic::read(capture).unwrap().walk(capture, variant, |_, walked| {
            assert!(walked.time_nanos >= latest);
            latest = walked.time_nanos;
            counts.0 += usize::from(walked.class == 0);
            counts.1 += usize::from(walked.class > 0 && walked.row.is_new);
            counts.2 += usize::from(walked.beside_attack);
        });
        counts
    }

    #[test]
    fn a_slowed_attack_leaves_the_others_as_they_were() {
        let plain = counted("slowite", Variant::PLAIN);
        let slow = counted("slowite", Variant { attack_scale: 10.0, ..Variant::PLAIN });
        assert_eq!(slow.0, plain.0);
        assert!(slow.1 * 8 < plain.1 && slow.1 * 12 > plain.1, "{slow:?} of {plain:?}");
    }

    #[test]
    fn attacks_from_inside_and_from_several_sources_are_told_by_port_and_address() {
        let (benign, attacks, beside) = counted_of("hard-3", "hold_inside", Variant::PLAIN);
        assert!(
            (10..40).contains(&attacks) && beside > 100 && beside * 2 < benign,
            "{benign} {attacks} {beside}"
        );
        let spread = counted_of("hard-3", "pub_spread", Variant::PLAIN);
        assert!(spread.1 > 10 && spread.2 == 0, "{spread:?}");
        // The attack moves to another device; who attacked goes on with its honest work.
        let moved = counted_of("hard-3", "hold_inside", Variant { inside: true, ..Variant::PLAIN });
        assert_eq!((moved.0, moved.1), (benign, attacks));
    }

    #[test]
    fn clients_behind_one_address_keep_their_conversations_and_classes() {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab/run-1/manifest.csv");
        let recording = Recording::open(&lab).unwrap();
        let capture = recording.captures.iter().find(|c| c.scenario == "slowite").unwrap();
        let traffic = Traffic::read(capture).unwrap();
        let walked = |shared: u32| {
            let (mut begun, mut hosts, mut rows) = ([0; 2], std::collections::BTreeSet::new(), 0);
            traffic.walk(capture, Variant { shared, ..Variant::PLAIN }, |level, walked| {
                rows += 1;
                if walked.row.is_new {
                    begun[usize::from(walked.class > 0)] += 1;
                    hosts.extend(level.flow(walked.row.slot).map(|flow| flow.src().0));
                }
            });
            (begun, rows, hosts.len())
        };
        let (plain, shared) = (walked(0), walked(8));
        assert_eq!((plain.0, plain.1, plain.2 - 7), shared);
        assert_eq!(walked(1), plain);
    }

    #[test]
    fn honest_work_of_a_host_that_attacks_stays_benign() {
        let plain = counted("slowite", Variant::PLAIN);
        let inside = counted("slowite", Variant { inside: true, ..Variant::PLAIN });
        assert_eq!((plain.0, plain.2), (inside.0, 0));
        assert!(inside.2 > 0 && inside.2 < inside.0);
    }
}
