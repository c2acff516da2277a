//! Conversations to learn from: their rows, gathered by the code that detection runs, and windows drawn from them.
//!
//! Memory: of a long conversation its begin and a few pieces of its midst are kept, [`PIECE_ROWS`] rows each.

use std::net::IpAddr;

use citronella_sensor::feature::sequence::{Config, SEQUENCE, SequenceLevel, WIDTH};
use citronella_sensor::flow::table;
use citronella_wire::{Transport, decode_frame};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    SequenceError,
    recording::{Captured, Recording},
    variant::{Changer, Variant},
};
use crate::dataset::CLASSES;

/// Rows of a piece.
const PIECE_ROWS: usize = 96;
/// Pieces kept of a conversation: its begin and some of its midst.
const PIECES: usize = 5;

/// The tables of one capture: enough for any recording of a laboratory.
pub(super) fn config() -> Config {
    let flows = table::Limits { max_flows: 1 << 16, ..table::Limits::default() };
    Config { flows, ..Config::default() }
}

/// One piece of a conversation.
struct Piece {
    /// Rows before it.
    start: usize,
    rows: Vec<f32>,
}

struct Conversation {
    class: u32,
    pieces: Vec<Piece>,
    rows: usize,
}

impl Conversation {
    /// Keeps the begin, and each later piece with a chance that leaves all equally likely.
    fn push(&mut self, row: &[f32; WIDTH], rng: &mut ChaCha8Rng) {
        let at = self.rows;
        self.rows += 1;
        if at.is_multiple_of(PIECE_ROWS) {
            let piece = Piece { start: at, rows: Vec::new() };
            if self.pieces.len() < PIECES {
                self.pieces.push(piece);
            } else {
                let place = rng.random_range(0..at / PIECE_ROWS);
                match self.pieces.get_mut(place + 1) {
                    Some(old) => *old = piece,
                    None => return,
                }
            }
        }
        let start = at / PIECE_ROWS * PIECE_ROWS;
        if let Some(piece) = self.pieces.iter_mut().find(|piece| piece.start == start) {
            piece.rows.extend_from_slice(row);
        }
    }
}

/// Conversations of some recordings, in strata: a class, a service, short or long.
#[derive(Default)]
pub struct Pool {
    conversations: Vec<Conversation>,
}

impl Pool {
    /// None yet.
    pub fn new() -> Pool {
        Pool::default()
    }

    /// Conversations.
    pub fn len(&self) -> usize {
        self.conversations.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.conversations.is_empty()
    }

    /// Classes that occur.
    pub fn classes(&self) -> usize {
        let mut seen = [false; CLASSES.len()];
        for conversation in &self.conversations {
            seen.get_mut(conversation.class as usize).into_iter().for_each(|is| *is = true);
        }
        seen.iter().filter(|is| **is).count()
    }

    /// Adds a recording's conversations, changed as the variant says.
    ///
    /// # Errors
    /// A capture cannot be read.
    pub fn add(&mut self, recording: &Recording, variant: Variant) -> Result<(), SequenceError> {
        for capture in &recording.captures {
            self.add_capture(capture, variant)?;
        }
        Ok(())
    }

    fn add_capture(&mut self, capture: &Captured, variant: Variant) -> Result<(), SequenceError> {
        let clients = if variant.inside { clients(capture)? } else { Vec::new() };
        let mut changer = Changer::new(variant, capture, &clients);
        let mut rng = ChaCha8Rng::seed_from_u64(variant.seed ^ self.conversations.len() as u64);
        let mut level = SequenceLevel::new(config());
        let mut places: Vec<usize> = Vec::new();
        let mut packets = capture.open()?;
        while let Some(packet) = packets.next()? {
            let mut frame = decode_frame(packet.link, packet.bytes);
            let Some(class) = frame.ip.map(|ip| class_number(capture.class_of(ip.src, ip.dst))) else {
                continue;
            };
            let Some(time_nanos) = changer.change(packet.time_nanos, &mut frame) else { continue };
            let Some(row) = level.frame(time_nanos, &frame) else { continue };
            let slot = row.slot as usize;
            if row.is_new {
                if slot >= places.len() {
                    places.resize(slot + 1, usize::MAX);
                }
                places.get_mut(slot).into_iter().for_each(|place| *place = self.conversations.len());
                self.conversations.push(Conversation { class, pieces: Vec::new(), rows: 0 });
            }
            let place = places.get(slot).copied().unwrap_or(usize::MAX);
            if let Some(conversation) = self.conversations.get_mut(place) {
                conversation.push(&row.features, &mut rng);
            }
        }
        Ok(())
    }

