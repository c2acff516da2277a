//! Data sets as one kind of table.
//!
//! In: recordings (`manifest.csv` and its captures), a folder laid out as MQTT-IoT-IDS2020, a CSV or Parquet file
//! of `extract`, files of NSL-KDD, or captures in memory. Out: a [`Table`]: the level's columns, and for each row the file it comes
//! from, its number there, and what is known about its class.
//!
//! Two labels exist side by side, because the literature mixes them ([`LabelRule`]): *by file* (every row of an
//! attack's file is that attack, as the LSTM paper has it) and *by attacker* (a row is the file's scenario where
//! the attacker is its source or destination, else `normal`).
//!
//! Where a file has no manifest beside it, its scenario is, in this order: its `scenario` column (row by row), its
//! file name without `packet_`, `uniflow_`, `biflow_` and the endings, if that is one of [`CLASSES`]; else `attack`
//! if one of its rows has `is_attack` 1, `normal` if one has 0; else nobody says, and its rows have no class.
//!
//! Limits: [`LoadOptions::rows_per_file`] stops reading a file's rows while streaming; about 110 bytes a packet row.

mod capture;
mod class;
mod csv;
mod error;
mod hash;
mod manifest;
mod nsl_kdd;
mod parquet;
mod problem;
mod source;
mod table;
mod time;

pub use class::{CLASSES, LabelRule, Labels, NORMAL};
pub(crate) use class::{canonical_order, class_of_file_name};
pub use error::DatasetError;
pub use hash::FileHash;
pub(crate) use hash::Hashing;
pub use manifest::{Manifest, ManifestEntry};
pub use nsl_kdd::{NSL_KDD_TEST, NSL_KDD_TRAIN, is_nsl_kdd, nsl_kdd_category};
pub use problem::{Problem, Problems};
pub(crate) use source::published_folder;
pub use source::{LoadOptions, load, load_embedded};
pub use table::{Source, Table};
pub use time::parse_timestamp;
