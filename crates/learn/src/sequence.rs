//! The sequence detector: an LSTM over the packets of each conversation, trained on some recordings and judged on
//! others.
//!
//! In: recordings (a manifest and its captures each). Out: a network, what it says of every conversation, and the
//! figures of leaving one recording out. Rows come from [`citronella_sensor::feature::sequence`], the code that
//! detection runs; the same seed gives the same numbers for any number of threads.

mod error;
mod figures;
mod model;
mod pool;
mod recording;
mod score;
mod traffic;
mod train;
mod variant;
mod verdict;

pub use error::SequenceError;
pub use figures::{Figures, benign_hosts, confusions, figures};
pub use model::{
    Deaf, Heard, HeldOut, PRESET, Trained, cross_settings, fit_settings, leave_one_out, model_file,
    settings_of, train, train_network,
};
pub use pool::{Pool, Windows};
pub use recording::{Captured, Recording};
pub use score::{Probabilities, ScoredFlow, score, score_variant};
pub use train::{Options, fit, gather, variants};
pub use variant::Variant;
pub use verdict::{Verdict, benign_beyond, benign_scores, fit_temperature, verdict};
