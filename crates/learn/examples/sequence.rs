//! The sequence detector's figures from the command line.
//!
//! `sequence loro [--seed=N ...] MANIFEST...` leaves each recording out in turn; `sequence hard --hold=NAME,...
//! [--also=MANIFEST,...] MANIFEST...` judges recordings left out, and others, made harder; `sequence unknown
//! --hold=NAME,... MANIFEST...` leaves each attack class out of training, too, and counts what it is called; `sequence train -o=FILE MANIFEST...`
//! writes the model; `sequence judge --model=FILE MANIFEST...` judges it on recordings; `sequence scan --model=FILE
//! CAPTURE...` counts what it says of captures without a manifest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use citronella_learn::dataset::CLASSES;
use citronella_learn::sequence::{
    Captured, Figures, Heard, Options, Pool, Recording, ScoredFlow, Variant, benign_beyond, confusions,
    cross_settings, figures, fit, gather, leave_one_out, score, score_variant, settings_of, train, verdict,
};
use citronella_sensor::detect::ModelFile;
use citronella_sensor::feature::packet::Attacker;
use citronella_sensor::feature::sequence::{
    unknown::{Limits, Unknown},
    verdict::{Benign, Settings},
};

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

struct Aloud(Instant);

impl Heard for Aloud {
    fn begin(&mut self, held_out: Option<&str>, conversations: usize) {
        let seconds = self.0.elapsed().as_secs_f64();
        eprintln!(
            "{seconds:7.1} s  without {}: {conversations} conversations",
            held_out.unwrap_or("nothing")
        );
    }

    fn epoch(&mut self, number: usize, of: usize, loss: f64) {
        if number == of {
            eprintln!("{:7.1} s  loss {loss:.4}", self.0.elapsed().as_secs_f64());
        }
    }
}

fn main() -> AnyResult<()> {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let mut options = Options::default();
    let (mut held, mut also) = (Vec::<String>::new(), Vec::<PathBuf>::new());
    let (mut model, mut paths) = (PathBuf::from("models/sequence.safetensors"), Vec::new());
    for arg in args {
        let Some((key, value)) = arg.strip_prefix("--").and_then(|a| a.split_once('=')) else {
            paths.push(PathBuf::from(arg));
            continue;
        };
        match key {
            "seed" => options.seed = value.parse()?,
            "epochs" => options.epochs = value.parse()?,
            "windows" => options.windows = value.parse()?,
            "variants" => options.variants = value.parse()?,
            "hidden" => options.hidden = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "without" => options.without = columns_like(value),
            "steps" => options.steps = value.parse()?,
            "threads" => options.threads = value.parse()?,
            "beside" => options.beside_attack = value.parse()?,
            "rate" => options.learning_rate = value.parse()?,
            "dropout" => options.dropout = value.parse()?,
            "hold" => held.extend(value.split(',').map(String::from)),
            "also" => also.extend(value.split(',').map(PathBuf::from)),
            "model" => model = value.into(),
            _ => return Err(format!("unknown option {key}").into()),
        }
    }
    let recordings = || paths.iter().map(|path| Recording::open(path)).collect::<Result<Vec<_>, _>>();
    let mut aloud = Aloud(Instant::now());
    match command.as_str() {
        "loro" => {
            let held_out = leave_one_out(&recordings()?, &[], &options, &mut aloud)?;
            for (held, settings) in held_out.iter().zip(cross_settings(&held_out, &options)) {
                println!("== {} T {:.2} {:?}", held.recording, settings.temperature, settings.thresholds);
                show(&figures(&held.flows, &settings), &confusions(&held.flows, &settings));
            }
        }
        "hard" => {
            let also = also.iter().map(|path| Recording::open(path)).collect::<Result<Vec<_>, _>>()?;
            hard(&recordings()?, &held, &also, &options)?;
        }
        "unknown" => unknown(&recordings()?, &held, &model, &options)?,
        "train" => {
            let trained = train(&recordings()?, &options, &mut aloud)?;
            trained.save(&model)?;
            println!("{} {:?}", model.display(), settings_of(&trained.card)?);
        }
        "judge" => {
            let trained = ModelFile::load(&model)?;
            let settings = settings_of(&trained.card)?;
            for recording in recordings()? {
                let flows = score(
                    &trained.network,
                    &limits_of(&settings),
                    settings.window as usize,
                    &recording.captures,
                )?;
                println!("== {}", recording.name);
                show(&figures(&flows, &settings), &confusions(&flows, &settings));
            }
        }
        "scan" => {
            let trained = ModelFile::load(&model)?;
            let settings = settings_of(&trained.card)?;
            for path in &paths {
                let name = path.display().to_string();
                let bytes = std::fs::read(path)?.into();
                let capture = Captured {
                    name,
                    scenario: "normal".into(),
                    attacker: Attacker::Nobody,
                    broker: None,
                    bytes,
                };
                let flows =
                    score(&trained.network, &limits_of(&settings), settings.window as usize, &[capture])?;
                scan(path, &flows, &settings);
            }
        }
        _ => return Err("loro, hard, unknown, train, judge or scan".into()),
    }
    Ok(())
}

