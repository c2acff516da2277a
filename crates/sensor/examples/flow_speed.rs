//! Measures decoding and the flow table: `flow_speed CAPTURE...` loads the captures into memory and prints packets per
//! second, the best of five passes.

use std::{error::Error, path::Path, time::Instant};

use citronella_sensor::{
    capture::{Capture, Packet},
    feature::{
        biflow::BiflowLevel,
        packet::{Attacker, wireshark::mqtt_stream::PacketStreams},
    },
    flow::{FlowEvent, FlowPacket, FlowTable, ids2020, table::Limits},
};
use citronella_wire::{LinkType, Transport, decode_frame};

struct Record {
    time_nanos: i64,
    link: LinkType,
    from: usize,
    to: usize,
}

#[allow(clippy::disallowed_methods)] // it measures time
fn measure(name: &str, packets: usize, mut pass: impl FnMut() -> u64) {
    let mut best = f64::INFINITY;
    let mut result = 0;
    for _ in 0..5 {
        let started = Instant::now();
        result = pass();
        best = best.min(started.elapsed().as_secs_f64());
    }
    let rate = packets as f64 / best;
    println!("{name}: {:.2} M packets/s, {:.0} ns per packet ({result})", rate / 1e6, 1e9 / rate);
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut bytes, mut records) = (Vec::new(), Vec::new());
    for path in std::env::args().skip(1) {
        let mut capture = Capture::open(Path::new(&path))?;
        while let Some(packet) = capture.next()? {
            let from = bytes.len();
            bytes.extend_from_slice(packet.bytes);
            let (time_nanos, link) = (packet.time_nanos, packet.link);
            records.push(Record { time_nanos, link, from, to: bytes.len() });
        }
    }
    records.sort_by_key(|record| record.time_nanos);
    let all = records.len();
    println!("{all} packets, {} MB", bytes.len() >> 20);
    let frame = |record: &Record| decode_frame(record.link, &bytes[record.from..record.to]);
    measure("decode", all, || {
        records.iter().filter(|record| frame(record).transport.is_some()).count() as u64
    });
    measure("decode + flow table", all, || {
        let (mut table, mut ended) = (FlowTable::new(Limits::default()), 0);
        for record in &records {
            if let Some(packet) = FlowPacket::of_frame(record.time_nanos, &frame(record)) {
                table.add(&packet, |event| ended += u64::from(matches!(event, FlowEvent::Ended { .. })));
            }
        }
        ended + table.len() as u64
    });
    measure("decode + ids2020 flows", all, || {
        let mut flows = ids2020::Conversations::new(ids2020::Limits::default());
        for record in &records {
            flows.add_frame(record.time_nanos, &frame(record));
        }
        flows.len() as u64
    });
    measure("biflow level, rows included", all, || {
        let mut flows = BiflowLevel::new(Attacker::Nobody, ids2020::Limits::default());
        for (number, record) in records.iter().enumerate() {
            let bytes = &bytes[record.from..record.to];
            flows.add(&Packet {
                number: number as u64 + 1,
                time_nanos: record.time_nanos,
                link: record.link,
                wire_len: bytes.len() as u32,
                bytes,
            });
        }
        flows.finish().map(|row| row.cells().len() as u64 / 32).sum()
    });
    measure("decode + packet streams", all, || {
        let mut streams = PacketStreams::new();
        let mut shown = 0;
        for record in &records {
            let frame = frame(record);
            if let (Some(ip), Some(Transport::Tcp(tcp))) = (&frame.ip, &frame.transport) {
                let view = streams.segment(record.time_nanos, ip, tcp, frame.payload, frame.payload_len);
                shown += u64::from(view.protocol == Some("MQTT"));
            }
        }
        shown
    });
    Ok(())
}
