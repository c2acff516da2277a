//! Experiments with the sequence detector: `loro MANIFEST...`, `score MANIFEST... -- CAPTURE...`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use citronella_learn::dataset::CLASSES;
use citronella_learn::sequence::{
    Captured, Options, Recording, Rule, ScoredFlow, fit, gather, score, verdict,
};

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> AnyResult<()> {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let mut options = Options::default();
    let mut only: Option<String> = None;
    let (mut manifests, mut captures, mut after) = (Vec::new(), Vec::new(), false);
    for arg in args {
        if arg == "--" {
            after = true;
        } else if let Some((key, value)) = arg.strip_prefix("--").and_then(|a| a.split_once('=')) {
            match key {
                "seed" => options.seed = value.parse()?,
                "epochs" => options.epochs = value.parse()?,
                "windows" => options.windows = value.parse()?,
                "variants" => options.variants = value.parse()?,
                "hidden" => options.hidden = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "lr" => options.learning_rate = value.parse()?,
                "dropout" => options.dropout = value.parse()?,
                "threads" => options.threads = value.parse()?,
                "steps" => options.steps = value.parse()?,
                "only" => only = Some(value.to_owned()),
                _ => return Err(format!("unknown option {key}").into()),
            }
        } else if after {
            captures.push(PathBuf::from(arg));
        } else {
            manifests.push(PathBuf::from(arg));
        }
    }
    let recordings: Vec<Recording> =
        manifests.iter().map(|m| Recording::open(m)).collect::<Result<_, _>>()?;
    match command.as_str() {
        "loro" => loro(&recordings, &options, only.as_deref()),
        "facts" => facts(&recordings, &captures),
        "score" => outside(&recordings, &options, &captures),
        _ => Err("loro or score".into()),
    }
}

fn train(training: &[&Recording], options: &Options) -> AnyResult<citronella_nn::Network> {
    let clock = std::time::Instant::now();
    let pool = gather(training, options)?;
    eprintln!("{} conversations in {:.1} s", pool.len(), clock.elapsed().as_secs_f64());
    let clock = std::time::Instant::now();
    let network = fit(&pool, options, &mut |epoch, loss| {
        if epoch % 10 == 0 {
            eprintln!("  epoch {epoch} loss {loss:.4} {:.1} s", clock.elapsed().as_secs_f64());
        }
    })?;
    Ok(network)
}

fn loro(recordings: &[Recording], options: &Options, only: Option<&str>) -> AnyResult<()> {
    for held in recordings {
        if only.is_some_and(|only| only != held.name) {
            continue;
        }
        let training: Vec<&Recording> = recordings.iter().filter(|r| r.name != held.name).collect();
        let network = train(&training, options)?;
        println!("== {} held out", held.name);
        report(&score(&network, 1.0, options.steps, &held.captures)?, &held.captures);
    }
    Ok(())
}

fn outside(recordings: &[Recording], options: &Options, captures: &[PathBuf]) -> AnyResult<()> {
    let training: Vec<&Recording> = recordings.iter().collect();
    let network = train(&training, options)?;
    for path in captures {
        let capture = open(path)?;
        let flows = score(&network, 1.0, options.steps, std::slice::from_ref(&capture))?;
        let mut table: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let heavy = heaviest(&flows);
        for flow in &flows {
            let class = CLASSES[verdict(flow, &Rule::of(3, 0.9)).class as usize];
            let who = if flow.src.0 == heavy { "heaviest initiator" } else { "others" };
            *table.entry((who, class)).or_default() += 1;
        }
        println!("== {} ({} flows)", path.display(), flows.len());
        let mut mean = [0.0f32; CLASSES.len()];
        let mut last = [0.0f32; CLASSES.len()];
        for flow in flows.iter().filter(|f| f.src.0 == heavy) {
            for (c, m) in mean.iter_mut().enumerate() {
                *m += flow.said.iter().map(|p| p[c]).sum::<f32>() / flow.said.len() as f32;
                last[c] += flow.said.iter().map(|p| p[c]).fold(0.0, f32::max);
            }
        }
        println!("   mean {:.3?} most {:.3?}", mean.map(|m| m / flows.len() as f32), last.map(|m| m / flows.len() as f32));
        for ((who, class), count) in table {
            println!("   {who:20} {class:16} {count}");
        }
    }
    Ok(())
}

