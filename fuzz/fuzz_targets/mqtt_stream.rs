//! Both directions of a connection in chunks, with losses, through stream, decoder and session.
//!
//! Each chunk begins with a control byte: direction (1), a loss before it (2), and its length (the upper six bits).
//! All bytes are also read as WebSocket and as TLS.
#![no_main]

use citronella_wire::mqtt::{Direction, Limits, Message, Session, Stream, looks_like_mqtt};
use citronella_wire::tls::client_hello;
use citronella_wire::websocket::WebSocket;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    message_bytes: 256,
    topic_bytes: 64,
    text_bytes: 16,
    exchanges: 8,
    exchange_messages: 4,
    subscriptions: 4,
    topics: 4,
    aliases: 4,
};

fuzz_target!(|bytes: &[u8]| {
    let mut session = Session::new(LIMITS);
    let mut streams = [Stream::new(LIMITS), Stream::new(LIMITS)];
    let mut rest = bytes;
    let mut now_micros = 0;
    while let Some((control, after)) = rest.split_first() {
        let len = (usize::from(control >> 2) + 1).min(after.len());
        let (chunk, next) = after.split_at(len);
        rest = next;
        now_micros += 1_000_000;
        let direction = if control & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        let stream = &mut streams[direction as usize];
        if control & 2 != 0 {
            session.gap();
        }
        let mut sink = |record: citronella_wire::mqtt::Record<'_>| {
            assert!(record.body.len() <= 256);
            let observed = session.observe(direction, &record, now_micros);
            touch(&observed.message);
        };
        if control & 2 != 0 {
            stream.gap(u64::from(*control), &mut sink);
        }
        stream.push(chunk, &mut sink);
        assert!(stream.memory_bytes() <= 8_192);
        assert!(session.open_exchanges() <= 8 && session.subscriptions().len() <= 4);
    }
    let _ = (looks_like_mqtt(bytes, false), looks_like_mqtt(bytes, true), client_hello(bytes));
    let mut socket = WebSocket::new();
    let mut given = 0;
    bytes.chunks(7).for_each(|chunk| socket.push(chunk, |piece| given += piece.len()));
    assert!(given <= bytes.len());
});

/// Iterates over every borrowed list.
fn touch(message: &Message<'_>) {
    let count = match message {
        Message::Connect(connect) => connect.properties.iter().count(),
        Message::Publish(publish) => publish.properties.iter().count(),
        Message::Subscribe(subscribe) => subscribe.subscriptions.iter().count(),
        Message::Unsubscribe(unsubscribe) => unsubscribe.filters.iter().count(),
        Message::Disconnect(disconnect) => disconnect.properties.iter().count(),
        _ => 0,
    };
    assert!(count <= 256);
}
