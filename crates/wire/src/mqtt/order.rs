//! Order rules: which control packet may come from which side and when. One module for every reader of MQTT.
//!
//! [`super::Session`] applies all of them and tracks exchanges; a reader with constant memory stores a [`Handshake`]
//! (three bytes) and chooses which [`OrderFault`]s count.

use super::kind::{
    AUTH, CONNACK, CONNECT, DISCONNECT, PINGREQ, PINGRESP, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE,
};
use super::{Version, Violation};

/// Receiver of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

impl Direction {
    /// The opposite direction.
    pub fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }

    /// The only direction that a control packet of this type may take; `None` for those that both sides send.
    pub fn of(kind: u8, version: Version) -> Option<Self> {
        match kind {
            CONNECT | SUBSCRIBE | UNSUBSCRIBE | PINGREQ => Some(Self::ToServer),
            CONNACK | SUBACK | UNSUBACK | PINGRESP => Some(Self::ToClient),
            DISCONNECT if version != Version::V5 => Some(Self::ToServer),
            _ => None,
        }
    }
}

/// Progress of a connection's introduction: CONNECT, then CONNACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    has_connect: bool,
    connack: Option<u8>,
}

/// A message that comes too early or once too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderFault {
    /// A CONNECT after another one (MQTT-3.1.0-2).
    SecondConnect,
    /// Any other message before the CONNECT (MQTT-3.1.0-1).
    BeforeConnect,
    /// A client's message before the CONNACK: allowed, and rare (MQTT 3.1.1, 3.1.4).
    ClientBeforeConnack,
    /// A server's message before its CONNACK (MQTT-3.2.0-1).
    ServerBeforeConnack,
    /// A message after a CONNACK that refused the connection (MQTT-3.2.2-5).
    AfterRefusal,
}

impl OrderFault {
    /// The violation that a record of this fault names.
    pub fn violation(self) -> Violation {
        match self {
            Self::SecondConnect => Violation::DoubleConnect,
            Self::ClientBeforeConnack => Violation::EarlyMessage,
            Self::BeforeConnect | Self::ServerBeforeConnack | Self::AfterRefusal => {
                Violation::UnintroducedMessage
            }
        }
    }
}

impl Handshake {
    /// Checks a message of a control packet type against the handshake so far; does not change it. Version 5 puts AUTH
    /// between CONNECT and CONNACK, and either side may abort with DISCONNECT.
    pub fn check(&self, direction: Direction, kind: u8) -> Option<OrderFault> {
        match kind {
            CONNECT => self.has_connect.then_some(OrderFault::SecondConnect),
            _ if !self.has_connect => Some(OrderFault::BeforeConnect),
            CONNACK | AUTH | DISCONNECT => None,
            _ => match (self.connack, direction) {
                (Some(0), _) => None,
                (Some(_), _) => Some(OrderFault::AfterRefusal),
                (None, Direction::ToServer) => Some(OrderFault::ClientBeforeConnack),
                (None, Direction::ToClient) => Some(OrderFault::ServerBeforeConnack),
            },
        }
    }

    /// Takes a CONNECT.
    pub fn connect(&mut self) {
        self.has_connect = true;
    }

    /// Takes a CONNACK with this code.
    pub fn connack(&mut self, code: u8) {
        self.connack = Some(code);
    }

    /// Whether a CONNECT was seen.
    pub fn has_connect(&self) -> bool {
        self.has_connect
    }

    /// Code of the last CONNACK.
    pub fn connack_code(&self) -> Option<u8> {
        self.connack
    }

    /// Whether a CONNACK was seen.
    pub fn is_answered(&self) -> bool {
        self.connack.is_some()
    }

    /// Whether the last CONNACK accepted the connection.
    pub fn is_accepted(&self) -> bool {
        self.connack == Some(0)
    }
}

/// How long a client may be silent, in nanoseconds: one and a half times its keep-alive, in seconds (MQTT-3.1.2-24).
/// `None` where the keep-alive is off.
#[inline]
pub fn keep_alive_nanos(keep_alive_secs: u16) -> Option<i64> {
    (keep_alive_secs > 0).then(|| i64::from(keep_alive_secs) * 1_500_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::kind::PUBLISH;
    use Direction::{ToClient, ToServer};

    #[test]
    fn handshake_faults() {
        let mut handshake = Handshake::default();
        for kind in [CONNACK, PUBLISH, AUTH, DISCONNECT] {
            assert_eq!(handshake.check(ToServer, kind), Some(OrderFault::BeforeConnect));
        }
        assert_eq!(handshake.check(ToServer, CONNECT), None);
        handshake.connect();
        assert_eq!(handshake.check(ToServer, CONNECT), Some(OrderFault::SecondConnect));
        assert_eq!(handshake.check(ToServer, PUBLISH), Some(OrderFault::ClientBeforeConnack));
        assert_eq!(handshake.check(ToClient, PUBLISH), Some(OrderFault::ServerBeforeConnack));
        for kind in [CONNACK, AUTH, DISCONNECT] {
            assert_eq!(handshake.check(ToClient, kind), None);
        }
        handshake.connack(5);
        assert_eq!(handshake.check(ToServer, PUBLISH), Some(OrderFault::AfterRefusal));
        handshake.connack(0);
        assert_eq!(handshake.check(ToServer, PUBLISH), None);
    }
}
