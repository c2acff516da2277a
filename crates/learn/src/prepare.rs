//! From a table to a model's input: rows are selected, split, encoded, scaled and balanced.
//!
//! In: a [`Table`](crate::dataset::Table) and its labels. Out: `f32` matrices, rows x inputs.
//!
//! The types enforce the order: a [`Split`] comes first, and only its [`TrainFold`] can be fitted on. (The LSTM paper
//! scaled before it split, which leaks the test rows' range into training; that is not reproduced. It changes little: the
//! minimum and maximum of the timestamp.)
//!
//! Everything random is seeded and does not depend on the number of threads.

pub mod bench;
mod error;
mod fold;
mod neighbours;
mod random;
mod rows;
mod smote;
mod split;
mod threads;

pub use error::PrepareError;
pub use fold::{Matrix, Step, TrainFold, TrainSet, Transform, encode};
pub(crate) use neighbours::Neighbours;
pub(crate) use random::{Stream, rng, shuffle};
pub use rows::{DropReason, Dropped, Rows};
pub use smote::{Smote, SmoteClass, SmoteReport};
pub use split::{Split, SplitBy, SplitPlan};
pub(crate) use threads::with_threads;
