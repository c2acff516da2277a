//! The violations of MQTT traffic: one table of ids, clauses and descriptions.

/// A row of the table: id, clause and description of a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The violation.
    pub violation: Violation,
    /// Its stable id, in snake case; Suricata's event names where it has one.
    pub id: &'static str,
    /// Clause of MQTT 3.1.1 and, after a semicolon, of MQTT 5.0 if its number differs; `None` if no standard forbids
    /// it.
    pub clause: Option<&'static str>,
    /// One sentence for a reader.
    pub text: &'static str,
}

macro_rules! violations {
    ($($name:ident $id:literal $clause:expr, $text:literal;)*) => {
        /// A violation of the standard, or of a limit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Violation { $(#[doc = $text] $name,)* }

        impl Violation {
            /// The table, in the enum's order.
            pub const TABLE: &'static [Rule] = &[
                $(Rule { violation: Violation::$name, id: $id, clause: $clause, text: $text },)*
            ];

            /// The table's row.
            pub fn rule(self) -> Rule {
                match self {
                    $(Self::$name => Rule { violation: self, id: $id, clause: $clause, text: $text },)*
                }
            }
        }
    };
}

violations! {
    // Suricata's events.
    MissingConnect "missing_connect" Some("MQTT-3.2.0-1"), "A CONNACK answers no CONNECT.";
    MissingPublish "missing_publish" Some("MQTT-4.3.2-2, MQTT-4.3.3-2; MQTT-4.3.2-4, MQTT-4.3.3-8"), "A PUBACK, PUBREC, PUBREL or PUBCOMP belongs to no PUBLISH.";
    MissingSubscribe "missing_subscribe" Some("MQTT-3.8.4-1"), "A SUBACK answers no SUBSCRIBE.";
    MissingUnsubscribe "missing_unsubscribe" Some("MQTT-3.10.4-4"), "An UNSUBACK answers no UNSUBSCRIBE.";
    DoubleConnect "double_connect" Some("MQTT-3.1.0-2"), "A second CONNECT on one connection.";
    UnintroducedMessage "unintroduced_message" Some("MQTT-3.1.0-1"), "A message before the connection was accepted; once per direction where the recording begins in mid-stream.";
    InvalidQosLevel "invalid_qos_level" Some("MQTT-3.3.1-4"), "A QoS of 3.";
    MissingMsgId "missing_msg_id" Some("MQTT-2.3.1-1; MQTT-2.2.1-3"), "A message that needs a packet identifier ends before it.";
    UnassignedMsgType "unassigned_msg_type" Some("2.2.1; 2.1.2"), "A control packet type that the version does not have.";
    TooManyTransactions "too_many_transactions" None, "More exchanges are open than the limit allows.";
    MalformedTraffic "malformed_traffic" Some("MQTT-4.8.0-1; MQTT-4.13.1-1"), "A message that cannot be read to its end.";
    TooManyMessages "too_many_messages" None, "An exchange has more messages than the limit allows.";
    // The fixed header.
    BadHeaderFlags "bad_header_flags" Some("MQTT-2.2.2-2; MQTT-2.1.3-1"), "Fixed-header flags other than those the type demands.";
    RemainingLengthTooLong "remaining_length_too_long" Some("2.2.3; 1.5.5"), "A Remaining Length of more than four bytes.";
    RemainingLengthNotMinimal "remaining_length_not_minimal" Some("2.2.3; MQTT-1.5.5-1"), "A variable byte integer in more bytes than it needs.";
    DupWithoutQos "dup_without_qos" Some("MQTT-3.3.1-2"), "DUP set on a PUBLISH of QoS 0.";
    // The body.
    Truncated "truncated" Some("MQTT-4.8.0-1; MQTT-4.13.1-1"), "A field is longer than the rest of its message.";
    TrailingBytes "trailing_bytes" Some("MQTT-4.8.0-1; MQTT-4.13.1-1"), "Bytes are left after a message's last field.";
    BadUtf8 "bad_utf8" Some("MQTT-1.5.3-1; MQTT-1.5.4-1"), "A text that is not UTF-8.";
    NullInText "null_in_text" Some("MQTT-1.5.3-2; MQTT-1.5.4-2"), "A text with U+0000.";
    ControlInText "control_in_text" Some("1.5.3; 1.5.4"), "A text with a control character or a non-character.";
    PacketIdZero "packet_id_zero" Some("MQTT-2.3.1-1; MQTT-2.2.1-3"), "A packet identifier of 0.";
    UnknownReasonCode "unknown_reason_code" Some("3.2.2.3, MQTT-3.9.3-2; MQTT-3.2.2-8, 2.4"), "A return or reason code that this message cannot have.";
    // CONNECT.
    UnknownProtocolName "unknown_protocol_name" Some("MQTT-3.1.2-1"), "A protocol name other than MQTT or MQIsdp.";
    UnknownProtocolLevel "unknown_protocol_level" Some("MQTT-3.1.2-2"), "A protocol level other than 3, 4 or 5, or one that does not go with the name.";
    ReservedConnectFlag "reserved_connect_flag" Some("MQTT-3.1.2-3"), "The reserved flag of CONNECT is set.";
    WillFlagsInconsistent "will_flags_inconsistent" Some("MQTT-3.1.2-13, MQTT-3.1.2-15; MQTT-3.1.2-11, MQTT-3.1.2-13"), "Will QoS or Will Retain without a will.";
    PasswordWithoutUsername "password_without_username" Some("MQTT-3.1.2-22"), "A password without a user name (allowed from version 5 on).";
    EmptyClientId "empty_client_id" Some("MQTT-3.1.3-7"), "An empty client identifier where the version demands one, or without a clean session.";
    ClientIdTooLong "client_id_too_long" Some("MQTT-3.1.3-5"), "A client identifier of more than 23 bytes with version 3.1.";
    // CONNACK.
    ReservedConnackFlag "reserved_connack_flag" Some("3.2.2.1; MQTT-3.2.2-1"), "A reserved flag of CONNACK is set.";
    SessionPresentOnError "session_present_on_error" Some("MQTT-3.2.2-4; MQTT-3.2.2-6"), "Session Present in a CONNACK that refuses.";
    // Topics.
    WildcardInTopic "wildcard_in_topic" Some("MQTT-3.3.2-2"), "A wildcard in the topic name of a PUBLISH or a will.";
    EmptyTopic "empty_topic" Some("MQTT-4.7.3-1"), "A topic name or filter of no characters, without an alias.";
    TopicTooLong "topic_too_long" None, "A topic longer than the limit allows.";
    BadTopicFilter "bad_topic_filter" Some("MQTT-4.7.1-2, MQTT-4.7.1-3; MQTT-4.7.1-1, MQTT-4.8.2-1"), "A topic filter with a wildcard or share name in an invalid position.";
    NoTopics "no_topics" Some("MQTT-3.8.3-3, MQTT-3.10.3-2; MQTT-3.8.3-2, MQTT-3.10.3-2"), "A SUBSCRIBE or UNSUBSCRIBE of nothing.";
    BadSubscriptionOptions "bad_subscription_options" Some("MQTT-3-8.3-4; MQTT-3.8.3-5"), "Reserved bits of the subscription options are set, or a value that they cannot have.";
    // Version 5's properties.
    PropertyUnknown "property_unknown" Some("2.2.2.2"), "A property identifier that does not exist.";
    PropertyNotAllowed "property_not_allowed" Some("2.2.2.2"), "A property that this message cannot have.";
    PropertyRepeated "property_repeated" Some("2.2.2.2"), "A property twice that may stand once.";
    PropertyValue "property_value" Some("2.2.2.2"), "A property with a value that it cannot have.";
    PropertyLength "property_length" Some("2.2.2.1"), "A property length that does not fit the message or its properties.";
    // State over messages.
    EarlyMessage "early_message" None, "A client's message before the CONNACK: allowed (3.1.4), and rare; Suricata calls it unintroduced_message.";
    KeepAliveExceeded "keep_alive_exceeded" Some("MQTT-3.1.2-23; MQTT-3.1.2-20"), "A client was silent for more than one and a half times its keep-alive.";
    Qos2Broken "qos2_broken" Some("MQTT-4.3.3-1, MQTT-4.3.3-2; MQTT-4.3.3-3, MQTT-4.3.3-5"), "The handshake of QoS 2 out of order.";
    PacketIdInUse "packet_id_in_use" Some("MQTT-2.3.1-2; MQTT-2.2.1-3"), "A packet identifier is reused while its exchange is open.";
    WrongDirection "wrong_direction" Some("2.2.1; 2.1.2"), "A message that this side cannot send.";
    AfterDisconnect "after_disconnect" Some("MQTT-3.14.4-2"), "A message after the sender's DISCONNECT.";
    AnswerMismatch "answer_mismatch" Some("MQTT-3.8.4-5; MQTT-3.8.4-6, MQTT-3.11.3-1"), "A SUBACK or UNSUBACK with another number of codes than topics asked for.";
    TopicAliasUnknown "topic_alias_unknown" Some("3.3.2.3.4"), "A topic alias that stands for no topic, or one over the announced maximum.";
    BadGrant "bad_grant" Some("MQTT-3.8.4-6; MQTT-3.8.4-8"), "A QoS granted over the one asked for.";
}

