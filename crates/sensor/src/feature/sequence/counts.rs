//! What a packet adds to the counts of its host and its responder, and what a row has of them.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use super::columns::{BYTES_UNIT, MOST_BYTES, MOST_COUNT, Place, WIDTH, log_scaled};
use super::ends::Responders;
use super::live::{Happened, LiveFlow, scaled_secs};
use super::service::Service;
use crate::flow::initiator::{Behaviour, Count};

/// What a packet tells of its responder.
pub(super) fn tell(
    responders: &mut Responders,
    happened: &Happened,
    live: &mut LiveFlow,
    dst: (IpAddr, u16),
    now_nanos: i64,
) {
    if let Some(service) = happened.recognised {
        responders.speaks(dst, service);
    }
    // Of an MQTT login it can be read what was tried; a device with an outdated password is no part of an attack.
    if happened.refused > 0 && live.service() == Service::Ssh {
        live.end_refused = responders.refuses(dst, now_nanos);
    }
    if happened.unanswered {
        live.peer_failed = responders.is_tried(dst.0, now_nanos);
    }
    if let Some(secs) = happened.answered_after_secs {
        live.peer_failed = responders.answers(dst.0, now_nanos, secs);
    }
}

/// Counts what a packet did among what its host did of late.
pub(super) fn count(
    host: &mut Behaviour,
    happened: &Happened,
    live: &mut LiveFlow,
    dst: (IpAddr, u16),
    hash: &FixedState,
) {
    if happened.begins {
        host.add(Count::Flows, 1.0);
        let port = hash.hash_one((dst.1, live.protocol));
        live.new_end =
            host.observe_responder(port, hash.hash_one(dst.0), hash.hash_one((dst, live.protocol)));
    }
    if happened.unanswered {
        host.add(Count::Failed, 1.0);
    }
    if let Some(secs) = happened.answered_after_secs {
        host.undo(Count::Failed, secs);
    }
    if happened.failed {
        host.add(Count::Failed, 1.0);
    }
    let said = &happened.said;
    if happened.overdue {
        host.add(Count::Overdue, 1.0);
    }
    host.add(Count::Refused, happened.refused as f32);
    host.add(Count::Accepted, happened.accepted as f32);
    host.add(Count::Violations, said.faulty as f32);
    live.new_client |= host.observe_login(said.client, said.user, said.credential);
    if happened.from_actor {
        host.add(Count::Publishes, said.publishes as f32);
        host.add(Count::Bytes, happened.len as f32);
    }
    for (change, number) in [(happened.holds, &mut host.held), (happened.idles, &mut host.idle)] {
        match change {
            Some(true) => *number = number.saturating_add(1),
            Some(false) => *number = number.saturating_sub(1),
            None => {}
        }
    }
}

/// A count of 1 is 0.1, of 10 is 0.35, of 1,000 is 1.
pub(super) fn write_host(host: &Behaviour, secs: f32, features: &mut [f32; WIDTH]) {
    let mut set = |place: Place, value: f32| features[place as usize] = value;
    let scaled = |count: f32| log_scaled(count, 1.0, MOST_COUNT);
    set(Place::HostGap, scaled_secs(secs));
    set(Place::Flows10, scaled(host.fast(Count::Flows)));
    set(Place::Flows60, scaled(host.slow(Count::Flows)));
    set(Place::Failed10, scaled(host.fast(Count::Failed)));
    set(Place::Failed60, scaled(host.slow(Count::Failed)));
    set(Place::Ports60, scaled(host.slow(Count::Ports)));
    set(Place::Hosts60, scaled(host.slow(Count::Hosts)));
    set(Place::Refused10, scaled(host.fast(Count::Refused)));
    set(Place::Refused60, scaled(host.slow(Count::Refused)));
    set(Place::Accepted60, scaled(host.slow(Count::Accepted)));
    set(Place::Publishes10, scaled(host.fast(Count::Publishes)));
    set(Place::Bytes10, log_scaled(host.fast(Count::Bytes), BYTES_UNIT, MOST_BYTES));
    set(Place::Clients60, scaled(host.slow(Count::Clients)));
    set(Place::Users60, scaled(host.slow(Count::Users)));
    set(Place::Credentials60, scaled(host.slow(Count::Credentials)));
    set(Place::Violations60, scaled(host.slow(Count::Violations)));
    set(Place::Held, scaled(host.idle as f32));
}
