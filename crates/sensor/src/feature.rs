//! From packets to rows: one schema table per level, one extractor per level, two writers.
//!
//! In: decoded packets. Out: rows whose cells stand in the schema's order, as CSV, Parquet or values.

pub mod biflow;
pub mod chunks;
mod csv;
pub mod packet;
mod parquet;
pub mod protocol;
pub mod schema;
pub mod sequence;
pub mod uniflow;
mod write;

pub use chunks::ChunkWriter;
pub use parquet::arrow_schema;
pub use write::{Format, RowWriter, WriteError};
