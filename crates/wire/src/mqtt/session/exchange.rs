//! Open exchanges of a connection: a PUBLISH of QoS 1 or 2, a SUBSCRIBE, an UNSUBSCRIBE, each until its last answer.

use std::collections::BTreeMap;

use super::Exchange;
use crate::mqtt::{Direction, Limits, Violation, Violations};

/// What an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    /// With the number of topic filters asked for.
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

    /// An exchange of one message, or one that is followed elsewhere.
    pub(super) fn single(&mut self, closed: bool) -> Exchange {
        self.last_number += 1;
        Exchange { number: self.last_number, opened: true, closed }
    }

    /// A message that asks for an answer, from the side `by`.
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
            // MQTT-4.4.0-1: sent again after a reconnect, with DUP; anything else reuses an identifier in use.
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

    /// A message within the exchange that the side `by` began. `None`: there is no such exchange.
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
