//! Fits models on one split and writes rows, classes and predictions as raw numbers, for comparison with other programs.
//!
//! `zoo OUT LEVEL MODEL,... DATA...`: OUT/x_train.f32, y_train.u32, x_test.f32, y_test.u32, MODEL.u32, and a JSON line
//! with the seconds of each model on stdout.
#![allow(missing_docs)]

use std::{error::Error, fs, path::Path, path::PathBuf, time::Instant};

use citronella_learn::{
    dataset::{LabelRule, LoadOptions, load},
    prepare::{Split, SplitBy, SplitPlan, encode},
    zoo::{distinct_rows, method, tabular_steps},
};
use citronella_sensor::{detect::Encoder, feature::schema::Level};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: zoo OUT LEVEL MODEL,... DATA...");
    let (out, level, models) = (PathBuf::from(next()?), next()?, next()?);
    let level = [Level::Packet, Level::Uniflow, Level::Biflow].into_iter().find(|l| l.name() == level);
    let level = level.ok_or("LEVEL is packet, uniflow or biflow")?;
    let data: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let table = load(&data, &LoadOptions { level, ..LoadOptions::default() })?;
    let labels = table.labels(LabelRule::Attacker)?;
    let steps = tabular_steps(level);
    let rows = distinct_rows(&table, &(0..table.len() as u32).collect::<Vec<_>>(), &steps);
    let plan = SplitPlan { by: SplitBy::Random, test: 0.25, validation: 0.0, seed: 42 };
    let split = Split::new(&table, &rows, &labels, &plan)?;
    let fold = split.train_fold(&table, &labels);
    let encoder = Encoder::new(level, &fold.fit(&steps)?, &[])?;
    let train = fold.encode(&encoder, 0);
    let test = encode(&table, split.test(), &encoder, 0);
    let truth: Vec<u32> = split.test().iter().map(|&row| labels.of_row[row as usize]).collect();
    fs::create_dir_all(&out)?;
    put(&out.join("x_train.f32"), train.x().data.iter().flat_map(|x| x.to_le_bytes()))?;
    put(&out.join("y_train.u32"), train.y().iter().flat_map(|y| y.to_le_bytes()))?;
    put(&out.join("x_test.f32"), test.data.iter().flat_map(|x| x.to_le_bytes()))?;
    put(&out.join("y_test.u32"), truth.iter().flat_map(|y| y.to_le_bytes()))?;
    let mut figures = serde_json::Map::new();
    for name in models.split(',') {
        let method = method(name, 42).ok_or_else(|| format!("{name} is not a model of the zoo"))?;
        let begin = Instant::now();
        let model = method.fit(&train, 0)?;
        let fit_s = begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        let scores = model.scores(&test, 0);
        let predict_s = begin.elapsed().as_secs_f64();
        let top = |row: &[f32]| {
            (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best }) as u32
        };
        let predicted: Vec<u32> = scores.chunks_exact(train.classes()).map(top).collect();
        let right = predicted.iter().zip(&truth).filter(|(a, b)| a == b).count() as f64 / truth.len() as f64;
        put(&out.join(format!("{name}.u32")), predicted.iter().flat_map(|y| y.to_le_bytes()))?;
        figures.insert(
            name.to_owned(),
            serde_json::json!({ "fit_s": fit_s, "predict_s": predict_s, "accuracy": right, "bytes": model.size_bytes() }),
        );
    }
    let width = train.x().width;
    println!(
        "{}",
        serde_json::json!({ "train": train.x().rows(), "test": test.rows(), "inputs": width, "classes": labels.classes,
            "models": figures })
    );
    Ok(())
}

fn put(path: &Path, bytes: impl Iterator<Item = u8>) -> std::io::Result<()> {
    fs::write(path, bytes.collect::<Vec<u8>>())
}
