//! What a packet brought that rules look at, with what its host did of late. No number of a row comes from here.

use std::net::IpAddr;

use super::live::{Happened, LiveFlow};
use super::service::Service;
use crate::flow::initiator::{Behaviour, Count};

/// Of a packet that brought something: a login refused, a CONNECT, a fault, a silence, a connection held, a
/// subscription to everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PacketFacts {
    /// Whose behaviour it is.
    pub actor: IpAddr,
    /// MQTT logins that it refuses.
    pub refused_mqtt: bool,
    /// SSH logins.
    pub refused_ssh: bool,
    /// A client introduces itself.
    pub connects: bool,
    /// Messages that break the standard.
    pub violates: bool,
    /// From now on the connection is held without use.
    pub holds: bool,
    /// The client had been silent for more than one and a half times its keep-alive ([MQTT-3.1.2-24]).
    pub overdue: bool,
    /// A SUBSCRIBE to `#` or to what is below `$SYS`.
    pub wildcard: bool,
    /// Decayed counts of the host, over about 60 s.
    pub refused_60s: f32,
    /// See `refused_60s`.
    pub users_60s: f32,
    /// See `refused_60s`.
    pub clients_60s: f32,
    /// Connections whose keep-alive was not kept.
    pub overdue_60s: f32,
    /// Over about 10 s.
    pub violations_10s: f32,
    /// Connections that are held now.
    pub held: u32,
    /// Since when the host is known, nanoseconds since 1970-01-01 UTC.
    pub known_since_nanos: i64,
}

impl PacketFacts {
    /// What a packet brought; `None` where no rule would look at it.
    #[inline]
    pub(super) fn of(
        host: &Behaviour,
        happened: &Happened,
        live: &LiveFlow,
        actor: IpAddr,
    ) -> Option<PacketFacts> {
        let said = &happened.said;
        let connects = said.client.is_some();
        let holds = happened.holds == Some(true);
        let (overdue, wildcard) = (happened.overdue, said.wildcard);
        if !(connects || holds || overdue || wildcard) && happened.refused == 0 && said.faulty == 0 {
            return None;
        }
        let refuses = |service| happened.refused > 0 && live.service() == service;
        Some(PacketFacts {
            actor,
            refused_mqtt: refuses(Service::Mqtt),
            refused_ssh: refuses(Service::Ssh),
            connects,
            violates: said.faulty > 0,
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
