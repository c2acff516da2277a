//! Parquet output: one column per schema column, nulls for empty fields, compressed pages; one row group in memory.

use std::{
    io::{self, Write},
    net::IpAddr,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, ArrowPrimitiveType, DictionaryArray, PrimitiveArray, RecordBatch, StringArray},
    buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer},
    datatypes::{
        DataType, Field, Float64Type, Int32Type, Schema, TimeUnit, TimestampMicrosecondType, UInt8Type,
        UInt32Type,
    },
};
use hashbrown::HashMap;
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    basic::{Compression, Encoding},
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
};

use super::{
    packet::Cell,
    schema::{Column, Kind},
};

const BATCH_ROWS: usize = 8192;
/// A multiple of a batch, so that row groups encoded separately have the same pages.
pub(super) const ROW_GROUP_ROWS: usize = 1 << 16;
const _: () = assert!(ROW_GROUP_ROWS.is_multiple_of(BATCH_ROWS));

/// A column's values within a batch, with a validity bit each; a null has the value 0.
struct Values<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    present: Vec<u64>,
    /// Validity bits that do not fill a word yet.
    word: u64,
}

impl<T: ArrowPrimitiveType> Default for Values<T> {
    fn default() -> Values<T> {
        Values {
            values: Vec::with_capacity(BATCH_ROWS),
            present: Vec::with_capacity(BATCH_ROWS / 64 + 1),
            word: 0,
        }
    }
}

impl<T: ArrowPrimitiveType> Values<T> {
    #[inline]
    fn extend(&mut self, values: impl Iterator<Item = Option<T::Native>>) {
        let (mut word, mut bit) = (self.word, self.values.len() % 64);
        let present = &mut self.present;
        self.values.extend(values.map(|value| {
            word |= u64::from(value.is_some()) << bit;
            bit += 1;
            if bit == 64 {
                present.push(word.to_le());
                (word, bit) = (0, 0);
            }
            value.unwrap_or_default()
        }));
        self.word = word;
    }

    fn finish(&mut self) -> PrimitiveArray<T> {
        let Values { values, mut present, word } = std::mem::take(self);
        if values.len() % 64 > 0 {
            present.push(word.to_le());
        }
        let bits = BooleanBuffer::new(Buffer::from_vec(present), 0, values.len());
        let nulls = Some(NullBuffer::new(bits)).filter(|nulls| nulls.null_count() > 0);
        PrimitiveArray::new(ScalarBuffer::from(values), nulls)
    }
}

/// Dictionary codes of one text column within a batch.
#[derive(Default)]
struct TextBuilder {
    codes: Values<Int32Type>,
    values: Vec<String>,
    addresses: HashMap<IpAddr, i32, foldhash::fast::RandomState>,
    /// The two previous addresses: the next one is often one of them.
    last: [Option<(IpAddr, i32)>; 2],
    names: Vec<(&'static str, i32)>,
}

enum Builder {
    Time(Values<TimestampMicrosecondType>),
    Text(Box<TextBuilder>),
    UInt(Values<UInt32Type>),
    Flag(Values<UInt8Type>),
    Float(Values<Float64Type>),
}

/// The Arrow type of a kind of column.
fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Text => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        Kind::UInt => DataType::UInt32,
        Kind::Flag => DataType::UInt8,
        Kind::Float => DataType::Float64,
    }
}

/// The Arrow schema of a level; every field is nullable.
pub fn arrow_schema(columns: &[Column]) -> Schema {
    Schema::new(columns.iter().map(|c| Field::new(c.name, data_type(c.kind), true)).collect::<Vec<_>>())
}

pub(super) struct ParquetWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<Schema>,
    batch: Batch,
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(super) fn new(output: W, columns: &[Column]) -> io::Result<ParquetWriter<W>> {
        let (writer, schema) = arrow_writer(output, columns)?;
        Ok(ParquetWriter { writer, schema, batch: Batch::new(columns) })
    }

    #[inline]
    pub(super) fn write(&mut self, cells: &[Cell]) -> io::Result<()> {
        if self.batch.append(cells) { self.write_batch() } else { Ok(()) }
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let arrays = self.batch.finish()?;
        let batch = RecordBatch::try_new(self.schema.clone(), arrays).map_err(io::Error::other)?;
        self.writer.write(&batch).map_err(unwrap_io)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.write_batch()?;
        self.writer.into_inner().map_err(unwrap_io)
    }
}

