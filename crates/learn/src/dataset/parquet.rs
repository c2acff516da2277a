//! Parquet files that `extract` wrote.

use std::{fs::File, path::Path};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit},
};
use citronella_sensor::{
    detect::Value,
    feature::schema::{Kind, Level},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{
    DatasetError, LoadOptions, Table,
    hash::Hashing,
    source::{Naming, SCENARIO, Scenarios},
};

/// A Parquet file's rows.
pub(crate) fn read(
    path: &Path,
    level: Level,
    naming: &Naming,
    options: &LoadOptions,
) -> Result<Table, DatasetError> {
    let file = path.display().to_string();
    let open = || File::open(path).map_err(|source| DatasetError::Read { file: file.clone(), source });
    let sha256 =
        Hashing::new(open()?).finish().map_err(|source| DatasetError::Read { file: file.clone(), source })?;
    let wrong = |problem: String| DatasetError::Parquet { file: file.clone(), problem };
    let builder = ParquetRecordBatchReaderBuilder::try_new(open()?).map_err(|e| wrong(e.to_string()))?;
    let found: Vec<String> = builder.schema().fields().iter().map(|f| f.name().clone()).collect();
    let missing: Vec<String> =
        level.columns().iter().map(|c| c.name.to_owned()).filter(|name| !found.contains(name)).collect();
    if !missing.is_empty() {
        return Err(DatasetError::MissingColumns { file, missing, found });
    }
    let mut table = Table::new(level);
    table.add_hash(&naming.name, sha256);
    let mut scenarios = Scenarios::new(naming);
    let mut row_in_file = 0u64;
    for batch in builder.build().map_err(|e| wrong(e.to_string()))? {
        let batch = batch.map_err(|e| wrong(e.to_string()))?;
        let columns: Vec<Values> = level
            .columns()
            .iter()
            .map(|c| Values::of(&batch, c.name, c.kind).map_err(|e| wrong(format!("column {}: {e}", c.name))))
            .collect::<Result<_, _>>()?;
        let scenario = batch.column_by_name(SCENARIO).map(|_| Values::of(&batch, SCENARIO, Kind::Text));
        let scenario = scenario.transpose().map_err(|e| wrong(format!("column {SCENARIO}: {e}")))?;
        for row in 0..batch.num_rows() {
            if row_in_file >= options.rows_per_file {
                table.problems.capped_files.push(format!("{}: {row_in_file} rows", naming.name));
                scenarios.finish(&mut table);
                return Ok(table);
            }
            row_in_file += 1;
            let named = match scenario.as_ref().map(|s| s.get(row)) {
                Some(Value::Text(name)) => Some(name),
                _ => None,
            };
            let source = scenarios.source(&mut table, named);
            table.push_row(source, row_in_file, columns.iter().map(|c| c.get(row)));
        }
    }
    scenarios.finish(&mut table);
    Ok(table)
}

/// A column of a batch in the type that its kind is read as.
struct Values {
    array: ArrayRef,
    kind: Kind,
}

impl Values {
    fn of(batch: &RecordBatch, name: &str, kind: Kind) -> Result<Values, String> {
        let array = batch.column_by_name(name).ok_or("is missing")?;
        let to = |array: &ArrayRef, kind: &DataType| cast(array, kind).map_err(|e| e.to_string());
        let array = match kind {
            Kind::Timestamp => {
                to(&to(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?, &DataType::Int64)?
            }
            Kind::Text => to(array, &DataType::Utf8)?,
            Kind::UInt | Kind::Flag | Kind::Float => to(array, &DataType::Float64)?,
        };
        Ok(Values { array, kind })
    }

    fn get(&self, row: usize) -> Value<'_> {
        if self.array.is_null(row) {
            return Value::Empty;
        }
        match self.kind {
            Kind::Timestamp => Value::Number(self.array.as_primitive::<Int64Type>().value(row) as f64),
            Kind::Text => Value::Text(self.array.as_string::<i32>().value(row)),
            Kind::UInt | Kind::Flag | Kind::Float => {
                Value::Number(self.array.as_primitive::<Float64Type>().value(row))
            }
        }
    }
}
