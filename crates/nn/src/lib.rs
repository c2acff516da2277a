//! The LSTM and its few companions: forward, backward, streaming step.
//!
//! Everything is f32, row-major, and runs on the CPU. A [`Network`] is stacked LSTM layers and a dense head; a [`Trainer`]
//! teaches it (backpropagation through time, Adam). The same seed gives the same bits for any number of threads, on one
//! instruction set.
//!
//! Inside, from the outside in: `train` runs epochs, `batch` shares a step out over a `team` of
//! threads (rows first, then weights), `chunk` walks
//! a few rows forward and backward, `kernel` holds the loops that cost time, `simd` what they are made of.

mod attribution;
mod batch;
pub mod bench;
mod chunk;
mod dense;
mod error;
mod forward;
mod gradient;
mod inspect;
mod kernel;
mod layer;
mod link;
mod loss;
mod network;
mod norm;
pub mod onnx;
mod product;
mod random;
mod sequences;
mod simd;
mod spec;
mod stream;
mod team;
mod train;

pub use attribution::{Attribution, InputGradients};
pub use dense::DenseNetwork;
pub use error::Error;
pub use inspect::Gradients;
pub use network::Network;
pub use product::{View, multiply};
pub use sequences::Sequences;
pub use simd::Simd;
pub use spec::{LossAt, Spec};
pub use stream::{Precision, States, Stepper, Steps, StreamCell};
pub use train::{EpochStats, EvalStats, TrainConfig, Trainer};
