//! The LSTM and its few companions: forward, backward, streaming step.
//!
//! Everything is f32, row-major, and runs on the CPU. A [`Network`] is stacked LSTM layers and a dense head; a [`Trainer`]
//! teaches it (backpropagation through time, Adam). The same seed gives the same bits for any number of threads, on one
//! instruction set.
//!
//! Inside, from the outside in: `train` runs epochs, `batch` shares a step out over a `team` of
//! threads (rows first, then weights), `chunk` walks
//! a few rows forward and backward, `kernel` holds the loops that cost time, `simd` what they are made of.

mod adam;
mod attribution;
mod batch_norm;
pub mod bench;
mod chunk;
mod dense;
mod error;
mod gemm;
mod gradients;
mod inference;
mod kernel;
mod layer;
mod lock;
mod loss;
mod network;
pub mod onnx;
mod random;
mod sequences;
mod simd;
mod spec;
mod step;
mod stream;
mod train;
mod weight_gradient;

pub use attribution::{Attribution, InputGradients};
pub use dense::DenseNetwork;
pub use error::Error;
pub use gemm::{View, multiply};
pub use gradients::Gradients;
pub use network::Network;
pub use sequences::Sequences;
pub use simd::Simd;
pub use spec::{LossAt, Spec};
pub use stream::{Precision, States, Stepper, Steps, StreamCell};
pub use train::{EpochStats, EvalStats, TrainConfig, Trainer};