    /// Draws `count` windows of up to `steps` rows: first a class (half of them benign), then a kind of conversation
    /// within it, then a conversation, then where in it the window lies. The same seed draws the same.
    pub fn draw(&self, count: usize, steps: usize, seed: u64) -> Vec<Windows> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let strata = self.strata();
        let mut all: Vec<Windows> = buckets(steps).into_iter().map(Windows::new).collect();
        if strata.iter().all(|class| class.is_empty()) {
            return Vec::new();
        }
        let attacks: Vec<usize> =
            (1..strata.len()).filter(|&c| strata.get(c).is_some_and(|s| !s.is_empty())).collect();
        for _ in 0..count {
            let benign = attacks.is_empty() || rng.random_range(0..2) == 0;
            let class = if benign {
                0
            } else {
                attacks.get(rng.random_range(0..attacks.len())).copied().unwrap_or(0)
            };
            let Some(strata) = strata.get(class).filter(|strata| !strata.is_empty()) else { continue };
            let Some(number) = pick(strata, &mut rng) else { continue };
            if let Some(conversation) = self.conversations.get(number) {
                window(conversation, steps, &mut all, &mut rng);
            }
        }
        all.retain(|windows| !windows.y.is_empty());
        all
    }

    /// The begin of every conversation, up to `steps` rows, in the order in which they began.
    pub fn draw_all(&self, steps: usize) -> Vec<Windows> {
        let mut all: Vec<Windows> = buckets(steps).into_iter().map(Windows::new).collect();
        for conversation in &self.conversations {
            let Some(piece) = conversation.pieces.first() else { continue };
            let len = (piece.rows.len() / WIDTH).min(steps);
            put(&mut all, conversation.class, piece.rows.get(..len * WIDTH).unwrap_or_default());
        }
        all
    }

    /// For each class the kinds of conversations, and those of each kind.
    fn strata(&self) -> Vec<Vec<Vec<usize>>> {
        let mut all: Vec<std::collections::BTreeMap<usize, Vec<usize>>> =
            vec![Default::default(); CLASSES.len()];
        for (number, conversation) in self.conversations.iter().enumerate() {
            let kind = kind(conversation);
            if let Some(class) = all.get_mut(conversation.class as usize) {
                class.entry(kind).or_default().push(number);
            }
        }
        all.into_iter().map(|class| class.into_values().collect()).collect()
    }
}

/// A kind by the square root of its size: rare kinds count for more than their number, not for as much as common ones.
fn pick(strata: &[Vec<usize>], rng: &mut ChaCha8Rng) -> Option<usize> {
    let weight = |stratum: &Vec<usize>| (stratum.len() as f64).sqrt();
    let total: f64 = strata.iter().map(weight).sum();
    let mut left = rng.random_range(0.0..total.max(f64::MIN_POSITIVE));
    let mut chosen = strata.last()?;
    for stratum in strata {
        left -= weight(stratum);
        if left < 0.0 {
            chosen = stratum;
            break;
        }
    }
    chosen.get(rng.random_range(0..chosen.len())).copied()
}

