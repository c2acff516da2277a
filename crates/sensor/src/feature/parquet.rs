//! Parquet: a column per schema column, nulls for empty fields, compressed pages; one row group in memory.

use std::{
    io::{self, Write},
    net::IpAddr,
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, DictionaryArray, Float64Builder, Int32Builder, RecordBatch, StringArray,
        TimestampMicrosecondBuilder, UInt8Builder, UInt32Builder,
    },
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use hashbrown::HashMap;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding},
    file::properties::{EnabledStatistics, WriterProperties},
};

use super::{
    packet::Cell,
    schema::{Column, Kind},
};

const BATCH_ROWS: usize = 8192;
const ROW_GROUP_ROWS: usize = 1 << 17;

/// Dictionary codes of one text column within a batch.
#[derive(Default)]
struct TextBuilder {
    codes: Int32Builder,
    values: Vec<String>,
    addresses: HashMap<IpAddr, i32, foldhash::fast::RandomState>,
    names: Vec<(&'static str, i32)>,
}

enum Builder {
    Time(TimestampMicrosecondBuilder),
    Text(Box<TextBuilder>),
    UInt(UInt32Builder),
    Flag(UInt8Builder),
    Float(Float64Builder),
}

/// Arrow's type for a column of a kind.
fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Text => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        Kind::UInt => DataType::UInt32,
        Kind::Flag => DataType::UInt8,
        Kind::Float => DataType::Float64,
    }
}

/// The Arrow schema of a level; every field may be empty.
pub fn arrow_schema(columns: &[Column]) -> Schema {
    Schema::new(columns.iter().map(|c| Field::new(c.name, data_type(c.kind), true)).collect::<Vec<_>>())
}

pub(super) struct ParquetWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<Schema>,
    builders: Vec<Builder>,
    rows: usize,
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(super) fn new(output: W, columns: &[Column]) -> io::Result<ParquetWriter<W>> {
        let schema = Arc::new(arrow_schema(columns));
        let begun = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
        let properties = columns.iter().fold(begun, |properties, column| match column.kind {
            // Looking numbers up in a dictionary takes a fifth of the time.
            Kind::UInt | Kind::Flag | Kind::Timestamp => properties
                .set_column_dictionary_enabled(column.name.into(), false)
                .set_column_encoding(column.name.into(), Encoding::DELTA_BINARY_PACKED),
            Kind::Text | Kind::Float => properties,
        });
        let writer = ArrowWriter::try_new(output, schema.clone(), Some(properties.build()))
            .map_err(io::Error::other)?;
        let builders = columns.iter().map(|column| Builder::new(column.kind)).collect();
        Ok(ParquetWriter { writer, schema, builders, rows: 0 })
    }

    #[inline]
    pub(super) fn write(&mut self, cells: &[Cell]) -> io::Result<()> {
        for (builder, cell) in self.builders.iter_mut().zip(cells) {
            builder.append(*cell);
        }
        self.rows += 1;
        if self.rows >= BATCH_ROWS { self.write_batch() } else { Ok(()) }
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let arrays = self.builders.iter_mut().map(Builder::finish).collect::<Result<Vec<_>, _>>();
        self.rows = 0;
        arrays
            .and_then(|arrays| RecordBatch::try_new(self.schema.clone(), arrays))
            .map_err(io::Error::other)
            .and_then(|batch| self.writer.write(&batch).map_err(unwrap_io))
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.write_batch()?;
        self.writer.into_inner().map_err(unwrap_io)
    }
}

/// The system's own error where there is one, so that a full disk is called a full disk.
fn unwrap_io(error: parquet::errors::ParquetError) -> io::Error {
    match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

impl Builder {
    fn new(kind: Kind) -> Builder {
        match kind {
            Kind::Timestamp => Builder::Time(TimestampMicrosecondBuilder::with_capacity(BATCH_ROWS)),
            Kind::Text => Builder::Text(Box::default()),
            Kind::UInt => Builder::UInt(UInt32Builder::with_capacity(BATCH_ROWS)),
            Kind::Flag => Builder::Flag(UInt8Builder::with_capacity(BATCH_ROWS)),
            Kind::Float => Builder::Float(Float64Builder::with_capacity(BATCH_ROWS)),
        }
    }

    /// A cell of another kind than its column's is written as empty; the schema's tests hold the kinds together.
    #[inline]
    fn append(&mut self, cell: Cell) {
        match self {
            Builder::Time(builder) => builder.append_option(match cell {
                Cell::Micros(micros) => Some(micros),
                _ => None,
            }),
            Builder::Text(builder) => builder.append(cell),
            Builder::UInt(builder) => builder.append_option(match cell {
                Cell::UInt(number) => Some(number),
                _ => None,
            }),
            Builder::Flag(builder) => builder.append_option(match cell {
                Cell::Flag(set) => Some(u8::from(set)),
                _ => None,
            }),
            Builder::Float(builder) => builder.append_option(match cell {
                Cell::Float(number) => Some(number),
                _ => None,
            }),
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, arrow::error::ArrowError> {
        Ok(match self {
            Builder::Time(builder) => Arc::new(builder.finish().with_timezone("UTC")),
            Builder::Text(builder) => builder.finish()?,
            Builder::UInt(builder) => Arc::new(builder.finish()),
            Builder::Flag(builder) => Arc::new(builder.finish()),
            Builder::Float(builder) => Arc::new(builder.finish()),
        })
    }
}

impl TextBuilder {
    #[inline]
    fn append(&mut self, cell: Cell) {
        let TextBuilder { codes, values, addresses, names } = self;
        codes.append_option(match cell {
            Cell::Address(address) => Some(*addresses.entry(address).or_insert_with(|| {
                values.push(address.to_string());
                values.len() as i32 - 1
            })),
            Cell::Name(name) => Some(match names.iter().find(|(known, _)| std::ptr::eq(*known, name)) {
                Some((_, code)) => *code,
                None => {
                    values.push(name.to_owned());
                    names.push((name, values.len() as i32 - 1));
                    values.len() as i32 - 1
                }
            }),
            _ => None,
        });
    }

    fn finish(&mut self) -> Result<ArrayRef, arrow::error::ArrowError> {
        self.addresses.clear();
        self.names.clear();
        let values = StringArray::from_iter_values(self.values.drain(..));
        Ok(Arc::new(DictionaryArray::try_new(self.codes.finish(), Arc::new(values))?))
    }
}
