//! Parquet files.

use std::{fs::File, path::Path};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit},
    error::ArrowError,
};
use citronella_sensor::{detect::Value, feature::schema::Kind};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{
    DatasetError, file,
    rows::{RawCell, ReadAs, Row, RowConsumer},
};

/// Hands a file's rows to `consumer`, numbered from 1.
pub(crate) fn read_rows<C: RowConsumer>(path: &Path, consumer: &mut C) -> Result<(), C::Error> {
    let invalid = |problem: String| DatasetError::Parquet { file: path.display().to_string(), problem };
    let opened = File::open(path).map_err(|source| file::unreadable(path, source))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(|e| invalid(e.to_string()))?;
    let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let read_as = consumer.columns(&names)?;
    let mut number = 0u64;
    for batch in builder.build().map_err(|e| invalid(e.to_string()))? {
        let batch = batch.map_err(|e| invalid(e.to_string()))?;
        let arrays = batch.columns().iter().zip(&names).zip(&read_as);
        let columns: Vec<Column> = arrays
            .map(|((array, name), read_as)| {
                Column::new(array, *read_as).map_err(|e| invalid(format!("column {name}: {e}")))
            })
            .collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows() {
            number += 1;
            if consumer.row(number, &BatchRow { columns: &columns, row }).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

struct BatchRow<'a> {
    columns: &'a [Column],
    row: usize,
}

impl Row for BatchRow<'_> {
    fn cell(&self, column: usize) -> RawCell<'_> {
        self.columns.get(column).map_or(RawCell::Value(Value::Empty), |column| column.cell(self.row))
    }
}

/// A column of a batch, cast to one of four types.
enum Column {
    Skipped,
    Numbers(ArrayRef),
    /// Microseconds since 1970-01-01.
    Micros(ArrayRef),
    Texts(ArrayRef),
    /// Text that may stand for another type.
    Untyped(ArrayRef),
}

impl Column {
    fn new(array: &ArrayRef, read_as: ReadAs) -> Result<Column, ArrowError> {
        let numbers = || cast(array, &DataType::Float64).map(Column::Numbers);
        let micros = || {
            let micros = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            cast(&micros, &DataType::Int64).map(Column::Micros)
        };
        match read_as {
            ReadAs::Skip => Ok(Column::Skipped),
            ReadAs::Kind(Kind::Timestamp) => micros(),
            ReadAs::Kind(Kind::Text) => cast(array, &DataType::Utf8).map(Column::Texts),
            ReadAs::Kind(Kind::UInt | Kind::Flag | Kind::Float) => numbers(),
            ReadAs::Stored => match array.data_type() {
                DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => micros(),
                DataType::Boolean => numbers(),
                stored if stored.is_numeric() => numbers(),
                _ => cast(array, &DataType::Utf8).map(Column::Untyped),
            },
        }
    }

    fn cell(&self, row: usize) -> RawCell<'_> {
        match self {
            Column::Numbers(array) if !array.is_null(row) => {
                let number = array.as_primitive::<Float64Type>().value(row);
                RawCell::Value(if number.is_nan() { Value::Empty } else { Value::Number(number) })
            }
            Column::Micros(array) if !array.is_null(row) => {
                RawCell::Value(Value::Number(array.as_primitive::<Int64Type>().value(row) as f64))
            }
            Column::Texts(array) if !array.is_null(row) => {
                RawCell::Value(Value::Text(array.as_string::<i32>().value(row)))
            }
            Column::Untyped(array) if !array.is_null(row) => {
                RawCell::Text(array.as_string::<i32>().value(row).as_bytes())
            }
            _ => RawCell::Value(Value::Empty),
        }
    }
}
