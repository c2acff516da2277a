//! Intrusion detection for MQTT networks with an LSTM over packets.
fn main() {}
