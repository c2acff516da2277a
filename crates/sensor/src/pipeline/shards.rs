//! Detection on several threads: this thread reads, each shard takes its packets from decode to verdict.
//!
//! A symmetric hash of a packet's flow chooses the shard, so that a conversation stays in order on one thread and an
//! attacker's conversations with one broker fall into all shards; fragments, which have no ports, go by their hosts.
//! Flows are a shard's own; what hosts did of late and who serves what is known to all together, so what the shards say
//! differs from one shard's by the order of those counts alone. Packets go over in parcels; every `PARCELS_EVERY` packets
//! all shards get what is ready, and a queue holds `QUEUE` parcels, so that no shard runs far ahead of another and memory
//! stays bounded. A full queue makes the reader wait: nothing is lost.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use citronella_nn::Error;
use citronella_wire::{LinkType, decode_frame};

use super::{Border, Next, Source};
use crate::capture::{CaptureError, Packet};
use crate::detect::{Config, Counters, Detector, Shard, Sink};
use crate::feature::sequence::Shared;
use crate::flow::{FlowKey, HashSeed};

/// Packets after which all shards get what is ready.
const PARCELS_EVERY: usize = 256;
/// Parcels that may wait for a shard.
const QUEUE: usize = 2;

/// Shards hear at most as often that nothing comes.
const QUIET_NANOS: u64 = 1_000_000;

/// A packet in a parcel.
struct Head {
    number: u64,
    time_nanos: i64,
    link: LinkType,
    wire_len: u32,
    /// Recorded bytes.
    len: u32,
}

/// Packets for one shard, their bytes one after another.
#[derive(Default)]
struct Parcel {
    heads: Vec<Head>,
    bytes: Vec<u8>,
}

impl Parcel {
    #[inline]
    fn add(&mut self, packet: &Packet<'_>) {
        let Packet { number, time_nanos, link, wire_len, bytes } = *packet;
        self.heads.push(Head { number, time_nanos, link, wire_len, len: bytes.len() as u32 });
        self.bytes.extend_from_slice(bytes);
    }
}

enum Letter {
    Packets(Parcel),
    Capture(Arc<str>),
    Quiet(i64),
    Anew(Shared),
}

/// A shard as the reader sees it.
struct Post {
    letters: SyncSender<Letter>,
    empty: Receiver<Parcel>,
    parcel: Parcel,
}

impl Post {
    /// Sends a letter after the packets before it. A shard that is gone has said why in its result.
    fn send(&mut self, letter: Letter) {
        self.send_packets();
        let _ = self.letters.send(letter);
    }

    fn send_packets(&mut self) {
        if !self.parcel.heads.is_empty() {
            let next = self.empty.try_recv().unwrap_or_default();
            let _ = self.letters.send(Letter::Packets(std::mem::replace(&mut self.parcel, next)));
        }
    }
}

/// [`super::run`] with a thread for each sink. `config` has the caps of all shards together. Gives back the sinks and
/// what their shards did, in order.
///
/// # Errors
/// As [`super::run`].
pub fn run_shards<S: Sink + Send>(
    source: &mut impl Source,
    detector: &Detector,
    config: Config,
    sinks: Vec<S>,
    trouble: impl FnMut(CaptureError),
) -> Result<Vec<(S, Counters)>, Error> {
    run_shards_with(source, detector, config, config.shared(), sinks, trouble)
}

/// [`run_shards`] whose shards know something before they begin.
///
/// # Errors
/// As [`super::run`].
pub fn run_shards_with<S: Sink + Send>(
    source: &mut impl Source,
    detector: &Detector,
    config: Config,
    shared: Shared,
    sinks: Vec<S>,
    mut trouble: impl FnMut(CaptureError),
) -> Result<Vec<(S, Counters)>, Error> {
    let shards = sinks.len().max(1);
    let mut own = config;
    own.sequence.flows.max_flows = config.sequence.flows.max_flows.div_ceil(shards);
    thread::scope(|scope| {
        let (mut posts, mut threads) = (Vec::new(), Vec::new());
        for sink in sinks {
            let (letters, inbox) = sync_channel(QUEUE);
            let (give_back, empty) = sync_channel(QUEUE + 2);
            let shard = Shard::with_shared(detector, own, shared.clone())?;
            threads.push(scope.spawn(move || work(shard, sink, &inbox, &give_back)));
            posts.push(Post { letters, empty, parcel: Parcel::default() });
        }
        distribute(source, &config, &mut posts, &mut trouble);
        // Without their senders the shards finish.
        drop(posts);
        let join = |thread: thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(done) => done,
            // A sink that panics while it is taken apart; the shard's own panics end in the shard.
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect()
    })
}

