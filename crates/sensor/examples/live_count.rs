//! Counts the packets on interfaces: `live_count SECONDS SHARDS INTERFACE...`
//!
//! Prints bytes and counters for each shard.
#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_methods)] // it measures this machine
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use citronella_sensor::capture::{
        Next, Source,
        live::{LiveSettings, open},
    };
    use std::time::{Duration, Instant};

    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().ok_or("SECONDS is missing")?.parse()?;
    let shards: usize = arguments.next().ok_or("SHARDS is missing")?.parse()?;
    let settings = LiveSettings { interfaces: arguments.collect(), ..Default::default() };
    let until = Duration::from_secs(seconds);
    let threads = open(&settings, shards)?.into_iter().enumerate().map(|(at, mut shard)| {
        std::thread::spawn(move || {
            let started = Instant::now();
            let (mut bytes, mut sum) = (0_u64, 0_u64);
            while started.elapsed() < until {
                match shard.next() {
                    Ok(Next::Packet(packet)) => {
                        bytes += u64::from(packet.wire_len);
                        sum = packet.bytes.iter().take(64).fold(sum, |sum, &byte| sum + u64::from(byte));
                    }
                    Ok(Next::LinkChanged(notice)) => println!("{notice}"),
                    Ok(_) => {}
                    Err(error) => {
                        println!("shard {at}: {error}");
                        return;
                    }
                }
            }
            println!("shard {at}: {bytes} bytes (checksum {sum}), {:?}", shard.counters());
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().map_err(|_| "a shard panicked")?;
    }
    Ok(())
}
