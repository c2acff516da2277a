//! Training (epochs of ten steps), inference and streaming on each instruction set; a subset:
//! `cargo bench -p citronella-nn -- avx512/train`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use citronella_nn::{Network, Simd, Spec, StreamCell, TrainConfig, Trainer};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const OUTPUTS: usize = 5;
const SHAPES: [(usize, usize); 2] = [(26, 1), (32, 32)];

fn waves(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * i % 97) as f32 * 0.37).sin()).collect()
}

fn network(inputs: usize, simd: Simd) -> Network {
    Network::new(Spec::new(inputs, 64, OUTPUTS), 1).unwrap().with_simd(simd)
}

fn lstm(c: &mut Criterion) {
    for simd in Simd::available() {
        let mut group = c.benchmark_group(simd.name());
        for (steps, inputs) in SHAPES {
            let shape = format!("{steps}x{inputs}");
            let rows = 320;
            let (x, y) = (waves(rows * steps * inputs), (0..rows as u32).map(|r| r % 5).collect::<Vec<_>>());
            for threads in [1, 2] {
                let config = TrainConfig { threads, ..TrainConfig::default() };
                let mut trainer = Trainer::new(network(inputs, simd), config).unwrap();
                group.throughput(Throughput::Elements(rows as u64));
                group.bench_function(BenchmarkId::new(format!("train_{threads}"), &shape), |b| {
                    b.iter(|| trainer.epoch(&x, &y, rows, steps, &mut |_| ()).unwrap());
                });
            }
            let network = network(inputs, simd);
            for batch in [1, 32] {
                let x = &x[..batch * steps * inputs];
                group.throughput(Throughput::Elements(batch as u64));
                group.bench_function(BenchmarkId::new(format!("infer_{batch}"), &shape), |b| {
                    b.iter(|| network.predict(black_box(x), batch, steps, 1).unwrap());
                });
            }
        }
        for batch in [1, 48] {
            let mut cell = StreamCell::new(&network(32, simd), 1000).unwrap();
            let (x, slots) = (waves(batch * 32), (0..batch as u32).collect::<Vec<_>>());
            let mut out = vec![0.0; batch * OUTPUTS];
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(BenchmarkId::new("stream", batch), |b| {
                b.iter(|| cell.step_many(&slots, black_box(&x), &mut out).unwrap());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, lstm);
criterion_main!(benches);
