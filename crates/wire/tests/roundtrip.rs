//! Round trips from builders through the decoder: every control packet, version and property.
#![allow(clippy::unwrap_used)]

mod support;

use citronella_wire::mqtt::{
    Decoded, Limits, Message, PROPERTIES, Step, Value, ValueKind, Version, decode, fixed_header,
};
use proptest::prelude::*;
use support::build::{ack, codes, connack, connect, field, packet, publish, subscribe, unsubscribe, varint};

fn read(bytes: &[u8], version: Version) -> Decoded<Message<'_>> {
    let Step::Done(header) = fixed_header(bytes) else { panic!("a whole header: {bytes:02x?}") };
    assert_eq!(header.total_len(), bytes.len() as u64);
    decode(&header, &bytes[header.header_len..], version, &Limits::default())
}

/// A property with a value that is valid in every message.
fn property(id: u8, kind: ValueKind, number: u32, text: &str) -> Vec<u8> {
    let value = match kind {
        ValueKind::Byte => vec![(number % 2) as u8],
        ValueKind::TwoByte => ((number % 0xffff) as u16 + 1).to_be_bytes().to_vec(),
        ValueKind::FourByte => (number | 1).to_be_bytes().to_vec(),
        ValueKind::Variable => varint((number % 268_435_455) as usize + 1),
        ValueKind::Binary | ValueKind::Text => field(text.as_bytes()),
        ValueKind::Pair => [field(text.as_bytes()), field(b"value")].concat(),
    };
    [vec![id], value].concat()
}

/// The identifiers that the standard allows (MQTT 5.0, table 2-4), independent of the decoder's table.
fn allowed(kind: u8) -> &'static [u8] {
    match kind {
        0 => &[1, 2, 3, 8, 9, 24, 38],
        1 => &[17, 21, 22, 23, 25, 33, 34, 38, 39],
        2 => &[17, 18, 19, 21, 22, 26, 28, 31, 33, 34, 36, 37, 38, 39, 40, 41, 42],
        3 => &[1, 2, 3, 8, 9, 11, 35, 38],
        4..=7 | 9 | 11 => &[31, 38],
        8 => &[11, 38],
        10 => &[38],
        14 => &[17, 28, 31, 38],
        15 => &[21, 22, 31, 38],
        _ => &[],
    }
}

/// A message of a type that has properties, with the given ones.
fn carrier(kind: u8, list: &[u8]) -> Vec<u8> {
    match kind {
        0 => {
            let will = [varint(list.len()), list.to_vec(), field(b"will/topic"), field(b"gone")].concat();
            let head = [field(b"MQTT"), vec![5, 0x06, 0, 60, 0], field(b"id")].concat();
            packet(0x10, &[head, will].concat())
        }
        1 => connect(5, 0x02, 60, list, &[b"id"]),
        2 => connack(true, false, 0, list),
        3 => publish(2, b"a/b", Some(7), Some(list), b"payload"),
        4..=7 => ack(kind, 7, &[vec![0], varint(list.len()), list.to_vec()].concat()),
        8 => subscribe(7, Some(list), &[(b"a/+", 1)]),
        10 => unsubscribe(7, Some(list), &[b"a/+"]),
        9 | 11 => codes(kind, 7, Some(list), &[0]),
        _ => packet(kind << 4, &[vec![0], varint(list.len()), list.to_vec()].concat()),
    }
}

fn properties_of<'a>(kind: u8, message: &Message<'a>) -> citronella_wire::mqtt::Properties<'a> {
    match message {
        Message::Connect(connect) if kind == 0 => connect.will.unwrap().properties,
        Message::Connect(connect) => connect.properties,
        Message::Connack(connack) => connack.properties,
        Message::Publish(publish) => publish.properties,
        Message::Puback(ack) | Message::Pubrec(ack) | Message::Pubrel(ack) | Message::Pubcomp(ack) => {
            ack.properties
        }
        Message::Subscribe(subscribe) => subscribe.properties,
        Message::Suback(suback) => suback.properties,
        Message::Unsubscribe(unsubscribe) => unsubscribe.properties,
        Message::Unsuback(unsuback) => unsuback.properties,
        Message::Disconnect(disconnect) => disconnect.properties,
        Message::Auth(auth) => auth.properties,
        Message::Pingreq | Message::Pingresp | Message::Reserved(_) => panic!("has no properties"),
    }
}