impl Violation {
    /// The stable id, in snake case.
    pub fn id(self) -> &'static str {
        self.rule().id
    }

    /// Suricata's event for it: of the same name, or the one that covers it.
    pub fn suricata_event(self) -> Option<&'static str> {
        match self {
            _ if self <= Self::TooManyMessages => Some(self.id()),
            Self::EarlyMessage => Some(Self::UnintroducedMessage.id()),
            Self::RemainingLengthTooLong | Self::Truncated | Self::PropertyUnknown | Self::PropertyLength => {
                Some(Self::MalformedTraffic.id())
            }
            _ => None,
        }
    }

    /// The clause of the standard, if there is one.
    pub fn clause(self) -> Option<&'static str> {
        self.rule().clause
    }
}

/// A set of violations; no allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Violations(u64);

const _: () = assert!(Violation::TABLE.len() <= 64, "Violations is a set of 64 bits");

impl Violations {
    /// No violation.
    pub const NONE: Self = Self(0);

    /// Adds one.
    #[inline]
    pub fn insert(&mut self, violation: Violation) {
        self.0 |= 1 << violation as u8;
    }

    /// Adds one if `condition` holds.
    #[inline]
    pub fn insert_if(&mut self, condition: bool, violation: Violation) {
        self.0 |= u64::from(condition) << violation as u8;
    }

    /// Adds all of another set.
    #[inline]
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Removes one.
    #[inline]
    pub fn remove(&mut self, violation: Violation) {
        self.0 &= !(1 << violation as u8);
    }

    /// Whether the set has it.
    #[inline]
    pub fn contains(self, violation: Violation) -> bool {
        self.0 & (1 << violation as u8) != 0
    }

    /// Whether the set is empty.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Number of violations.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The violations, in the table's order.
    pub fn iter(self) -> impl Iterator<Item = Violation> {
        Violation::TABLE.iter().map(|rule| rule.violation).filter(move |violation| self.contains(*violation))
    }
}

impl FromIterator<Violation> for Violations {
    fn from_iter<I: IntoIterator<Item = Violation>>(violations: I) -> Self {
        let mut set = Self::NONE;
        violations.into_iter().for_each(|violation| set.insert(violation));
        set
    }
}
