//! Reads a capture from memory to its end or its fault.

use std::io::Cursor;

use citronella_sensor::capture::Capture;
use citronella_sensor::feature::packet::{Attacker, PacketLevel};
use citronella_sensor::flow::sessions::{Limits, Sessions};

/// Checks that packets lie within the file and are numbered in order, and that a fault ends the capture.
pub fn read(bytes: &[u8]) {
    let Ok(mut capture) = Capture::from_reader("fuzz", Box::new(Cursor::new(bytes.to_vec()))) else { return };
    let mut limits = Limits { connections: 8, total_bytes: 1 << 16, ..Limits::default() };
    limits.flows.max_flows = 16;
    let mut rows = PacketLevel::new(Attacker::Unknown);
    let mut sessions = Sessions::new(limits);
    let (mut seen, mut total) = (0, 0);
    while let Ok(Some(packet)) = capture.next() {
        seen += 1;
        total += packet.bytes.len();
        assert_eq!(packet.number, seen);
        assert!(total <= bytes.len());
        if let Some(row) = rows.row(&packet) {
            assert_eq!(row.cells().len(), 31);
        }
        sessions.packet(&packet, |_| ());
        let counters = sessions.counters();
        assert!(counters.connections <= 8 && counters.flows.started - counters.flows.ended <= 16);
    }
    assert_eq!(capture.packets(), seen);
    assert!(matches!(capture.next(), Ok(None)));
    sessions.finish(|_| ());
    assert_eq!(sessions.counters().buffered_bytes, 0);
    assert_eq!(sessions.counters().reassembly.buffered_bytes, 0);
}