/// An encoded row group.
pub(super) struct Group(Vec<ArrowColumnChunk>);

/// Writes the same file from row groups that other threads encode.
pub(super) struct GroupWriter<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Arc<ArrowRowGroupWriterFactory>,
    schema: Arc<Schema>,
}

impl<W: Write + Send> GroupWriter<W> {
    pub(super) fn new(output: W, columns: &[Column]) -> io::Result<GroupWriter<W>> {
        let (writer, schema) = arrow_writer(output, columns)?;
        let (writer, factory) = writer.into_serialized_writer().map_err(unwrap_io)?;
        Ok(GroupWriter { writer, columns: Arc::new(factory), schema })
    }

    pub(super) fn encoder(&self, columns: &[Column]) -> GroupEncoder {
        let (factory, schema) = (self.columns.clone(), self.schema.clone());
        GroupEncoder { factory, schema, batch: Batch::new(columns), writers: Vec::new() }
    }

    pub(super) fn append(&mut self, Group(columns): Group) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(unwrap_io)?;
        for column in columns {
            column.append_to_row_group(&mut group).map_err(unwrap_io)?;
        }
        group.close().map(|_| ()).map_err(unwrap_io)
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.writer.into_inner().map_err(unwrap_io)
    }
}

/// Encodes one row group after another.
pub(super) struct GroupEncoder {
    factory: Arc<ArrowRowGroupWriterFactory>,
    schema: Arc<Schema>,
    batch: Batch,
    /// Writers of the group's columns; none before its first batch.
    writers: Vec<ArrowColumnWriter>,
}

impl GroupEncoder {
    #[inline]
    pub(super) fn append(&mut self, cells: &[Cell]) -> io::Result<()> {
        if self.batch.append(cells) { self.encode_batch() } else { Ok(()) }
    }

    fn encode_batch(&mut self) -> io::Result<()> {
        if self.writers.is_empty() {
            self.writers = self.factory.create_column_writers(0).map_err(unwrap_io)?;
        }
        let arrays = self.batch.finish()?;
        // No column is nested: each has one leaf.
        for ((field, array), writer) in self.schema.fields().iter().zip(&arrays).zip(&mut self.writers) {
            for leaf in compute_leaves(field, array).map_err(unwrap_io)? {
                writer.write(&leaf).map_err(unwrap_io)?;
            }
        }
        Ok(())
    }

    /// Finishes the group.
    pub(super) fn finish(&mut self) -> io::Result<Group> {
        if self.batch.rows > 0 {
            self.encode_batch()?;
        }
        let writers = std::mem::take(&mut self.writers).into_iter();
        writers.map(ArrowColumnWriter::close).collect::<Result<_, _>>().map(Group).map_err(unwrap_io)
    }
}

fn arrow_writer<W: Write + Send>(output: W, columns: &[Column]) -> io::Result<(ArrowWriter<W>, Arc<Schema>)> {
    let schema = Arc::new(arrow_schema(columns));
    let defaults = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    let properties = columns.iter().fold(defaults, |properties, column| match column.kind {
        // A dictionary of numbers would cost a fifth of the time.
        Kind::UInt | Kind::Flag | Kind::Timestamp => {
            let properties = properties
                .set_column_dictionary_enabled(column.name.into(), false)
                .set_column_encoding(column.name.into(), Encoding::DELTA_BINARY_PACKED);
            // Minimum and maximum of a flag are useless to a reader.
            match column.kind {
                Kind::Flag => {
                    properties.set_column_statistics_enabled(column.name.into(), EnabledStatistics::None)
                }
                _ => properties,
            }
        }
        Kind::Text | Kind::Float => properties,
    });
    let writer = ArrowWriter::try_new(output, schema.clone(), Some(properties.build())).map_err(unwrap_io)?;
    Ok((writer, schema))
}

/// Rows that are transposed into columns together: the column's kind is dispatched once per block, and the block stays in
/// the L1 cache.
const BLOCK_ROWS: usize = 32;

