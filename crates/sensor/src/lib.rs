//! The data path: capture, flow, feature, detect, alert.
