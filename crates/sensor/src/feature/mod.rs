//! From packets to rows: one schema table per level, one extractor per level, two writers.
//!
//! In: decoded packets. Out: rows whose cells stand in the schema's order, as CSV, Parquet or values.

pub mod packet;
pub mod schema;
