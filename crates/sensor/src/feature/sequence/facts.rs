//! Input of the rules: what a packet did, with the recent counts of its host. No feature is made from it.

use std::net::IpAddr;

use super::live::{LiveFlow, PacketEvents};
use super::service::Service;
use crate::flow::initiator::{Behaviour, Count};

/// A packet with something for a rule: a refused login, a CONNECT, a violation, an exceeded keep-alive, a held
/// connection, a wildcard subscription (`#`, `$SYS/...`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacketFacts {
    /// The host whose behaviour is counted.
    pub actor: IpAddr,
    /// MQTT logins refused.
    pub refused_mqtt: bool,
    /// SSH logins refused.
    pub refused_ssh: bool,
    /// A CONNECT.
    pub connects: bool,
    /// Messages that break the standard.
    pub violates: bool,
    /// From now on the connection is held without use.
    pub holds: bool,
    /// The client had been silent for more than one and a half times its keep-alive ([MQTT-3.1.2-24]).
    pub overdue: bool,
    /// A SUBSCRIBE to `#`, or to a wildcard below `$SYS/`.
    pub wildcard: bool,
    /// Logins refused to the host; decayed over about 60 s.
    pub refused_60s: f32,
    /// User names new to the host; decayed over about 60 s.
    pub users_60s: f32,
    /// Client identifiers new to the host; decayed over about 60 s.
    pub clients_60s: f32,
    /// Connections whose keep-alive was exceeded; decayed over about 60 s.
    pub overdue_60s: f32,
    /// Messages that break the standard; decayed over about 10 s.
    pub violations_10s: f32,
    /// Connections held now.
    pub held: u32,
    /// The host's first packet, nanoseconds since 1970-01-01 UTC.
    pub known_since_nanos: i64,
}

impl PacketFacts {
    /// The facts of a packet; `None` where no rule applies.
    #[inline]
    pub(super) fn of(
        host: &Behaviour,
        events: &PacketEvents,
        live: &LiveFlow,
        actor: IpAddr,
    ) -> Option<PacketFacts> {
        let messages = &events.messages;
        let connects = messages.client.is_some();
        let holds = events.held_changed == Some(true);
        let (overdue, wildcard) = (events.is_overdue, messages.wildcard);
        if !(connects || holds || overdue || wildcard) && events.refused == 0 && messages.faulty == 0 {
            return None;
        }
        let refuses = |service| events.refused > 0 && live.service() == service;
        Some(PacketFacts {
            actor,
            refused_mqtt: refuses(Service::Mqtt),
            refused_ssh: refuses(Service::Ssh),
            connects,
            violates: messages.faulty > 0,
            holds,
            overdue,
            wildcard,
            refused_60s: host.slow(Count::Refused),
            users_60s: host.slow(Count::Users),
            clients_60s: host.slow(Count::Clients),
            overdue_60s: host.slow(Count::Overdue),
            violations_10s: host.fast(Count::Violations),
            held: host.held,
            known_since_nanos: host.known_since_nanos,
        })
    }
}
