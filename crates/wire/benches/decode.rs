//! Time per frame and per MQTT message, on synthetic input that fits the cache.
#![allow(missing_docs)]

use std::hint::black_box;

use citronella_wire::mqtt::{Direction, Limits, Session, Step, Stream, Version, decode, fixed_header};
use citronella_wire::{LinkType, decode_frame};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// A TCP segment with timestamps and a PUBLISH of QoS 0, on IPv4 or IPv6.
fn frame(version: u8) -> Vec<u8> {
    let publish = b"\x30\x16\x00\x10lab/s1/temperat1234";
    let mut tcp = vec![0x80, 0, 0x07, 0x5b, 0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0x18, 0x20, 0, 0, 0, 0, 0];
    tcp.extend([1, 1, 8, 10, 0, 0, 0, 3, 0, 0, 0, 4]);
    tcp.extend(publish);
    let len = tcp.len() as u8;
    let mut bytes = vec![0; 12];
    if version == 4 {
        bytes.extend([
            0x08,
            0x00,
            0x45,
            0,
            0,
            len + 20,
            0,
            1,
            0x40,
            0,
            64,
            6,
            0,
            0,
            10,
            0,
            0,
            1,
            10,
            0,
            0,
            2,
        ]);
    } else {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, len, 6, 64]);
        bytes.extend([0x20; 32]);
    }
    bytes.extend(tcp);
    bytes
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    for version in [4, 6] {
        let bytes = frame(version);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("ethernet/ipv{version}/tcp"), |bencher| {
            bencher.iter(|| black_box(decode_frame(LinkType::Ethernet, black_box(&bytes))));
        });
    }
    // etherparse's two whole-packet structs, on the same frame.
    let bytes = frame(4);
    group.bench_function("etherparse LaxSlicedPacket/ipv4", |bencher| {
        bencher.iter(|| {
            let sliced = etherparse::LaxSlicedPacket::from_ethernet(black_box(&bytes));
            black_box(sliced.map(|packet| packet.transport)).is_ok()
        });
    });
    group.bench_function("etherparse LaxPacketHeaders/ipv4", |bencher| {
        bencher.iter(|| {
            let headers = etherparse::LaxPacketHeaders::from_ethernet(black_box(&bytes));
            black_box(headers.map(|packet| packet.transport)).is_ok()
        });
    });
    group.finish();

    let message = &frame(4)[66..];
    let mut group = criterion.benchmark_group("mqtt");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode/publish", |bencher| {
        let limits = Limits::default();
        bencher.iter(|| {
            let Step::Done(header) = fixed_header(black_box(message)) else { return };
            let body = message.get(header.header_len..).unwrap_or(&[]);
            black_box(decode(&header, body, Version::V311, &limits));
        });
    });
    let many = message.repeat(1_000);
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("stream+session/1000 publishes in segments", |bencher| {
        bencher.iter(|| {
            let mut session = Session::mid_stream(Limits::default());
            let mut stream = Stream::new(Limits::default());
            for segment in many.chunks(1_448) {
                stream.push(segment, |record| {
                    black_box(session.observe(Direction::ToServer, &record, 0));
                });
            }
        });
    });
    group.finish();
}

criterion_group!(decoding, benches);
criterion_main!(decoding);