#[test]
fn every_property_is_allowed_exactly_where_the_standard_allows_it() {
    for kind in (0..=11).chain(14..=15) {
        for rule in PROPERTIES {
            let list = match rule.id {
                // Authentication data require a method.
                22 => [property(21, ValueKind::Text, 0, "m"), property(22, rule.kind, 1, "d")].concat(),
                _ => property(rule.id, rule.kind, 1, "text"),
            };
            let bytes = carrier(kind, &list);
            let decoded = read(&bytes, Version::V5);
            let names: Vec<_> = decoded.violations.iter().map(|found| found.id()).collect();
            if allowed(kind).contains(&rule.id) {
                assert!(names.is_empty(), "{} in type {kind}: {names:?}", rule.name);
            } else {
                assert_eq!(names, ["property_not_allowed"], "{} in type {kind}", rule.name);
            }
            let read: Vec<_> = properties_of(kind, &decoded.message).iter().collect();
            assert_eq!(read.last().unwrap().name(), rule.name);
        }
    }
}

#[test]
fn a_repeated_property_is_a_violation_unless_allowed() {
    for kind in (0..=11).chain(14..=15) {
        for rule in PROPERTIES.iter().filter(|rule| allowed(kind).contains(&rule.id)) {
            let list = property(rule.id, rule.kind, 1, "text").repeat(2);
            let repeated = read(&carrier(kind, &list), Version::V5)
                .violations
                .contains(citronella_wire::mqtt::Violation::PropertyRepeated);
            let free = rule.id == 38 || (rule.id == 11 && kind == 3);
            assert_eq!(repeated, !free, "{} in type {kind}", rule.name);
        }
    }
}

