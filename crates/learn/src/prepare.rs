//! From a table to what a network reads: rows chosen, split, encoded, scaled, balanced.
//!
//! In: a [`Table`](crate::dataset::Table) and its labels. Out: `f32` matrices, rows x inputs.
//!
//! The order cannot be got wrong: a [`Split`] comes first, and only its [`TrainFold`] can be fitted on. Encoders and
//! scalers come from [`TrainFold::fit`], rows to balance from [`TrainFold::encode`]. (The LSTM paper scaled before
//! it split; that leaks the test rows' range into training, so it is not reproduced. What it changes is small: the
//! timestamp's minimum and maximum.)
//!
//! Everything random has a seed and does not depend on the number of threads.

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
