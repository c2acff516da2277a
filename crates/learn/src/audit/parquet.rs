//! Rows of Parquet files with any columns.

use std::{fs::File, path::Path};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{
    AuditError, ReadOptions, Rows,
    label::{Plan, cell_of},
    role::Role,
    rows::{Cell, Sampler},
    source,
};
use crate::dataset::DatasetError;

/// A Parquet file's rows.
pub(super) fn read(
    path: &Path,
    recording: &str,
    options: &ReadOptions,
    sampler: &dyn Fn(usize) -> Sampler,
    rows: &mut Rows,
) -> Result<(), AuditError> {
    let file = path.display().to_string();
    let wrong = |problem: String| DatasetError::Parquet { file: file.clone(), problem };
    let opened = File::open(path).map_err(|source| DatasetError::Read { file: file.clone(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(|e| wrong(e.to_string()))?;
    let header: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let plan = Plan::new(path, &header, options)?;
    let mut sampler = sampler(plan.columns.len());
    let (mut incomplete, mut unlabelled, mut read) = (0, 0, 0u64);
    'batches: for batch in builder.build().map_err(|e| wrong(e.to_string()))? {
        let batch = batch.map_err(|e| wrong(e.to_string()))?;
        let columns: Vec<Values> = batch
            .columns()
            .iter()
            .zip(&header)
            .map(|(array, name)| Values::of(array).map_err(|e| wrong(format!("column {name}: {e}"))))
            .collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            if options.rows_per_file.is_some_and(|most| read >= most) {
                break 'batches;
            }
            read += 1;
            if plan.required.iter().any(|&at| columns.get(at).is_none_or(|column| column.is_empty(row))) {
                incomplete += 1;
                continue;
            }
            let texts = plan
                .labeller
                .labels()
                .map(|at| columns.get(at).map(|column| column.label(row)).unwrap_or_default());
            let texts: Vec<(usize, String)> = plan.labeller.labels().zip(texts).collect();
            let cell =
                |at: usize| texts.iter().find(|(of, _)| *of == at).map_or("", |(_, text)| text.as_str());
            let Some((class, is_attack)) = plan.labeller.class(cell) else {
                unlabelled += 1;
                continue;
            };
            let drawn = sampler.draw_labelled(source::class_name(&class), is_attack);
            let Some((place, kept)) = drawn else { continue };
            let cells: Vec<Cell> = plan
                .columns
                .iter()
                .enumerate()
                .map(|(to, (from, role, _))| {
                    columns.get(*from).map_or(Cell::Empty, |column| column.cell(row, *role, to, &mut sampler))
                })
                .collect();
            sampler.put(place, &cells, kept);
        }
    }
    rows.leave_out("an empty cell", incomplete);
    rows.leave_out("no label", unlabelled);
    sampler.finish(source::describe(path, recording)?, &plan.names(), rows);
    Ok(())
}

/// A column of a batch: numbers, times in microseconds, or texts.
enum Values {
    Numbers(ArrayRef),
    Micros(ArrayRef),
    Texts(ArrayRef),
}

impl Values {
    fn of(array: &ArrayRef) -> Result<Values, arrow::error::ArrowError> {
        Ok(match array.data_type() {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
                let micros = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
                Values::Micros(cast(&micros, &DataType::Int64)?)
            }
            kind if kind.is_numeric() => Values::Numbers(cast(array, &DataType::Float64)?),
            DataType::Boolean => Values::Numbers(cast(array, &DataType::Float64)?),
            _ => Values::Texts(cast(array, &DataType::Utf8)?),
        })
    }

    fn is_empty(&self, row: usize) -> bool {
        match self {
            Values::Numbers(array) => {
                array.is_null(row) || array.as_primitive::<Float64Type>().value(row).is_nan()
            }
            Values::Micros(array) | Values::Texts(array) => array.is_null(row),
        }
    }

    fn cell(&self, row: usize, role: Role, column: usize, sampler: &mut Sampler) -> Cell {
        match self {
            _ if self.is_empty(row) => Cell::Empty,
            Values::Numbers(array) => Cell::Number(array.as_primitive::<Float64Type>().value(row)),
            Values::Micros(array) => Cell::Number(array.as_primitive::<Int64Type>().value(row) as f64),
            Values::Texts(array) => cell_of(array.as_string::<i32>().value(row), role, column, sampler),
        }
    }

    /// The cell as a label.
    fn label(&self, row: usize) -> String {
        match self {
            _ if self.is_empty(row) => String::new(),
            Values::Numbers(array) => array.as_primitive::<Float64Type>().value(row).to_string(),
            Values::Micros(array) => array.as_primitive::<Int64Type>().value(row).to_string(),
            Values::Texts(array) => array.as_string::<i32>().value(row).to_owned(),
        }
    }
}
