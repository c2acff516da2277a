//! Prints what `citronella_nn::bench` measures. usage: measure [STEPS] [FEATURES] [THREADS] [portable|avx2|avx512]

use citronella_nn::Simd;
use citronella_nn::bench::{Setup, infer_per_s, train_ms};

fn main() -> Result<(), citronella_nn::Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let setup =
        Setup { steps: number(0, 26), features: number(1, 1), threads: number(2, 1), ..Setup::default() };
    let simd = Simd::detect();
    println!("{} {setup:?}", simd.name());
    println!("train_ms={:.3}", train_ms(&setup, simd)?);
    for batch in [1, 32, 1024] {
        println!("infer_{batch}={:.0}", infer_per_s(&setup, simd, batch)?);
    }
    Ok(())
}