/// Each recording named is left out in turn; it and other recordings, never trained on, are judged as recorded and
/// made harder, at one plain threshold. Networks are trained side by side.
fn hard(recordings: &[Recording], held: &[String], also: &[Recording], options: &Options) -> AnyResult<()> {
    use rayon::prelude::*;
    let begun = Instant::now();
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let pools = gather(&recordings.iter().collect::<Vec<_>>(), options)?;
    eprintln!("{:7.1} s  gathered", begun.elapsed().as_secs_f64());
    let alone = Options { threads: 1, ..options.clone() };
    let plain = Variant { seed: 991, ..Variant::PLAIN };
    let variants = [
        ("as recorded", plain),
        ("slow", Variant { attack_scale: 10.0, ..plain }),
        ("thin 1/50", Variant { keep_attack: 0.02, ..plain }),
        ("4 sources 1/5", Variant { keep_attack: 0.2, sources: 4, ..plain }),
        ("inside", Variant { inside: true, ..plain }),
        ("inside 1/10", Variant { keep_attack: 0.1, inside: true, ..plain }),
        ("inside slow", Variant { attack_scale: 8.0, inside: true, ..plain }),
    ];
    let one = |name: &String| -> Result<Vec<String>, String> {
        let others = recordings.iter().zip(&pools).filter(|(r, _)| r.name != *name);
        let pool = Pool::of(others.map(|(_, pool)| pool));
        let network = fit(&pool, &alone, &mut |_, _| ()).map_err(|e| e.to_string())?;
        eprintln!("{:7.1} s  trained without {name}", begun.elapsed().as_secs_f64());
        let of = |packets| Settings::plain(options.steps as u32, packets, 0.97, CLASSES.len());
        let mut lines = Vec::new();
        for recording in recordings.iter().filter(|r| r.name == *name).chain(also) {
            for (what, variant) in variants {
                let flows =
                    score_variant(&network, pool.limits(), options.steps, &recording.captures, variant)
                        .map_err(|e| e.to_string())?;
                for settings in [of(2), of(3)] {
                    let found = figures(&flows, &settings);
                    let mut line = format!(
                        "{} -{name}: {:6} {what:14} {}p F1 {:.3} fa {:3}/{} r@1e-3 {:.3} found {}/{} |",
                        options.seed,
                        recording.name,
                        settings.packets,
                        found.macro_f1.unwrap_or(0.0),
                        found.false_alerts,
                        found.benign,
                        found.recall_at_fpr_1e3.unwrap_or(0.0),
                        found.attacks_detected,
                        found.attacks
                    );
                    for class in 1..CLASSES.len() as u32 {
                        let own: Vec<_> = flows.iter().filter(|flow| flow.truth == class).collect();
                        let said = own.iter().map(|flow| verdict(flow, &settings).class).collect::<Vec<_>>();
                        let called = said.iter().filter(|said| **said > 0).count();
                        let named = said.iter().filter(|said| **said == class).count();
                        let of = own.len().max(1) as f64;
                        let share = |n: usize| (n as f64 / of * 100.0).round();
                        let short = CLASSES[class as usize].get(..6).unwrap_or(CLASSES[class as usize]);
                        line += &format!(" {short} {}/{} of {}", share(called), share(named), own.len());
                    }
                    lines.push(line);
                    for (truth, said, host, count) in confusions(&flows, &settings).iter().take(40) {
                        if *truth == 0 && what == "as recorded" && settings.packets == 3 {
                            lines.push(format!(
                                "      {count} {} called {} from {host}",
                                name_of(*truth),
                                name_of(*said)
                            ));
                        }
                    }
                }
            }
        }
        Ok(lines)
    };
    let all: Vec<Vec<String>> = held.par_iter().with_max_len(1).map(one).collect::<Result<_, String>>()?;
    all.iter().flatten().for_each(|line| println!("{line}"));
    eprintln!("{:7.1} s  done", begun.elapsed().as_secs_f64());
    Ok(())
}