fn facts(recordings: &[Recording], captures: &[PathBuf]) -> AnyResult<()> {
    use citronella_sensor::feature::sequence::{Config, SEQUENCE, SequenceLevel};
    let mut all: Vec<Captured> = recordings.iter().flat_map(|r| r.captures.clone()).collect();
    for path in captures {
        all.push(open(path)?);
    }
    for capture in &all {
        let mut level = SequenceLevel::new(Config::default());
        let mut packets = capture.open()?;
        let mut tops: BTreeMap<(String, String), (Vec<f32>, usize)> = BTreeMap::new();
        while let Some(packet) = packets.next()? {
            let Some(row) = level.packet(&packet) else { continue };
            let flow = level.flow(row.slot).ok_or("flow")?;
            let class = capture.class_of(flow.src().0, flow.dst().0).to_owned();
            let entry = tops.entry((class, flow.src().0.to_string())).or_insert_with(|| (vec![0.0; SEQUENCE.len()], 0));
            entry.1 += 1;
            entry.0.iter_mut().zip(row.features).for_each(|(m, x)| *m = m.max(x));
        }
        for ((class, host), (most, n)) in tops {
            let shown = ["mqtt_flow_faults", "host_failed_60s", "host_ports_60s", "host_refused_60s", "host_accepted_60s", "host_violations_60s", "host_held", "host_clients_60s", "host_publishes_10s"];
            let text: Vec<String> = shown.iter().map(|name| {
                let at = SEQUENCE.iter().position(|c| c.name == *name).unwrap_or(0);
                let most_count = if at == 30 { 100.0f32 } else { 1000.0 };
                format!("{}={:.1}", name.trim_start_matches("host_"), (most[at] * most_count.ln_1p()).exp() - 1.0)
            }).collect();
            println!("{} {class} {host} {n} {}", capture.name, text.join(" "));
        }
    }
    Ok(())
}

fn heaviest(flows: &[ScoredFlow]) -> std::net::IpAddr {
    let mut counts = BTreeMap::new();
    flows.iter().for_each(|flow| *counts.entry(flow.src.0).or_insert(0usize) += flow.said.len());
    counts.into_iter().max_by_key(|(_, n)| *n).map_or([0, 0, 0, 0].into(), |(host, _)| host)
}

fn open(path: &Path) -> AnyResult<Captured> {
    Ok(Captured {
        name: path.display().to_string(),
        scenario: "normal".into(),
        attacker: None,
        broker: None,
        bytes: std::fs::read(path)?.into(),
    })
}

fn report(flows: &[ScoredFlow], captures: &[Captured]) {
    for (k, threshold) in [(1, 0.9), (2, 0.9), (3, 0.5), (3, 0.9), (3, 0.97)] {
        let rule = Rule::of(k, threshold);
        let mut matrix = vec![vec![0usize; CLASSES.len()]; CLASSES.len()];
        for flow in flows {
            matrix[flow.truth as usize][verdict(flow, &rule).class as usize] += 1;
        }
        let f1 = |c: usize| {
            let hit = matrix[c][c] as f64;
            let (truth, said) =
                (matrix[c].iter().sum::<usize>() as f64, matrix.iter().map(|r| r[c]).sum::<usize>() as f64);
            2.0 * hit / (truth + said).max(1.0)
        };
        let macro_f1 = (0..CLASSES.len()).map(f1).sum::<f64>() / CLASSES.len() as f64;
        let benign: usize = matrix[0].iter().sum();
        let fp = benign - matrix[0][0];
        let attacks: usize = matrix[1..].iter().flatten().sum();
        let missed: usize = matrix[1..].iter().map(|r| r[0]).sum();
        println!(
            "k {k} threshold {threshold}: macro-F1 {macro_f1:.4} recall {:.4} FP {fp} of {benign}",
            1.0 - missed as f64 / attacks as f64
        );
        if (k, threshold) == (3, 0.9) {
            println!("   {:>16} {}", "", CLASSES.map(|c| format!("{:>9.9}", c)).join(" "));
            for (c, row) in matrix.iter().enumerate() {
                println!(
                    "   {:>16} {}  F1 {:.4}",
                    CLASSES[c],
                    row.iter().map(|n| format!("{n:>9}")).collect::<Vec<_>>().join(" "),
                    f1(c)
                );
            }
            let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
            for flow in flows {
                let v = verdict(flow, &rule);
                if v.class != flow.truth {
                    let host = |a: std::net::IpAddr| a.to_string();
                    let what = format!(
                        "{} {}>{} {}->{}:{} p{} n<={}",
                        captures[flow.capture].name,
                        CLASSES[flow.truth as usize],
                        CLASSES[v.class as usize],
                        host(flow.src.0),
                        host(flow.dst.0),
                        flow.dst.1,
                        flow.protocol,
                        flow.said.len().next_power_of_two()
                    );
                    *wrong.entry(what).or_default() += 1;
                }
            }
            let mut wrong: Vec<_> = wrong.into_iter().collect();
            wrong.sort_by_key(|w| std::cmp::Reverse(w.1));
            for (what, n) in wrong.iter().take(25) {
                println!("     {n:5} {what}");
            }
            let mut packets: Vec<usize> = flows
                .iter()
                .filter(|f| f.truth > 0)
                .filter_map(|f| verdict(f, &rule).packets_to_alert)
                .collect();
            packets.sort_unstable();
            if !packets.is_empty() {
                println!(
                    "   packets to detection: median {} p90 {}",
                    packets[packets.len() / 2],
                    packets[packets.len() * 9 / 10]
                );
            }
        }
    }
}
