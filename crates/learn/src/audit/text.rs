//! Rows of CSV files: with a header, or NSL-KDD's without one.

use std::path::Path;

use citronella_sensor::feature::schema::NSL_KDD;

use super::{
    AuditError, ReadOptions, Rows,
    label::{Plan, cell_of},
    rows::Sampler,
    source,
};
use crate::dataset::DatasetError;

/// NSL-KDD's features, and what stands behind them in a line.
const FEATURES: usize = 41;
const BEHIND: [&str; 2] = ["label", "difficulty"];

/// A CSV file's rows; header lines in its middle are passed over.
pub(super) fn read(
    path: &Path,
    recording: &str,
    options: &ReadOptions,
    sampler: &dyn Fn(usize) -> Sampler,
    rows: &mut Rows,
) -> Result<(), AuditError> {
    let name = path.display().to_string();
    let wrong = |source| DatasetError::Csv { file: name.clone(), source };
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(source::open(path)?);
    let mut record = csv::ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(wrong)? {
        return Err(DatasetError::NoRows { file: name, reason: "the file is empty".into() }.into());
    }
    let is_nsl_kdd = is_nsl_kdd(&record);
    let header: Vec<String> = if is_nsl_kdd {
        let features = NSL_KDD.iter().take(FEATURES).map(|column| column.name);
        features.chain(BEHIND).take(record.len()).map(str::to_owned).collect()
    } else {
        let bare = |cell: &[u8]| cell.strip_prefix(b"\xef\xbb\xbf").unwrap_or(cell).trim_ascii().to_vec();
        record.iter().map(|cell| String::from_utf8_lossy(&bare(cell)).into_owned()).collect()
    };
    let plan = Plan::new(path, &header, options)?;
    let mut sampler = sampler(plan.columns.len());
    let (mut fault, mut incomplete, mut unlabelled, mut read) = (0, 0, 0, 0u64);
    let mut has_row = is_nsl_kdd;
    loop {
        if !has_row && !reader.read_byte_record(&mut record).map_err(wrong)? {
            break;
        }
        has_row = false;
        if options.rows_per_file.is_some_and(|most| read >= most) {
            break;
        }
        let cell = |at: usize| std::str::from_utf8(record.get(at).unwrap_or_default()).unwrap_or("?").trim();
        if record.len() != header.len() {
            fault += 1;
            continue;
        }
        if header.iter().enumerate().skip(1).all(|(at, name)| cell(at) == name) && header.len() > 1 {
            continue;
        }
        read += 1;
        if plan.required.iter().any(|&at| cell(at).is_empty() || cell(at).eq_ignore_ascii_case("nan")) {
            incomplete += 1;
            continue;
        }
        let Some((class, is_attack)) = plan.labeller.class(cell) else {
            unlabelled += 1;
            continue;
        };
        let drawn = sampler.draw_labelled(source::class_name(&class), is_attack);
        let Some((place, kept)) = drawn else { continue };
        let cells: Vec<_> = plan
            .columns
            .iter()
            .enumerate()
            .map(|(to, (from, role, _))| cell_of(cell(*from), *role, to, &mut sampler))
            .collect();
        sampler.put(place, &cells, kept);
    }
    for (reason, count) in
        [("not as many cells as the header", fault), ("an empty cell", incomplete), ("no label", unlabelled)]
    {
        rows.leave_out(reason, count);
    }
    sampler.finish(source::describe(path, recording)?, &plan.names(), rows);
    Ok(())
}

/// NSL-KDD's files have no header: a number, a protocol, and 40 or 41 more.
fn is_nsl_kdd(first: &csv::ByteRecord) -> bool {
    let protocol = first.get(1).unwrap_or_default();
    (42..=43).contains(&first.len()) && [b"tcp".as_slice(), b"udp", b"icmp"].contains(&protocol)
}
