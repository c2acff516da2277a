//! Open exchanges of a connection: PUBLISH of QoS 1 or 2, SUBSCRIBE, UNSUBSCRIBE, each until its last response.

use std::collections::BTreeMap;

use super::Exchange;
use crate::mqtt::{Direction, Limits, Violation, Violations};

/// The next message of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    /// With the number of requested topic filters.
    Suback(u32),
    Unsuback(u32),
}

#[derive(Clone, Copy, Debug)]
struct Open {
    number: u64,
    awaits: Awaits,
    messages: u32,
}

/// The two sides number their exchanges independently (MQTT 5.0, 2.2.1).
type Key = (Direction, u16);

#[derive(Clone, Debug, Default)]
pub(super) struct Exchanges {
    open: BTreeMap<Key, Open>,
    last_number: u64,
    evicted: u64,
}

impl Exchanges {
    pub(super) fn open_count(&self) -> usize {
        self.open.len()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// An exchange of one message, or one that is tracked elsewhere.
    pub(super) fn single(&mut self, closed: bool) -> Exchange {
        self.last_number += 1;
        Exchange { number: self.last_number, opened: true, closed }
    }

    /// Takes a message that requires a response, sent in direction `by`.
    pub(super) fn begin(
        &mut self,
        by: Direction,
        id: u16,
        awaits: Awaits,
        dup: bool,
        limits: &Limits,
        found: &mut Violations,
    ) -> Exchange {
        if let Some(open) = self.open.get_mut(&(by, id)) {
            open.messages += 1;
            let number = open.number;
            let too_many = open.messages > limits.exchange_messages;
            found.insert_if(too_many, Violation::TooManyMessages);
            // MQTT-4.4.0-1: a retransmission after a reconnect has DUP; anything else reuses an identifier in use.
            found.insert_if(!dup || open.awaits != awaits, Violation::PacketIdInUse);
            return Exchange { number, opened: false, closed: false };
        }
        if self.open.len() >= limits.exchanges {
            found.insert(Violation::TooManyTransactions);
            self.evict_oldest();
        }
        let exchange = self.single(false);
        self.open.insert((by, id), Open { number: exchange.number, awaits, messages: 1 });
        exchange
    }

    fn evict_oldest(&mut self) {
        let oldest = self.open.iter().min_by_key(|(_, open)| open.number).map(|(key, _)| *key);
        if let Some(key) = oldest {
            self.open.remove(&key);
            self.evicted += 1;
        }
    }

    /// Takes a message of the exchange that was begun in direction `by`; `None` if there is no such exchange.
    pub(super) fn step(
        &mut self,
        by: Direction,
        id: u16,
        limits: &Limits,
        found: &mut Violations,
        next: impl FnOnce(Awaits, &mut Violations) -> Option<Awaits>,
    ) -> Option<Exchange> {
        let open = self.open.get_mut(&(by, id))?;
        open.messages += 1;
        found.insert_if(open.messages > limits.exchange_messages, Violation::TooManyMessages);
        let number = open.number;
        let closed = match next(open.awaits, found) {
            Some(awaits) => {
                open.awaits = awaits;
                false
            }
            None => {
                self.open.remove(&(by, id));
                true
            }
        };
        Some(Exchange { number, opened: false, closed })
    }
}
