//! Updates the counts of a packet's host and responder, and writes a host's counts into a row.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::columns::{BYTES_UNIT, Feature, MAX_BYTES, MAX_COUNT, WIDTH, log_scaled};
use super::live::{LiveFlow, PacketEvents, scaled_secs};
use super::responders::Responders;
use super::service::Service;
use crate::flow::initiator::{Behaviour, Count};

/// Updates the counts of the responder `dst`, and the flow's copies of them.
pub(super) fn count_responder(
    responders: &mut Responders,
    events: &PacketEvents,
    live: &mut LiveFlow,
    dst: (IpAddr, u16),
    now_nanos: i64,
) {
    if let Some(service) = events.recognised {
        responders.set_service(dst, service);
    }
    // MQTT credentials are readable and counted by client: a device with an outdated password is not part of an attack.
    if events.refused > 0 && live.service() == Service::Ssh {
        live.endpoint_refused = responders.add_refused(dst, now_nanos);
    }
    if events.is_unanswered {
        live.responder_failed = responders.add_failed(dst.0, now_nanos);
    }
    if let Some(secs) = events.answered_after_secs {
        live.responder_failed = responders.subtract_failed(dst.0, now_nanos, secs);
    }
}

/// Updates the counts of the host whose behaviour the packet belongs to.
pub(super) fn count_host(
    host: &mut Behaviour,
    events: &PacketEvents,
    live: &mut LiveFlow,
    dst: (IpAddr, u16),
    hash: &FixedState,
) {
    if events.begins_flow {
        host.add(Count::Flows, 1.0);
        let port = hash.hash_one((dst.1, live.protocol));
        let endpoint = hash.hash_one((dst, live.protocol));
        live.is_new_endpoint = host.observe_responder(port, hash.hash_one(dst.0), endpoint);
    }
    if events.is_unanswered {
        host.add(Count::Failed, 1.0);
    }
    if let Some(secs) = events.answered_after_secs {
        host.undo(Count::Failed, secs);
    }
    if events.is_icmp_error {
        host.add(Count::Failed, 1.0);
    }
    let messages = &events.messages;
    if events.is_overdue {
        host.add(Count::Overdue, 1.0);
    }
    host.add(Count::Refused, events.refused as f32);
    host.add(Count::Accepted, events.accepted as f32);
    host.add(Count::Violations, messages.faulty as f32);
    live.is_new_client |= host.observe_login(messages.client, messages.user, messages.credential);
    if events.is_from_actor {
        host.add(Count::Publishes, messages.publishes as f32);
        host.add(Count::Bytes, events.len as f32);
    }
    for (change, number) in [(events.held_changed, &mut host.held), (events.idle_changed, &mut host.idle)] {
        match change {
            Some(true) => *number = number.saturating_add(1),
            Some(false) => *number = number.saturating_sub(1),
            None => {}
        }
    }
}

/// Writes the features of a host's behaviour; `secs` since its last packet. A count of 1 is 0.1, of 10 is 0.35, of
/// 1,000 is 1.
pub(super) fn write_host(host: &Behaviour, secs: f32, features: &mut [f32; WIDTH]) {
    let mut set = |feature: Feature, value: f32| features[feature as usize] = value;
    let scaled = |count: f32| log_scaled(count, 1.0, MAX_COUNT);
    set(Feature::HostGap, scaled_secs(secs));
    set(Feature::Flows10, scaled(host.fast(Count::Flows)));
    set(Feature::Flows60, scaled(host.slow(Count::Flows)));
    set(Feature::Failed10, scaled(host.fast(Count::Failed)));
    set(Feature::Failed60, scaled(host.slow(Count::Failed)));
    set(Feature::Ports60, scaled(host.slow(Count::Ports)));
    set(Feature::Hosts60, scaled(host.slow(Count::Hosts)));
    set(Feature::Refused10, scaled(host.fast(Count::Refused)));
    set(Feature::Refused60, scaled(host.slow(Count::Refused)));
    set(Feature::Accepted60, scaled(host.slow(Count::Accepted)));
    set(Feature::Publishes10, scaled(host.fast(Count::Publishes)));
    set(Feature::Bytes10, log_scaled(host.fast(Count::Bytes), BYTES_UNIT, MAX_BYTES));
    set(Feature::Clients60, scaled(host.slow(Count::Clients)));
    set(Feature::Users60, scaled(host.slow(Count::Users)));
    set(Feature::Credentials60, scaled(host.slow(Count::Credentials)));
    set(Feature::Violations60, scaled(host.slow(Count::Violations)));
    set(Feature::Held, scaled(host.idle as f32));
}