proptest! {
    #[test]
    fn connect_round_trip(
        level in 3..6u8, clean in any::<bool>(), keep_alive in any::<u16>(), id in "[ -~]{1,23}",
        will in prop::option::of(("[a-z/]{1,9}", prop::collection::vec(any::<u8>(), 0..9), 0..3u8, any::<bool>())),
        user in prop::option::of("\\PC{0,9}"), password in prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
    ) {
        let password = password.filter(|_| user.is_some() || level == 5);
        let mut flags = u8::from(clean) << 1;
        let mut rest: Vec<Vec<u8>> = vec![field(id.as_bytes())];
        if let Some((topic, payload, qos, retain)) = &will {
            flags |= 4 | qos << 3 | u8::from(*retain) << 5;
            if level == 5 { rest.push(vec![0]) }
            rest.extend([field(topic.as_bytes()), field(payload)]);
        }
        if let Some(user) = &user { flags |= 0x80; rest.push(field(user.as_bytes())) }
        if let Some(password) = &password { flags |= 0x40; rest.push(field(password)) }
        let name: &[u8] = if level == 3 { b"MQIsdp" } else { b"MQTT" };
        let mut body = [field(name), vec![level, flags], keep_alive.to_be_bytes().to_vec()].concat();
        if level == 5 { body.push(0) }
        let bytes = packet(0x10, &[body, rest.concat()].concat());
        let Decoded { message: Message::Connect(read), violations } = read(&bytes, Version::V311) else { panic!() };
        prop_assert_eq!(read.protocol_name, name);
        prop_assert_eq!((read.level, read.keep_alive, read.client_id), (level, keep_alive, id.as_bytes()));
        prop_assert_eq!(read.username, user.as_deref().map(str::as_bytes));
        prop_assert_eq!(read.password.map(|secret| secret.reveal()), password.as_deref());
        prop_assert_eq!(read.flags.clean_start(), clean);
        if let Some((topic, payload, qos, retain)) = &will {
            let found = read.will.unwrap();
            prop_assert_eq!((found.topic, found.payload), (topic.as_bytes(), &payload[..]));
            prop_assert_eq!((read.flags.will_qos(), read.flags.will_retain()), (*qos, *retain));
        }
        // A user name may have discouraged characters.
        if user.is_none() { prop_assert!(violations.is_empty(), "{:?}", violations) }
        let shown = format!("{read:?}");
        prop_assert!(shown.contains("Password(") == password.is_some());
    }

    #[test]
    fn publish_round_trip(
        v5 in any::<bool>(), flags in prop::sample::select(vec![0u8, 1, 2, 3, 4, 5, 10, 12, 13]),
        topic in "[a-zA-Z0-9/ ]{1,60}", id in 1..=u16::MAX, payload in prop::collection::vec(any::<u8>(), 0..400),
        number in any::<u32>(), text in "[a-z]{0,20}",
    ) {
        let ids = [1u8, 2, 3, 8, 9, 11, 11, 35, 38, 38];
        let kind_of = |id| PROPERTIES.iter().find(|rule| rule.id == id).unwrap().kind;
        let list: Vec<u8> = ids.iter().flat_map(|id| property(*id, kind_of(*id), number, &text)).collect();
        let id = (flags & 6 != 0).then_some(id);
        let bytes = publish(flags, topic.as_bytes(), id, v5.then_some(&list[..]), &payload);
        let version = if v5 { Version::V5 } else { Version::V311 };
        let Decoded { message: Message::Publish(read), violations } = read(&bytes, version) else { panic!() };
        prop_assert!(violations.is_empty(), "{:?}", violations);
        prop_assert_eq!((read.topic, read.packet_id, read.payload), (topic.as_bytes(), id, &payload[..]));
        let found: Vec<u8> = read.properties.iter().map(|property| property.id).collect();
        prop_assert_eq!(&found[..], if v5 { &ids[..] } else { &[] });
        if v5 {
            prop_assert_eq!(read.topic_alias(), Some((number % 0xffff) as u16 + 1));
            prop_assert_eq!(read.properties.text(3), Some(text.as_bytes()));
            let last = read.properties.iter().last().unwrap();
            prop_assert_eq!(last.value, Value::Pair(text.as_bytes(), b"value"));
        }
    }

    #[test]
    fn subscribe_and_suback_round_trip(
        v5 in any::<bool>(), id in 1..=u16::MAX,
        wishes in prop::collection::vec(("[a-z/]{1,12}", 0..3u8), 1..8),
    ) {
        let version = if v5 { Version::V5 } else { Version::V311 };
        let list = v5.then_some(&[][..]);
        let borrowed: Vec<(&[u8], u8)> = wishes.iter().map(|(filter, qos)| (filter.as_bytes(), *qos)).collect();
        let bytes = subscribe(id, list, &borrowed);
        let Decoded { message: Message::Subscribe(found), violations } = read(&bytes, version) else { panic!() };
        prop_assert!(violations.is_empty());
        let again: Vec<_> = found.subscriptions.iter().map(|one| (one.filter, one.options.0)).collect();
        prop_assert_eq!((found.packet_id, again), (id, borrowed.clone()));

        let filters: Vec<&[u8]> = borrowed.iter().map(|(filter, _)| *filter).collect();
        let bytes = unsubscribe(id, list, &filters);
        let Decoded { message: Message::Unsubscribe(found), violations } = read(&bytes, version) else { panic!() };
        prop_assert!(violations.is_empty());
        prop_assert_eq!(found.filters.iter().collect::<Vec<_>>(), filters);

        let granted: Vec<u8> = wishes.iter().map(|(_, qos)| *qos).collect();
        let bytes = codes(9, id, list, &granted);
        let Decoded { message: Message::Suback(found), violations } = read(&bytes, version) else { panic!() };
        prop_assert!(violations.is_empty());
        prop_assert_eq!((found.packet_id, found.codes), (id, &granted[..]));
    }
}