/// A shard's thread.
fn work<S: Sink>(
    mut shard: Shard,
    mut sink: S,
    inbox: &Receiver<Letter>,
    give_back: &SyncSender<Parcel>,
) -> Result<(S, Counters), Error> {
    while let Ok(letter) = inbox.recv() {
        match letter {
            Letter::Packets(mut parcel) => {
                let mut rest = parcel.bytes.as_slice();
                for head in &parcel.heads {
                    let Some((bytes, after)) = rest.split_at_checked(head.len as usize) else { break };
                    rest = after;
                    let Head { number, time_nanos, link, wire_len, .. } = *head;
                    shard.packet(&Packet { number, time_nanos, link, wire_len, bytes }, &mut sink)?;
                }
                parcel.heads.clear();
                parcel.bytes.clear();
                // Where there are enough, it is let go.
                let _ = give_back.try_send(parcel);
            }
            Letter::Capture(name) => {
                shard.flush(&mut sink)?;
                sink.capture(&name);
            }
            Letter::Quiet(now_nanos) => shard.tick(now_nanos, &mut sink)?,
            Letter::Anew(shared) => shard.begin_anew(shared, &mut sink)?,
        }
    }
    shard.finish(&mut sink)?;
    Ok((sink, shard.counters()))
}

/// Reads to the end and hands every packet to its shard.
fn distribute(
    source: &mut impl Source,
    config: &Config,
    posts: &mut [Post],
    trouble: &mut impl FnMut(CaptureError),
) {
    let (seed, mut border, mut ready) = (HashSeed::new(), Border::default(), 0);
    let mut quiet_nanos = i64::MIN;
    let tell = |posts: &mut [Post], letter: &dyn Fn() -> Letter| {
        posts.iter_mut().for_each(|post| post.send(letter()));
    };
    loop {
        match source.next() {
            Ok(Next::Packet(packet)) => {
                if border.is_crossed(packet.time_nanos) {
                    let shared = config.shared();
                    tell(posts, &|| Letter::Anew(shared.clone()));
                }
                let at = shard_of(&seed, &packet, posts.len());
                if let Some(post) = posts.get_mut(at) {
                    post.parcel.add(&packet);
                }
                ready += 1;
                if ready >= PARCELS_EVERY {
                    ready = 0;
                    posts.iter_mut().for_each(Post::send_packets);
                }
            }
            Ok(Next::Begins(name)) => {
                let name: Arc<str> = name.into();
                tell(posts, &|| Letter::Capture(Arc::clone(&name)));
                border.begins = true;
            }
            Ok(Next::Ends) => {}
            // Packets that are filtered out follow one another fast.
            Ok(Next::Quiet(now_nanos)) if now_nanos.abs_diff(quiet_nanos) < QUIET_NANOS => {}
            Ok(Next::Quiet(now_nanos)) => {
                quiet_nanos = now_nanos;
                tell(posts, &|| Letter::Quiet(now_nanos));
            }
            Ok(Next::End) => return posts.iter_mut().for_each(Post::send_packets),
            Err(error) => trouble(error),
        }
    }
}

/// A packet's shard of so many; the first, where it has no hosts.
#[inline]
fn shard_of(seed: &HashSeed, packet: &Packet<'_>, shards: usize) -> usize {
    let frame = decode_frame(packet.link, packet.bytes);
    let hash = match (FlowKey::of_frame(&frame), frame.ip) {
        (Some((key, _)), _) if !frame.is_fragment() => seed.flow(&key),
        (_, Some(ip)) => seed.hosts(&FlowKey::new((ip.src, 0), (ip.dst, 0), 0).0),
        _ => 0,
    };
    (hash >> 32) as usize % shards.max(1)
}
