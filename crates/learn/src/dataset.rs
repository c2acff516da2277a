//! Data sets as tables.
//!
//! In: recordings (`manifest.csv` with its captures), folders in MQTT-IoT-IDS2020's layout, CSV or Parquet files of
//! `extract`, NSL-KDD. Out: a [`Table`] of one feature level, or, through [`rows::RowConsumer`], the raw rows of any
//! file with columns. Each format has one reader; `cell` and `class` define missing values and labels for all of them.
//!
//! A row's class follows a [`LabelRule`]. Without a manifest, a file's scenario is its rows' `scenario` column; else the
//! class in its name (`uniflow_scan_A.csv`); else `attack` if any row has `is_attack` 1 and `normal` if one has 0.
//!
//! Limits: [`LoadOptions::rows_per_file`] rows of each file; a packet row takes about 110 bytes.

pub(crate) mod capture;
mod capture_table;
pub(crate) mod cell;
mod class;
pub(crate) mod csv;
mod error;
mod feature_file;
pub(crate) mod file;
mod hash;
mod load;
mod manifest;
pub(crate) mod nsl_kdd;
mod options;
pub(crate) mod parquet;
mod problem;
pub(crate) mod rows;
mod table;
mod time;

pub(crate) use class::{ATTACK, canonical_order, class_of_file_name};
pub use class::{CLASSES, LabelRule, Labels, NORMAL};
pub use error::DatasetError;
pub(crate) use feature_file::SCENARIO;
pub use hash::FileHash;
pub(crate) use hash::Hashing;
pub use load::{load, load_embedded};
pub(crate) use manifest::MANIFEST;
pub use manifest::{Manifest, ManifestEntry};
pub use nsl_kdd::{NSL_KDD_TEST, NSL_KDD_TRAIN, is_nsl_kdd, nsl_kdd_category};
pub use options::LoadOptions;
pub(crate) use options::published_folder;
pub use problem::{Problem, Problems};
pub(crate) use table::IS_ATTACK;
pub use table::{Source, Table};
pub use time::parse_timestamp;
