//! The baselines, fitted and evaluated like the models.

use citronella_sensor::detect::Value;

use super::{CompareError, data::Rows, registry::Kind};
use crate::{
    evaluate::{Majority, Matrix, NearestInTime, PortOnly, Stump},
    prepare::{Split, encode},
    zoo::encoder,
};

/// A baseline's scores of the test rows, rows x classes, and its size in bytes. `None` if it does not apply to the rows.
pub(super) fn scores(
    kind: Kind,
    rows: &Rows,
    labels: &crate::dataset::Labels,
    split: &Split,
) -> Result<Option<(Vec<f32>, u64)>, CompareError> {
    let table = &rows.table;
    let truth: Vec<u32> = split
        .train()
        .iter()
        .map(|&row| labels.of_row.get(row as usize).copied().unwrap_or_default())
        .collect();
    let classes = labels.classes.len();
    let numbers = |column: &str, of: &[u32]| -> Option<Vec<f64>> {
        let column = table.column(column)?;
        let number = |&row: &u32| match table.value(row as usize, column) {
            Value::Number(number) => number,
            _ => f64::NAN,
        };
        Some(of.iter().map(number).collect())
    };
    let (scores, bytes) = match kind {
        Kind::Majority => (Majority::fit(&truth, classes)?.predict(split.test().len()), classes * 4),
        Kind::OneRule => {
            let fold = split.train_fold(table, labels);
            let (_, encoder) = encoder(&fold, &rows.steps)?;
            let train = fold.encode(&encoder, 0);
            let x = train.x();
            let stump = Stump::fit(Matrix { values: &x.data, width: x.width }, train.y(), classes)?;
            let test = encode(table, split.test(), &encoder, 0);
            let scores = stump.predict(Matrix { values: &test.data, width: test.width });
            (scores, stump.thresholds().len() * 8 + classes * classes * 4)
        }
        Kind::Timestamp => {
            let seconds = |of: &[u32]| -> Option<Vec<f64>> {
                Some(numbers("timestamp", of)?.into_iter().map(|micros| (micros / 1e6).floor()).collect())
            };
            let (Some(train), Some(test)) = (seconds(split.train()), seconds(split.test())) else {
                return Ok(None);
            };
            let rule = NearestInTime::fit(&train, &truth, classes)?;
            (rule.predict(&test), rule.moments() * (8 + classes * 4))
        }
        Kind::Port => {
            let ports = |of: &[u32]| -> Option<Vec<Option<u16>>> {
                let numbers = numbers("dst_port", of).or_else(|| numbers("prt_dst", of))?;
                let port = |n: f64| ((0.0..=65_535.0).contains(&n)).then_some(n as u16);
                Some(numbers.into_iter().map(port).collect())
            };
            let (Some(train), Some(test)) = (ports(split.train()), ports(split.test())) else {
                return Ok(None);
            };
            let rule = PortOnly::fit(&train, &truth, classes)?;
            let mut distinct = train;
            distinct.sort_unstable();
            distinct.dedup();
            (rule.predict(&test), distinct.len() * (2 + classes * 4))
        }
        Kind::Classical | Kind::Paper | Kind::Sequence => return Ok(None),
    };
    Ok(Some((scores, bytes as u64)))
}
