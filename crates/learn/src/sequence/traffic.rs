//! A capture's packets in memory, and the labelled feature rows of any variant of them.
//!
//! Memory: the packets' bytes once a capture; a time and an index a packet for each variant at work.

use citronella_sensor::{
    feature::sequence::{Config, SequenceLevel, SequenceRow},
    flow::table,
};
use citronella_wire::{LinkType, decode_frame};

use super::{
    MemoryCapture, SequenceError,
    variant::{Variant, VariantTransform},
};

/// Settings of the sequence level for one capture: a flow table large enough for any laboratory recording.
pub(super) fn level_config() -> Config {
    let flows = table::Limits { max_flows: 1 << 16, ..table::Limits::default() };
    Config { flows, ..Config::default() }
}

/// A packet's position in [`Traffic::bytes`].
#[derive(Clone, Copy, Debug)]
struct PacketSpan {
    time_nanos: i64,
    link: LinkType,
    start: usize,
    end: usize,
}

/// Packets of one capture.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    bytes: Vec<u8>,
    packets: Vec<PacketSpan>,
}

/// A packet's features and label.
pub(super) struct LabelledRow {
    pub(super) time_nanos: i64,
    /// Class by the manifest, before the variant changes addresses.
    pub(super) class: u32,
    /// Benign packet to or from a host that also attacks.
    pub(super) is_benign_of_attacker: bool,
    pub(super) row: SequenceRow,
}

impl Traffic {
    /// Reads a capture.
    ///
    /// # Errors
    /// The bytes are not a capture, or end within a packet.
    pub(super) fn read(capture: &MemoryCapture) -> Result<Traffic, SequenceError> {
        let mut traffic = Traffic::default();
        let mut packets = capture.open()?;
        while let Some(packet) = packets.next()? {
            let start = traffic.bytes.len();
            traffic.bytes.extend_from_slice(packet.bytes);
            let end = traffic.bytes.len();
            traffic.packets.push(PacketSpan { time_nanos: packet.time_nanos, link: packet.link, start, end });
        }
        Ok(traffic)
    }

    /// Calls `on_row` with every row that detection would extract from the variant's packets, in time order.
    pub(super) fn for_each_row(
        &self,
        capture: &MemoryCapture,
        variant: Variant,
        mut on_row: impl FnMut(&SequenceLevel, LabelledRow),
    ) {
        let decode = |span: &PacketSpan| {
            decode_frame(span.link, self.bytes.get(span.start..span.end).unwrap_or_default())
        };
        let frames = || self.packets.iter().map(|span| (span.time_nanos, decode(span)));
        let mut transform = VariantTransform::new(variant, capture, frames());
        let mut order: Vec<(i64, usize)> = Vec::with_capacity(self.packets.len());
        for (index, (time_nanos, frame)) in frames().enumerate() {
            order.extend(transform.time(time_nanos, &frame).map(|time| (time, index)));
        }
        transform.order(&mut order);
        let mut level = SequenceLevel::new(level_config());
        for (time_nanos, index) in order {
            let Some(mut frame) = self.packets.get(index).map(decode) else { continue };
            let Some(ip) = frame.ip else { continue };
            let class = capture.class_index_of(&frame);
            let is_benign_of_attacker = class == 0 && transform.has_attacker(ip.src, ip.dst);
            transform.rewrite_addresses(&mut frame);
            let Some(row) = level.frame(time_nanos, &frame) else { continue };
            on_row(&level, LabelledRow { time_nanos, class, is_benign_of_attacker, row });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sequence::Recording;

    /// Benign packets, attack conversations and benign packets of attacking hosts in a capture of run-1.
    fn counts(scenario: &str, variant: Variant) -> (usize, usize, usize) {
        counts_of("run-1", scenario, variant)
    }

    fn counts_of(recording: &str, file: &str, variant: Variant) -> (usize, usize, usize) {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab");
        let recording = Recording::open(&lab.join(recording).join("manifest.csv")).unwrap();
        let is_named = |name: &str| name.contains(&format!("/{file}."));
        let capture = recording.captures.iter().find(|capture| is_named(&capture.name)).unwrap();
        let (mut counts, mut latest) = ((0, 0, 0), i64::MIN);
        Traffic::read(capture).unwrap().for_each_row(capture, variant, |_, labelled| {
            assert!(labelled.time_nanos >= latest);
            latest = labelled.time_nanos;
            counts.0 += usize::from(labelled.class == 0);
            counts.1 += usize::from(labelled.class > 0 && labelled.row.is_new);
            counts.2 += usize::from(labelled.is_benign_of_attacker);
        });
        counts
    }

    #[test]
    fn slowing_the_attack_leaves_benign_traffic_unchanged() {
        let plain = counts("slowite", Variant::PLAIN);
        let slow = counts("slowite", Variant { attack_scale: 10.0, ..Variant::PLAIN });
        assert_eq!(slow.0, plain.0);
        assert!(slow.1 * 8 < plain.1 && slow.1 * 12 > plain.1, "{slow:?} of {plain:?}");
    }

    #[test]
    fn attacks_from_inside_and_from_several_sources_are_labelled_by_port_and_address() {
        let (benign, attacks, of_attacker) = counts_of("hard-3", "hold_inside", Variant::PLAIN);
        assert!(
            (10..40).contains(&attacks) && of_attacker > 100 && of_attacker * 2 < benign,
            "{benign} {attacks} {of_attacker}"
        );
        let distributed = counts_of("hard-3", "pub_spread", Variant::PLAIN);
        assert!(distributed.1 > 10 && distributed.2 == 0, "{distributed:?}");
        // The attack moves to another device; the original attacker's benign traffic stays.
        let moved = counts_of("hard-3", "hold_inside", Variant { inside: true, ..Variant::PLAIN });
        assert_eq!((moved.0, moved.1), (benign, attacks));
    }

    #[test]
    fn clients_behind_nat_have_the_same_conversations_and_classes() {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab/run-1/manifest.csv");
        let recording = Recording::open(&lab).unwrap();
        let capture = recording.captures.iter().find(|c| c.scenario == "slowite").unwrap();
        let traffic = Traffic::read(capture).unwrap();
        let counts = |nat_clients: u32| {
            let (mut conversations, mut hosts, mut rows) = ([0; 2], std::collections::BTreeSet::new(), 0);
            traffic.for_each_row(capture, Variant { nat_clients, ..Variant::PLAIN }, |level, labelled| {
                rows += 1;
                if labelled.row.is_new {
                    conversations[usize::from(labelled.class > 0)] += 1;
                    hosts.extend(level.flow(labelled.row.slot).map(|flow| flow.src().0));
                }
            });
            (conversations, rows, hosts.len())
        };
        let (plain, behind_nat) = (counts(0), counts(8));
        assert_eq!((plain.0, plain.1, plain.2 - 7), behind_nat);
        assert_eq!(counts(1), plain);
    }

    #[test]
    fn benign_traffic_of_an_attacking_host_stays_benign() {
        let plain = counts("slowite", Variant::PLAIN);
        let inside = counts("slowite", Variant { inside: true, ..Variant::PLAIN });
        assert_eq!((plain.0, plain.2), (inside.0, 0));
        assert!(inside.2 > 0 && inside.2 < inside.0);
    }
}
