//! LSTM networks on the CPU: training, batch inference, streaming inference.
//!
//! Everything is f32 and row-major. A [`Network`] is stacked LSTM layers and a dense head; a [`Trainer`] trains it
//! (backpropagation through time, Adam). On one instruction set, the same seed gives the same bits for any number of threads.
//!
//! From top to bottom: `train` runs epochs, `step` one training step on a team of threads, `chunk` the forward and backward
//! pass of a few rows; `inference` and `stream` are forward passes without saved activations; `kernel` holds the hot loops,
//! `simd` the vector instructions that they are written in.

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
pub mod parallel;
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
