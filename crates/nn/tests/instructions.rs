//! Instructions of the hot kernels, counted by callgrind on the AVX2 path (valgrind does not support AVX-512): detects slower
//! kernels on any machine, however busy. Skipped with a message if valgrind is not installed.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use citronella_nn::{Network, Spec, StreamCell, TrainConfig, Trainer};

/// Instructions per row and step of training (26 x 1, batch 32), and per step of streaming (32 inputs, micro-batches of 48).
const WANTED: [f64; 2] = [14_500.0, 8_800.0];
/// Largest factor above the expected count.
const TOLERANCE: f64 = 1.05;

const REPETITIONS: &str = "CITRONELLA_COUNTED_REPETITIONS";

/// The counted work; `counts_stay_low` runs it in a process of its own.
#[test]
#[ignore = "run by counts_stay_low"]
fn train() {
    let (rows, steps) = (32, 26);
    let x: Vec<f32> = (0..rows * steps).map(|i| (i as f32).sin()).collect();
    let y: Vec<u32> = (0..rows as u32).map(|r| r % 5).collect();
    let network = Network::new(Spec::new(1, 64, 5), 1).unwrap();
    let mut trainer = Trainer::new(network, TrainConfig::default()).unwrap();
    for _ in 0..=repetitions() {
        trainer.epoch(&x, &y, rows, steps, &mut |_| ()).unwrap();
    }
}

/// See `train`.
#[test]
#[ignore = "run by counts_stay_low"]
fn stream() {
    let mut cell = StreamCell::new(&Network::new(Spec::new(32, 64, 5), 1).unwrap(), 48).unwrap();
    let slots: Vec<u32> = (0..48).collect();
    let (x, mut out) = (vec![0.5; 48 * 32], vec![0.0; 48 * 5]);
    for _ in 0..=repetitions() {
        cell.step_many(&slots, &x, &mut out).unwrap();
    }
}

fn repetitions() -> usize {
    std::env::var(REPETITIONS).ok().and_then(|t| t.parse().ok()).unwrap_or(0)
}

fn count(work: &str, repetitions: usize) -> f64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([work, "--exact", "--ignored", "--test-threads=1"])
        .env(REPETITIONS, repetitions.to_string())
        .env("CITRONELLA_SIMD", "avx2")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find_map(|l| l.split_once("Collected : ")).unwrap_or_else(|| panic!("{text}"));
    line.1.trim().parse().unwrap()
}

#[test]
fn counts_stay_low() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not installed");
        return;
    }
    let works = [("train", 32.0 * 26.0), ("stream", 48.0)];
    for ((work, items), wanted) in works.into_iter().zip(WANTED) {
        let n = 2;
        let found = (count(work, n) - count(work, 0)) / (items * n as f64);
        println!("{work}: {found:.0} instructions");
        assert!(found < wanted * TOLERANCE, "{work}: {found:.0} instructions, {wanted} expected");
    }
}
