//! Training does not allocate after the first batch of an epoch; streaming never allocates.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use citronella_nn::{LossAt, Network, Spec, StreamCell, TrainConfig, Trainer};

struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: guaranteed by the caller (see `# Safety`).
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        // SAFETY: guaranteed by the caller (see `# Safety`).
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of an epoch over `rows` rows after a first one.
fn allocations(spec: &Spec, threads: usize, rows: usize) -> usize {
    let steps = 5;
    let (x, y) = (vec![0.5; rows * steps * spec.inputs], vec![1; rows]);
    let network = Network::new(spec.clone(), 1).unwrap();
    let mut trainer = Trainer::new(network, TrainConfig { threads, ..TrainConfig::default() }).unwrap();
    trainer.epoch(&x, &y, rows, steps, &mut |_| ()).unwrap();
    let before = CALLS.load(Ordering::Relaxed);
    trainer.epoch(&x, &y, rows, steps, &mut |_| ()).unwrap();
    CALLS.load(Ordering::Relaxed) - before
}

#[test]
fn allocations_do_not_depend_on_the_number_of_batches() {
    let plain = Spec::new(3, 32, 4);
    let rich = Spec {
        hidden: vec![16, 24],
        dropout: 0.2,
        batch_norm: true,
        loss_at: LossAt::EveryStep,
        ..plain.clone()
    };
    for spec in [plain, rich] {
        for threads in [1, 2] {
            // The rest is the epoch's own: its metrics and threads.
            let (few, many) = (allocations(&spec, threads, 64), allocations(&spec, threads, 64 * 40));
            assert!(many <= few + 2, "{threads} threads: {few} and {many}");
        }
    }

    let network = Network::new(Spec::new(3, 32, 4), 1).unwrap();
    let mut cell = StreamCell::new(&network, 100).unwrap();
    let slots: Vec<u32> = (0..60).collect();
    let (x, mut out) = (vec![0.5; 60 * 3], vec![0.0; 60 * 4]);
    let before = CALLS.load(Ordering::Relaxed);
    for _ in 0..10 {
        cell.step_many(&slots, &x, &mut out).unwrap();
    }
    assert_eq!(CALLS.load(Ordering::Relaxed), before);
}
