//! The caps of everything that MQTT decoding keeps or judges, in one place.

/// What decoding keeps at most, per connection, and from where on a topic is called too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message's body that a [`super::Stream`] keeps; a longer one becomes a record of its first bytes.
    pub message_bytes: u32,
    /// A topic of more bytes is a violation.
    pub topic_bytes: usize,
    /// Bytes that a session keeps of a client identifier, user name, topic or filter.
    pub text_bytes: usize,
    /// Exchanges that may be open at once.
    pub exchanges: usize,
    /// Messages that an exchange may have.
    pub exchange_messages: u32,
    /// Subscriptions that a session keeps.
    pub subscriptions: usize,
    /// Different publish topics that a session keeps.
    pub topics: usize,
    /// Topic aliases that a session keeps, per direction.
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
