//! From packets to rows: a schema table, an extractor per level, and writers for CSV and Parquet.
//!
//! In: packets in capture order. Out: rows whose cells are in the schema's order, as CSV, Parquet or values. Levels:
//! [`packet`], [`uniflow`], [`biflow`] and [`sequence`], which the detector reads. Memory: one batch of rows per thread,
//! and the caps of [`flow`](crate::flow).

pub mod biflow;
pub mod chunks;
mod csv;
pub mod packet;
mod parquet;
pub mod schema;
pub mod sequence;
pub mod uniflow;
mod write;

pub use chunks::ChunkWriter;
pub use parquet::arrow_schema;
pub use write::{Format, RowWriter, WriteError};
