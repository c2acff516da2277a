//! Prints the experiments of `citronella_learn::sequence::experiments`.
//!
//! `sequence hard --hold=NAME,... [--also=MANIFEST,...] MANIFEST...`: recall on harder variants of held-out recordings.
//! `sequence unknown --hold=NAME,... [--model=FILE] MANIFEST...`: verdicts on classes left out of training.
//! Both take `--seed`, `--epochs`, `--variants`, `--without` (columns) and `--threads`, as `--KEY=VALUE`.

use std::path::{Path, PathBuf};

use citronella_learn::dataset::CLASSES;
use citronella_learn::sequence::{
    Options, Recording,
    experiments::{Counts, HarderResult, UnseenResult, harder_attacks, unseen_classes},
};
use citronella_sensor::detect::ModelFile;

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

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
            "variants" => options.variants = value.parse()?,
            "threads" => options.threads = value.parse()?,
            "without" => options.without = value.split(',').map(String::from).collect(),
            "hold" => held.extend(value.split(',').map(String::from)),
            "also" => also.extend(value.split(',').map(PathBuf::from)),
            "model" => model = value.into(),
            _ => return Err(format!("unknown option {key}").into()),
        }
    }
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let recordings = open(&paths)?;
    match command.as_str() {
        "hard" => {
            let results = harder_attacks(&recordings, &held, &open(&also)?, &options)?;
            results.iter().for_each(|result| println!("{}", harder_line(result)));
        }
        "unknown" => {
            let network = ModelFile::load(Path::new(&model))?.network;
            let results = unseen_classes(&recordings, &held, &network, &options)?;
            results.iter().for_each(|result| println!("{}", unseen_line(result)));
        }
        _ => return Err("expected hard or unknown".into()),
    }
    Ok(())
}

fn open(paths: &[PathBuf]) -> AnyResult<Vec<Recording>> {
    Ok(paths.iter().map(|path| Recording::open(path)).collect::<Result<_, _>>()?)
}

/// The name of a class; `unknown` beyond [`CLASSES`].
fn name_of(class: u32) -> &'static str {
    CLASSES.get(class as usize).copied().unwrap_or("unknown")
}

fn harder_line(result: &HarderResult) -> String {
    let figures = &result.figures;
    let classes = result.classes.iter().map(|class| {
        let percent = |part: usize| (part as f64 / class.flows.max(1) as f64 * 100.0).round();
        format!(
            " {} {}/{} % of {}",
            name_of(class.class),
            percent(class.flagged),
            percent(class.correct),
            class.flows
        )
    });
    let false_positives =
        result.confused.iter().filter(|confused| confused.truth == 0).take(5).map(|confused| {
            format!(
                "\n    {} flagged {} from {}",
                confused.flows,
                name_of(confused.verdict),
                confused.initiator
            )
        });
    format!(
        "without {}, {} {}, {} packets: F1 {:.3}, false positives {} of {}, recall at FPR 1e-3 {:.3}, attacks \
         detected {} of {}; flagged/correct{}{}",
        result.held_out,
        result.recording,
        result.variant,
        result.packets,
        figures.macro_f1.unwrap_or(0.0),
        figures.false_alerts,
        figures.benign,
        figures.recall_at_fpr_1e3.unwrap_or(0.0),
        figures.attacks_detected,
        figures.attacks,
        classes.collect::<String>(),
        false_positives.collect::<String>()
    )
}

fn unseen_line(result: &UnseenResult) -> String {
    let counts = |counts: &Counts| {
        format!("{} flagged, {} unknown of {}", counts.flagged, counts.unknown, counts.flows)
    };
    let verdicts: Vec<String> =
        result.verdicts.iter().map(|(class, flows)| format!("{} {flows}", name_of(*class))).collect();
    format!(
        "{} without {}, unknown from {:.2} times: {}; other attacks {}; benign {}; benign of attackers {}",
        result.held_out,
        name_of(result.class),
        result.times,
        verdicts.join(", "),
        counts(&result.other_attacks),
        counts(&result.benign),
        counts(&result.benign_of_attackers)
    )
}
