//! Framer: message boundaries under any chunking, losses, and both policies of resynchronisation.
#![allow(clippy::unwrap_used)]

mod support;

use citronella_wire::mqtt::{Framer, Part, Resync, SyncState};
use proptest::prelude::*;
use support::build::{ack, packet, publish};

/// Types and bodies of the messages in some chunks.
fn messages<'a>(framer: &mut Framer, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<(u8, Vec<u8>)> {
    let mut found: Vec<(u8, Vec<u8>)> = Vec::new();
    for mut rest in chunks {
        while !rest.is_empty() && framer.state() == SyncState::InSync {
            rest = match framer.next(rest) {
                Part::Header => &[],
                Part::Message { header, body, rest, .. } => {
                    found.push((header.kind, body.to_vec()));
                    rest
                }
                Part::Body { bytes, rest } => {
                    found.last_mut().unwrap().1.extend(bytes);
                    rest
                }
                Part::BadLength { first, rest, .. } => {
                    found.push((first >> 4, Vec::new()));
                    rest
                }
            };
        }
    }
    found
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_boundaries(
        bodies in prop::collection::vec((1..16u8, prop::collection::vec(any::<u8>(), 0..300)), 0..8),
        size in 1..40usize,
    ) {
        let bytes: Vec<u8> = bodies.iter().flat_map(|(kind, body)| packet(kind << 4, body)).collect();
        let mut framer = Framer::new();
        prop_assert_eq!(messages(&mut framer, bytes.chunks(size)), bodies);
        prop_assert!(framer.is_at_boundary());
    }
}

#[test]
fn a_loss_within_a_body_keeps_sync_and_any_other_loses_it() {
    let long = publish(0, b"a/b", None, None, &[b'x'; 100]);
    for (lost, state) in [(50, SyncState::InSync), (97, SyncState::InSync), (98, SyncState::Lost)] {
        let mut framer = Framer::new();
        messages(&mut framer, [&long[..10]].into_iter());
        assert_eq!(framer.remaining(), 97);
        framer.lose(lost);
        assert_eq!(framer.state(), state, "{lost}");
    }
    let mut framer = Framer::new();
    framer.lose(1);
    assert_eq!(framer.state(), SyncState::Lost);
}

#[test]
fn resynchronisation_at_the_start_or_anywhere() {
    let message = [publish(2, b"a/c", Some(1), None, b"1"), ack(6, 1, &[])].concat();
    let shifted = [&[b'x'; 30][..], &message].concat();
    for (bytes, policy, at) in [
        (&message, Resync::AtChunkStart, Some(0)),
        (&shifted, Resync::AtChunkStart, None),
        (&message, Resync::Anywhere, Some(0)),
        (&shifted, Resync::Anywhere, Some(30)),
    ] {
        let mut framer = Framer::mid_stream();
        assert_eq!(framer.resync(bytes, policy), at);
        assert_eq!(framer.state() == SyncState::InSync, at.is_some());
    }
}

#[test]
fn an_invalid_length_breaks_the_framer() {
    for size in [1, 3, 9] {
        let mut framer = Framer::new();
        let found = messages(&mut framer, b"\xc0\0\x30\xff\xff\xff\xff\x01\xc0\0".chunks(size));
        assert_eq!((found.len(), framer.state()), (2, SyncState::Broken), "{size}");
    }
}