/// What a class is called that training had not seen, in a recording that it had not seen. Unknown is chosen for one
/// false alert a day from the other recordings, each judged by what benign hosts of all but it and the recording do.
fn unknown(recordings: &[Recording], held: &[String], model: &Path, options: &Options) -> AnyResult<()> {
    use rayon::prelude::*;
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let any = ModelFile::load(model)?.network;
    let pools = gather(&recordings.iter().collect::<Vec<_>>(), options)?;
    let alone = Options { threads: 1, ..options.clone() };
    let without = |names: &[&str]| {
        let others = recordings.iter().zip(&pools).filter(|(r, _)| !names.contains(&r.name.as_str()));
        Pool::of(others.map(|(_, pool)| pool))
    };
    let classes = 1..CLASSES.len() as u32;
    let tasks: Vec<(&String, u32)> =
        held.iter().flat_map(|name| classes.clone().map(move |c| (name, c))).collect();
    let plain = Settings::plain(options.steps as u32, 3, 0.97, CLASSES.len());
    let chosen = |name: &String| -> Result<Option<Unknown>, String> {
        let (mut flows, mut hours) = (Vec::new(), 0.0);
        let attacked = |r: &&Recording| r.name != *name && r.captures.iter().any(Captured::is_attacked);
        for other in recordings.iter().filter(attacked) {
            let pool = without(&[name.as_str(), other.name.as_str()]);
            let scored = score(&any, pool.limits(), options.steps, &other.captures);
            flows.extend(scored.map_err(|e| e.to_string())?);
            hours += other.hours().map_err(|e| e.to_string())? as f32;
        }
        let unknown = Some(benign_beyond(&flows.iter().collect::<Vec<_>>(), &plain));
        let benign = Benign { hours, highest: vec![Vec::new(); CLASSES.len()], ceilings: Vec::new() };
        Ok(Settings { benign, unknown, ..plain.clone() }.for_false_alerts(1.0).unknown)
    };
    let chosen: BTreeMap<&String, Option<Unknown>> =
        held.par_iter().map(|name| Ok((name, chosen(name)?))).collect::<Result<_, String>>()?;
    let one = |(name, class): &(&String, u32)| -> Result<String, String> {
        let pool = without(&[name.as_str()]);
        let network =
            fit(&pool.without_classes(&[*class]), &alone, &mut |_, _| ()).map_err(|e| e.to_string())?;
        let mut settings = Settings { unknown: chosen.get(name).cloned().flatten(), ..plain.clone() };
        settings.unknown.iter_mut().for_each(|unknown| unknown.limits = pool.limits().clone());
        let mut counts = BTreeMap::<&str, usize>::new();
        let (mut others, mut benign, mut beside) = ([0; 3], [0; 3], [0; 3]);
        for recording in recordings.iter().filter(|r| r.name == **name) {
            let flows = score(&network, pool.limits(), options.steps, &recording.captures);
            for flow in &flows.map_err(|e| e.to_string())? {
                let said = verdict(flow, &settings).class;
                if flow.beside_attack {
                    beside[0] += 1;
                    beside[1] += usize::from(said > 0);
                    beside[2] += usize::from(said as usize == CLASSES.len());
                    continue;
                }
                let table = match flow.truth {
                    0 => &mut benign,
                    truth if truth == *class => {
                        *counts.entry(name_of(said)).or_default() += 1;
                        continue;
                    }
                    _ => &mut others,
                };
                table[0] += 1;
                table[1] += usize::from(said > 0);
                table[2] += usize::from(said as usize == CLASSES.len());
            }
        }
        Ok(format!(
            "{name} without {}, unknown from {:.2} times: called {counts:?}; other attacks, called, unknown {others:?}; benign, called, unknown {benign:?}; honest work of attackers {beside:?}",
            name_of(*class),
            settings.unknown.map_or(0.0, |unknown| unknown.times)
        ))
    };
    let all: Vec<String> = tasks.par_iter().with_max_len(1).map(one).collect::<Result<_, _>>()?;
    all.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// What benign hosts of a model's training did at most.
fn limits_of(settings: &Settings) -> Limits {
    settings.unknown.as_ref().map(|unknown| unknown.limits.clone()).unwrap_or_default()
}

/// `unknown` beyond the classes.
fn name_of(class: u32) -> &'static str {
    CLASSES.get(class as usize).copied().unwrap_or("unknown")
}

