//! Bytes to headers and MQTT messages: pure functions on byte slices.
