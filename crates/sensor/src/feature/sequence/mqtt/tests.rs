use citronella_wire::mqtt::kind;

use super::*;

const CONNECT: &[u8] = b"\x10\x10\x00\x04MQTT\x04\x82\x00\x3c\x00\x01a\x00\x01u";
const PUBLISH: &[u8] = b"\x32\x0a\x00\x03a/b\x00\x01123";

fn read(connection: &mut Connection, way: usize, seq: u32, bytes: &[u8]) -> SegmentMessages {
    let hash = foldhash::fast::FixedState::with_seed(1);
    let segment = Segment { seq, bytes, wire_len: bytes.len() };
    connection.segment(way, segment, &Limits::default(), &hash)
}

#[test]
fn a_login_and_its_first_publish() {
    let mut connection = Connection::default();
    connection.start(0, 100);
    connection.start(1, 900);
    let found = read(&mut connection, 0, 100, CONNECT);
    assert!(found.has(kind::CONNECT) && found.faulty == 0 && found.user.is_some());
    assert_eq!((connection.keep_alive_secs, connection.has_user), (60, true));
    assert_eq!(read(&mut connection, 1, 900, b"\x20\x02\x00\x00").connack, Some(0));
    assert!(connection.handshake.is_accepted() && !connection.is_used);
    let found = read(&mut connection, 0, 100 + CONNECT.len() as u32, &[PUBLISH, PUBLISH].concat());
    assert_eq!((found.messages, found.publishes, found.qos, found.faulty), (2, 2, 1, 0));
    assert!(connection.is_used);
    // Retransmitted: not read again.
    assert_eq!(read(&mut connection, 0, 100, CONNECT), SegmentMessages::default());
}

#[test]
fn violations_are_counted_as_faulty() {
    for bytes in [
        &b"\x32\x0a\x00\x03a/b\x00\x01123"[..],
        b"\x10\x02\x00\x09",
        b"\xf3\xff\xff\xff\xff\x01",
        b"\x36\x03\x00\x01a",
    ] {
        let mut connection = Connection::default();
        connection.start(0, 0);
        connection.start(1, 0);
        assert_eq!(read(&mut connection, 0, 0, bytes).faulty, 1, "{bytes:?}");
    }
}

#[test]
fn a_handshake_before_the_recording_is_no_fault() {
    let mut connection = Connection::default();
    for n in 0..5 {
        let at = 77 + n * PUBLISH.len() as u32;
        assert_eq!(read(&mut connection, 0, at, PUBLISH).faulty, 0);
        assert_eq!(read(&mut connection, 1, 900 + 4 * n, b"\x40\x02\x00\x01").faulty, 0);
    }
}

#[test]
fn a_message_over_segments_counts_once_and_its_body_is_skipped() {
    let message = [&b"\x30\xe8\x07\x00\x03a/b"[..], &[0x10; 995]].concat();
    for cut in [1, 2, 3, 10, 500] {
        let mut connection = Connection::default();
        let hello = CONNECT.len() as u32;
        connection.start(0, 0);
        read(&mut connection, 0, 0, CONNECT);
        let first = read(&mut connection, 0, hello, &message[..cut]);
        let second = read(&mut connection, 0, hello + cut as u32, &message[cut..]);
        assert_eq!((first.publishes + second.publishes, first.faulty + second.faulty), (1, 0), "{cut}");
        let next = hello + message.len() as u32;
        assert_eq!(read(&mut connection, 0, next, PUBLISH).messages, 1);
    }
}

#[test]
fn a_loss_within_a_body_keeps_sync_and_after_any_other_the_reader_resynchronises() {
    let mut connection = Connection::default();
    connection.start(0, 0);
    read(&mut connection, 0, 0, CONNECT);
    let at = CONNECT.len() as u32;
    read(&mut connection, 0, at, b"\x30\x64\x00\x03a/b");
    assert_eq!(read(&mut connection, 0, at + 50, &[7; 52]).messages, 0);
    assert_eq!(read(&mut connection, 0, at + 102, PUBLISH).publishes, 1);
    assert_eq!(read(&mut connection, 0, at + 5_000, &[1, 2, 3]).messages, 0);
    assert_eq!(read(&mut connection, 0, at + 5_003, PUBLISH).publishes, 1);
}

#[test]
fn mid_stream_pickup_has_no_faults_of_order() {
    let mut connection = Connection::default();
    let found = read(&mut connection, 0, 77, PUBLISH);
    assert_eq!((found.publishes, found.faulty), (1, 0));
    // Version 5 without its CONNECT.
    let found = read(&mut connection, 0, 77 + PUBLISH.len() as u32, b"\x82\x08\x00\x01\x00\x00\x02a#\x01");
    assert_eq!(found.messages, 1);
}
