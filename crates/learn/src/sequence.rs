//! The sequence detector: an LSTM over the packets of each conversation.
//!
//! In: recordings (a manifest and its captures). Out: a trained model file, class probabilities for each packet of
//! each conversation, and the figures of leave-one-recording-out validation. Rows come from
//! [`citronella_sensor::feature::sequence`], the code that detection runs. The same seed gives the same numbers on
//! any number of threads. Memory: the captures' bytes, and at most 480 rows of each conversation in the training set.

mod calibration;
mod conversation;
mod error;
pub mod experiments;
mod figures;
mod fit;
mod gather;
mod model_file;
mod options;
mod pool;
mod recording;
mod score;
mod traffic;
mod train;
mod variant;
mod verdict;
mod windows;

pub use calibration::{benign_beyond, benign_scores, cross_settings, fit_settings, fit_temperature};
pub use error::SequenceError;
pub use figures::{Confused, Figures, confusions, figures};
pub use fit::fit;
pub use gather::{gather, variants};
pub use model_file::{PRESET, model_file, settings_of};
pub use options::Options;
pub use pool::Pool;
pub use recording::{MemoryCapture, Recording};
pub use score::{HeldOut, Probabilities, ScoredFlow, score, score_variant};
pub use train::{Observer, Silent, Trained, leave_one_out, train, train_network};
pub use variant::Variant;
pub use verdict::{Verdict, verdict};
pub use windows::Windows;
