//! Prints the results of `citronella_nn::bench`. Usage: measure [STEPS] [FEATURES] [THREADS] [SECONDS] [HIDDEN]

use citronella_nn::bench::{Setup, run};

fn main() -> Result<(), citronella_nn::Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let seconds = args.get(3).and_then(|a| a.parse().ok()).unwrap_or(1.0);
    let (steps, features, threads, hidden) = (number(0, 26), number(1, 1), number(2, 1), number(4, 64));
    let setup = Setup { steps, features, threads, seconds, hidden, ..Setup::default() };
    println!("{:#?}", run(&setup)?);
    Ok(())
}
