//! The LSTM and its few companions: forward, backward, streaming step.