/// The level's columns whose names begin so.
fn columns_like(begins: &str) -> Vec<String> {
    let all = citronella_sensor::feature::sequence::SEQUENCE.iter().map(|column| column.name);
    all.filter(|name| begins.split(',').any(|begin| name.starts_with(begin))).map(String::from).collect()
}

fn scan(path: &std::path::Path, flows: &[ScoredFlow], settings: &Settings) {
    let mut table: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sums = [0.0f32; CLASSES.len()];
    let first = flows.iter().filter_map(|f| f.times.first()).min().copied().unwrap_or(0);
    let mut noticed: Option<(usize, f64)> = None;
    for (number, flow) in flows.iter().enumerate() {
        let said = verdict(flow, settings);
        *table.entry(name_of(said.class)).or_default() += 1;
        if let Some(packets) = said.packets_to_alert {
            let seconds = (flow.times[packets - 1] - first) as f64 * 1e-9;
            if noticed.is_none_or(|(_, s)| seconds < s) {
                noticed = Some((number + 1, seconds));
            }
        }
        for (sum, class) in sums.iter_mut().zip(0..) {
            let of_flow: f32 = flow.said.iter().map(|p: &[f32; 8]| p[class]).sum();
            *sum += of_flow / flow.said.len().max(1) as f32 / flows.len() as f32;
        }
    }
    println!("== {} {} flows {table:?} first call (flow, s) {noticed:.3?}", path.display(), flows.len());
    println!("   mean probabilities {sums:.3?}");
}

fn show(figures: &Figures, confusions: &[(u32, u32, std::net::IpAddr, usize)]) {
    let per_class = figures.confusion.per_class();
    let shown = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.4}"));
    println!(
        "macro-F1 {} recall {} false alerts {} of {} recall at 1e-3 {} attacks {} of {} packets {:?} seconds {:.2?}",
        shown(figures.macro_f1),
        shown(figures.attack_recall),
        figures.false_alerts,
        figures.benign,
        shown(figures.recall_at_fpr_1e3),
        figures.attacks_detected,
        figures.attacks,
        figures.median_packets,
        figures.median_seconds,
    );
    let f1: Vec<String> =
        per_class.iter().map(|c| format!("{:?}", c.f1.map(|f| (f * 1e4).round() / 1e4))).collect();
    println!("   F1 {}", f1.join(" "));
    for (truth, said, host, count) in confusions.iter().take(8) {
        println!("   {count:5} {} called {} from {host}", name_of(*truth), name_of(*said));
    }
}
