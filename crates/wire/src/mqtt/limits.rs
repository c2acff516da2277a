//! Limits of MQTT decoding and sessions.

/// Caps of the state of a connection, and the longest topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message's body that a [`super::Stream`] buffers; the record of a longer one is cut to them.
    pub message_bytes: u32,
    /// Longest topic in bytes; a longer one is a violation.
    pub topic_bytes: usize,
    /// Bytes that a session stores of a client identifier, user name, topic or filter.
    pub text_bytes: usize,
    /// Open exchanges.
    pub exchanges: usize,
    /// Messages of an exchange.
    pub exchange_messages: u32,
    /// Subscriptions that a session stores.
    pub subscriptions: usize,
    /// Distinct publish topics that a session stores.
    pub topics: usize,
    /// Topic aliases that a session stores, per direction.
    pub aliases: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1_048_576,
            topic_bytes: 4_096,
            text_bytes: 256,
            exchanges: 1_024,
            exchange_messages: 64,
            subscriptions: 128,
            topics: 64,
            aliases: 64,
        }
    }
}