/// Rows that are converted to arrays together.
struct Batch {
    builders: Vec<Builder>,
    /// Cells that are not in the builders yet, row by row.
    block: Vec<Cell>,
    rows: usize,
}

impl Batch {
    fn new(columns: &[Column]) -> Batch {
        Batch {
            builders: columns.iter().map(|column| Builder::new(column.kind)).collect(),
            block: Vec::with_capacity(columns.len() * BLOCK_ROWS),
            rows: 0,
        }
    }

    /// Adds a row with a cell for each column; returns whether the batch is full.
    #[inline]
    fn append(&mut self, cells: &[Cell]) -> bool {
        self.block.extend_from_slice(cells);
        self.rows += 1;
        if self.rows.is_multiple_of(BLOCK_ROWS) {
            self.transpose_block();
        }
        self.rows >= BATCH_ROWS
    }

    #[inline(never)]
    fn transpose_block(&mut self) {
        let columns = self.builders.len().max(1);
        for (at, builder) in self.builders.iter_mut().enumerate() {
            // Every row has this cell; an iterator of known length saves a check per cell.
            builder.extend(self.block.chunks_exact(columns).map(|row| row.get(at).unwrap_or(&Cell::Empty)));
        }
        self.block.clear();
    }

    fn finish(&mut self) -> io::Result<Vec<ArrayRef>> {
        self.transpose_block();
        self.rows = 0;
        self.builders.iter_mut().map(Builder::finish).collect::<Result<_, _>>().map_err(io::Error::other)
    }
}

/// The underlying I/O error if there is one, so that a full disk is reported as such.
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
            Kind::Timestamp => Builder::Time(Values::default()),
            Kind::Text => Builder::Text(Box::default()),
            Kind::UInt => Builder::UInt(Values::default()),
            Kind::Flag => Builder::Flag(Values::default()),
            Kind::Float => Builder::Float(Values::default()),
        }
    }

    /// Appends cells; a cell of another kind than its column's becomes a null (tests check that there is none).
    fn extend<'a>(&mut self, cells: impl Iterator<Item = &'a Cell>) {
        match self {
            Builder::Time(builder) => builder.extend(cells.map(|cell| match cell {
                Cell::Micros(micros) => Some(*micros),
                _ => None,
            })),
            Builder::Text(builder) => builder.extend(cells),
            Builder::UInt(builder) => builder.extend(cells.map(|cell| match cell {
                Cell::UInt(number) => Some(*number),
                _ => None,
            })),
            Builder::Flag(builder) => builder.extend(cells.map(|cell| match cell {
                Cell::Flag(set) => Some(u8::from(*set)),
                _ => None,
            })),
            Builder::Float(builder) => builder.extend(cells.map(|cell| match cell {
                Cell::Float(number) => Some(*number),
                _ => None,
            })),
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
    fn extend<'a>(&mut self, cells: impl Iterator<Item = &'a Cell>) {
        let TextBuilder { codes, values, addresses, last, names } = self;
        codes.extend(cells.map(|cell| match *cell {
            Cell::Address(address) => Some(match last {
                [Some((known, code)), _] | [_, Some((known, code))] if *known == address => *code,
                _ => {
                    let code = *addresses.entry(address).or_insert_with(|| {
                        values.push(address.to_string());
                        values.len() as i32 - 1
                    });
                    *last = [Some((address, code)), last[0]];
                    code
                }
            }),
            Cell::Name(name) => Some(match names.iter().find(|(known, _)| std::ptr::eq(*known, name)) {
                Some((_, code)) => *code,
                None => {
                    values.push(name.to_owned());
                    names.push((name, values.len() as i32 - 1));
                    values.len() as i32 - 1
                }
            }),
            _ => None,
        }));
    }

    fn finish(&mut self) -> Result<ArrayRef, arrow::error::ArrowError> {
        self.addresses.clear();
        self.last = [None; 2];
        self.names.clear();
        let values = StringArray::from_iter_values(self.values.drain(..));
        Ok(Arc::new(DictionaryArray::try_new(self.codes.finish(), Arc::new(values))?))
    }
}
