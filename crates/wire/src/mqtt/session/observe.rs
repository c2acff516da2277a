//! State transitions of a session, message by message.

use super::exchange::Awaits;
use super::{Closed, Exchange, Observed, Session, SessionSubscription, SessionWill, alias_maximum};
use crate::cursor::first;
use crate::mqtt::{
    Ack, Connack, Connect, Direction, FixedHeader, Message, OrderFault, Publish, Record, Suback, Subscribe,
    Unsuback, Unsubscribe, Version, Violation, Violations, kind,
};

const SERVER_KEEP_ALIVE: u8 = 19;
const ASSIGNED_CLIENT_IDENTIFIER: u8 = 18;

impl Session {
    /// Takes the next record; packet time in microseconds.
    pub fn observe<'a>(&mut self, direction: Direction, record: &Record<'a>, at_micros: i64) -> Observed<'a> {
        self.guess_version(record);
        let decoded = record.decode(self.version().0, &self.limits);
        let message = decoded.message;
        let mut found = decoded.violations;
        if let Message::Connect(connect) = &message
            && !self.handshake.has_connect()
            && connect.header_read
        {
            self.version = Some(connect.version().or(Version::from_level(connect.level)).unwrap_or_default());
        }
        let kind = record.header.kind;
        self.count_up(direction, kind);
        let (version, version_assumed) = self.version();
        let wrong = Direction::of(kind, version).is_some_and(|right| right != direction);
        found.insert_if(wrong, Violation::WrongDirection);
        let after = self.disconnected.get(direction as usize).copied().unwrap_or(false);
        found.insert_if(after, Violation::AfterDisconnect);
        if direction == Direction::ToServer {
            found.insert_if(self.keep_alive_exceeded(at_micros), Violation::KeepAliveExceeded);
            self.client_seen_micros = Some(at_micros);
        }
        self.check_order(direction, kind, &mut found);
        let exchange = self.take(direction, &record.header, &message, &mut found);
        Observed {
            header: record.header,
            message,
            state: record.state,
            violations: found,
            version,
            version_assumed,
            exchange,
            complete_view: self.complete_view,
        }
    }

    /// Recognises version 5 by the form of some messages, without a CONNECT.
    fn guess_version(&mut self, record: &Record<'_>) {
        if self.version.is_some() || self.guess == Version::V5 {
            return;
        }
        let len = record.header.remaining_length;
        let is_v5 = match record.header.kind {
            kind::AUTH => true,
            kind::DISCONNECT => len > 0,
            kind::CONNACK | kind::PUBACK | kind::PUBREC | kind::PUBREL | kind::PUBCOMP | kind::UNSUBACK => {
                len > 2
            }
            kind::SUBSCRIBE | kind::UNSUBSCRIBE | kind::SUBACK => {
                !record.decode(Version::V311, &self.limits).violations.is_empty()
                    && record.decode(Version::V5, &self.limits).violations.is_empty()
            }
            _ => false,
        };
        if is_v5 {
            self.guess = Version::V5;
        }
    }

    fn count_up(&mut self, direction: Direction, kind: u8) {
        let row = self.counts.get_mut(direction as usize);
        if let Some(count) = row.and_then(|row| row.get_mut(usize::from(kind))) {
            *count = count.saturating_add(1);
        }
    }

    /// Applies the order rules; an unexpected CONNACK is a matter of exchanges.
    fn check_order(&self, direction: Direction, kind: u8, found: &mut Violations) {
        let Some(fault) = self.handshake.check(direction, kind) else { return };
        match fault {
            _ if matches!(kind, kind::CONNACK | kind::RESERVED) => {}
            // The CONNACK shows that there was a CONNECT.
            OrderFault::BeforeConnect if self.handshake.is_accepted() => {}
            OrderFault::SecondConnect | OrderFault::ClientBeforeConnack => found.insert(fault.violation()),
            // Picked up in mid-stream, the handshake probably preceded the recording: reported once a direction.
            _ if !self.complete_view && self.messages(direction) > 1 => {}
            _ => found.insert(fault.violation()),
        }
    }

    fn take(
        &mut self,
        direction: Direction,
        header: &FixedHeader,
        message: &Message<'_>,
        found: &mut Violations,
    ) -> Exchange {
        match message {
            Message::Connect(connect) => self.connect(connect),
            Message::Connack(connack) => self.connack(connack, found),
            Message::Publish(publish) => self.publish(direction, header, publish, found),
            Message::Puback(ack) => self.puback(direction, ack, found),
            Message::Pubrec(ack) => self.pubrec(direction, ack, found),
            Message::Pubrel(ack) => self.pubrel(direction, ack, found),
            Message::Pubcomp(ack) => self.pubcomp(direction, ack, found),
            Message::Subscribe(subscribe) => self.subscribe(direction, subscribe, found),
            Message::Suback(suback) => self.suback(direction, suback, found),
            Message::Unsubscribe(unsubscribe) => self.unsubscribe(direction, unsubscribe, found),
            Message::Unsuback(unsuback) => self.unsuback(direction, unsuback, found),
            Message::Disconnect(disconnect) => {
                if let Some(flag) = self.disconnected.get_mut(direction as usize) {
                    *flag = true;
                }
                let code = disconnect.reason_code;
                self.closed.get_or_insert(Closed::Disconnect { direction, code });
                self.exchanges.single(true)
            }
            Message::Auth(_) | Message::Pingreq | Message::Pingresp | Message::Reserved(_) => {
                self.exchanges.single(true)
            }
        }
    }

    /// A stored copy of a text, cut to its limit.
    fn copy(&self, text: &[u8]) -> Box<[u8]> {
        first(text, self.limits.text_bytes).into()
    }

    fn connect(&mut self, connect: &Connect<'_>) -> Exchange {
        let exchange = self.exchanges.single(false);
        if self.handshake.has_connect() {
            self.connecting.get_or_insert(exchange);
            return exchange;
        }
        self.handshake.connect();
        self.connecting = Some(exchange);
        self.client_id = self.copy(connect.client_id);
        self.username = connect.username.map(|name| self.copy(name));
        self.password_bytes = connect.password.map(|password| password.len());
        self.will = connect.will.map(|will| SessionWill {
            topic: self.copy(will.topic),
            payload_bytes: will.payload.len(),
            qos: connect.flags.will_qos(),
            retain: connect.flags.will_retain(),
        });
        self.clean_start = connect.flags.clean_start();
        self.is_bridge = connect.is_bridge();
        self.keep_alive_secs = connect.keep_alive;
        let [_, to_client] = &mut self.aliases;
        to_client.maximum = Some(alias_maximum(&connect.properties));
        exchange
    }

    fn connack(&mut self, connack: &Connack<'_>, found: &mut Violations) -> Exchange {
        let exchange = match self.connecting.take() {
            Some(exchange) => Exchange { opened: false, closed: true, ..exchange },
            None => {
                found.insert(Violation::MissingConnect);
                self.exchanges.single(true)
            }
        };
        self.handshake.connack(connack.code);
        self.session_present = connack.session_present;
        if connack.code != 0 {
            self.closed.get_or_insert(Closed::Refused(connack.code));
        }
        let [to_server, _] = &mut self.aliases;
        to_server.maximum = Some(alias_maximum(&connack.properties));
        if let Some(secs) = connack.properties.number(SERVER_KEEP_ALIVE) {
            self.keep_alive_secs = secs as u16;
        }
        if let Some(id) = connack.properties.text(ASSIGNED_CLIENT_IDENTIFIER) {
            self.client_id = self.copy(id);
        }
        exchange
    }

    fn publish(
        &mut self,
        by: Direction,
        header: &FixedHeader,
        publish: &Publish<'_>,
        found: &mut Violations,
    ) -> Exchange {
        self.note_topic(by, publish, found);
        let awaits = match header.qos() {
            1 => Awaits::Puback,
            2 => Awaits::Pubrec,
            _ => return self.exchanges.single(true),
        };
        match publish.packet_id {
            Some(id) => self.exchanges.begin(by, id, awaits, header.dup(), &self.limits, found),
            None => self.exchanges.single(true),
        }
    }

    fn note_topic(&mut self, by: Direction, publish: &Publish<'_>, found: &mut Violations) {
        let topic = first(publish.topic, self.limits.text_bytes);
        if !topic.is_empty() && !self.topics.contains(topic) {
            if self.topics.len() < self.limits.topics {
                self.topics.insert(topic.into());
            } else {
                self.dropped += 1;
            }
        }
        let Some(alias) = publish.topic_alias() else { return };
        let Some(aliases) = self.aliases.get_mut(by as usize) else { return };
        // MQTT-3.3.2-9 and -11.
        let over = aliases.maximum.is_some_and(|maximum| alias > maximum);
        let full = aliases.topics.len() >= self.limits.aliases;
        let known = aliases.topics.contains_key(&alias);
        found.insert_if(over || (topic.is_empty() && !known && !full), Violation::TopicAliasUnknown);
        if !topic.is_empty() {
            if known || !full {
                aliases.topics.insert(alias, topic.into());
            } else {
                self.dropped += 1;
            }
        }
    }

    /// A response without an exchange.
    fn orphan(&mut self, violation: Violation, found: &mut Violations) -> Exchange {
        found.insert(violation);
        self.exchanges.single(true)
    }

    fn puback(&mut self, direction: Direction, ack: &Ack<'_>, found: &mut Violations) -> Exchange {
        let by = direction.reverse();
        let step =
            self.exchanges.step(by, ack.packet_id, &self.limits, found, |awaits, found| match awaits {
                Awaits::Puback => None,
                Awaits::Suback(_) | Awaits::Unsuback(_) => {
                    found.insert(Violation::MissingPublish);
                    Some(awaits)
                }
                _ => {
                    found.insert(Violation::Qos2Broken);
                    Some(awaits)
                }
            });
        step.unwrap_or_else(|| self.orphan(Violation::MissingPublish, found))
    }

    fn pubrec(&mut self, direction: Direction, ack: &Ack<'_>, found: &mut Violations) -> Exchange {
        let by = direction.reverse();
        let refused = ack.reason_code.is_some_and(|code| code >= 0x80);
        let step =
            self.exchanges.step(by, ack.packet_id, &self.limits, found, |awaits, found| match awaits {
                // MQTT 5.0, 4.3.3: a reason code of 0x80 and above ends the exchange.
                Awaits::Pubrec if refused => None,
                Awaits::Pubrec => Some(Awaits::Pubrel),
                _ => {
                    found.insert(Violation::Qos2Broken);
                    Some(awaits)
                }
            });
        step.unwrap_or_else(|| self.orphan(Violation::MissingPublish, found))
    }

    fn pubrel(&mut self, by: Direction, ack: &Ack<'_>, found: &mut Violations) -> Exchange {
        let step = self.exchanges.step(by, ack.packet_id, &self.limits, found, |awaits, found| {
            found.insert_if(!matches!(awaits, Awaits::Pubrel | Awaits::Pubcomp), Violation::Qos2Broken);
            if matches!(awaits, Awaits::Pubrec | Awaits::Pubrel) {
                Some(Awaits::Pubcomp)
            } else {
                Some(awaits)
            }
        });
        match step {
            Some(exchange) => exchange,
            // A resumed session: the handshake began on an earlier connection (MQTT-4.4.0-1).
            None if self.session_present => {
                self.exchanges.begin(by, ack.packet_id, Awaits::Pubcomp, true, &self.limits, found)
            }
            None => self.orphan(Violation::MissingPublish, found),
        }
    }

    fn pubcomp(&mut self, direction: Direction, ack: &Ack<'_>, found: &mut Violations) -> Exchange {
        let by = direction.reverse();
        let step =
            self.exchanges.step(by, ack.packet_id, &self.limits, found, |awaits, found| match awaits {
                Awaits::Pubcomp => None,
                _ => {
                    found.insert(Violation::Qos2Broken);
                    Some(awaits)
                }
            });
        step.unwrap_or_else(|| self.orphan(Violation::MissingPublish, found))
    }

    fn subscribe(&mut self, by: Direction, subscribe: &Subscribe<'_>, found: &mut Violations) -> Exchange {
        let requested = subscribe.subscriptions.iter().count() as u32;
        let exchange = self.exchanges.begin(
            by,
            subscribe.packet_id,
            Awaits::Suback(requested),
            false,
            &self.limits,
            found,
        );
        for (position, subscription) in (0..).zip(subscribe.subscriptions.iter()) {
            let filter = self.copy(subscription.filter);
            let new = SessionSubscription {
                filter,
                options: subscription.options,
                granted: None,
                exchange: exchange.number,
                position,
            };
            // MQTT-3.8.4-3: a SUBSCRIBE to the same filter replaces the subscription.
            if let Some(old) = self.subscriptions.iter_mut().find(|old| old.filter == new.filter) {
                *old = new;
            } else if self.subscriptions.len() < self.limits.subscriptions {
                self.subscriptions.push(new);
            } else {
                self.dropped += 1;
            }
        }
        exchange
    }

    fn suback(&mut self, direction: Direction, suback: &Suback<'_>, found: &mut Violations) -> Exchange {
        let by = direction.reverse();
        let step =
            self.exchanges.step(by, suback.packet_id, &self.limits, found, |awaits, found| match awaits {
                Awaits::Suback(requested) => {
                    found.insert_if(requested as usize != suback.codes.len(), Violation::AnswerMismatch);
                    None
                }
                _ => {
                    found.insert(Violation::MissingSubscribe);
                    Some(awaits)
                }
            });
        let Some(exchange) = step else { return self.orphan(Violation::MissingSubscribe, found) };
        if exchange.closed {
            for subscription in self.subscriptions.iter_mut().filter(|one| one.exchange == exchange.number) {
                subscription.granted = suback.codes.get(subscription.position as usize).copied();
                let limit = subscription.options.qos();
                let is_over = subscription.granted.is_some_and(|code| code < 3 && code > limit);
                found.insert_if(is_over, Violation::BadGrant);
            }
        }
        exchange
    }

    fn unsubscribe(
        &mut self,
        by: Direction,
        unsubscribe: &Unsubscribe<'_>,
        found: &mut Violations,
    ) -> Exchange {
        let mut requested = 0;
        for filter in unsubscribe.filters.iter() {
            requested += 1;
            let filter = first(filter, self.limits.text_bytes);
            self.subscriptions.retain(|subscription| *subscription.filter != *filter);
        }
        self.exchanges.begin(
            by,
            unsubscribe.packet_id,
            Awaits::Unsuback(requested),
            false,
            &self.limits,
            found,
        )
    }

    fn unsuback(
        &mut self,
        direction: Direction,
        unsuback: &Unsuback<'_>,
        found: &mut Violations,
    ) -> Exchange {
        let by = direction.reverse();
        let v5 = self.version().0 == Version::V5;
        let step =
            self.exchanges.step(by, unsuback.packet_id, &self.limits, found, |awaits, found| match awaits {
                Awaits::Unsuback(requested) => {
                    let mismatch = v5 && requested as usize != unsuback.codes.len();
                    found.insert_if(mismatch, Violation::AnswerMismatch);
                    None
                }
                _ => {
                    found.insert(Violation::MissingUnsubscribe);
                    Some(awaits)
                }
            });
        step.unwrap_or_else(|| self.orphan(Violation::MissingUnsubscribe, found))
    }
}