/// What kind of conversation it is: the service that its last kept row shows, the protocol, its length.
fn kind(conversation: &Conversation) -> usize {
    let last = conversation.pieces.last().and_then(|piece| piece.rows.rchunks_exact(WIDTH).next());
    let flag = |name: &str| {
        let place = SEQUENCE.iter().position(|column| column.name == name);
        place.and_then(|place| last?.get(place)).is_some_and(|value| *value > 0.0)
    };
    let names = ["tcp", "udp", "mqtt", "tls", "ssh", "http", "mid_stream"];
    let bits = names.iter().fold(0, |bits, name| bits << 1 | usize::from(flag(name)));
    let long = [8, 64, 512].iter().filter(|rows| conversation.rows > **rows).count();
    bits << 2 | long
}

fn window(conversation: &Conversation, steps: usize, all: &mut [Windows], rng: &mut ChaCha8Rng) {
    let piece = match conversation.pieces.len() {
        0 => return,
        // The begin as often as all of the rest.
        1 => 0,
        n if rng.random_range(0..2) == 0 => rng.random_range(1..n),
        _ => 0,
    };
    let Some(piece) = conversation.pieces.get(piece) else { return };
    let rows = piece.rows.len() / WIDTH;
    if rows == 0 {
        return;
    }
    let from_begin = piece.start == 0 && rng.random_range(0..4) > 0;
    let start = if from_begin || rows < 4 { 0 } else { rng.random_range(0..rows - 2) };
    let len = (rows - start).min(steps);
    put(all, conversation.class, piece.rows.get(start * WIDTH..(start + len) * WIDTH).unwrap_or_default());
}

/// Adds a window to those of its length.
fn put(all: &mut [Windows], class: u32, rows: &[f32]) {
    let len = rows.len() / WIDTH;
    let Some(windows) = all.iter_mut().find(|windows| windows.steps >= len) else { return };
    windows.x.extend_from_slice(rows);
    windows.x.resize(windows.x.len() + (windows.steps - len) * WIDTH, 0.0);
    windows.y.push(class);
    windows.lengths.push(len as u32);
}

fn buckets(steps: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> = [4, 12, 24].into_iter().filter(|size| *size < steps).collect();
    sizes.push(steps);
    sizes
}

/// Windows of similar length, padded to one number of steps: what a trainer takes.
pub struct Windows {
    /// Rows x steps x [`WIDTH`].
    pub x: Vec<f32>,
    /// The class of each.
    pub y: Vec<u32>,
    /// The steps of each.
    pub lengths: Vec<u32>,
    /// Steps that they are padded to.
    pub steps: usize,
}

impl Windows {
    fn new(steps: usize) -> Windows {
        Windows { x: Vec::new(), y: Vec::new(), lengths: Vec::new(), steps }
    }

    /// As the trainer takes them.
    pub fn sequences(&self) -> citronella_nn::Sequences<'_> {
        let Windows { x, y, lengths, steps } = self;
        let (rows, lengths) = (y.len(), Some(lengths.as_slice()));
        citronella_nn::Sequences { x, y, rows, steps: *steps, lengths, weights: None }
    }
}

/// A class's place in [`CLASSES`]; an unknown scenario's is that of `normal`, and its conversations are left out before.
pub(super) fn class_number(name: &str) -> u32 {
    CLASSES.iter().position(|class| *class == name).unwrap_or(0) as u32
}

/// Hosts that begin TCP conversations with the broker, without the attacker, in order of address.
pub(super) fn clients(capture: &Captured) -> Result<Vec<IpAddr>, SequenceError> {
    let mut found = std::collections::BTreeSet::new();
    let mut packets = capture.open()?;
    while let Some(packet) = packets.next()? {
        let frame = decode_frame(packet.link, packet.bytes);
        if let (Some(ip), Some(Transport::Tcp(tcp))) = (frame.ip, frame.transport)
            && Some(ip.dst) == capture.broker
            && Some(ip.src) != capture.attacker
            && tcp.flags.psh()
        {
            found.insert(ip.src);
        }
    }
    Ok(found.into_iter().collect())
}
