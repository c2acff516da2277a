//! Conversations to learn from: their rows, gathered by the code that detection runs, and windows drawn from them.
//!
//! Memory: of a long conversation its begin and a few pieces of its midst are kept, [`PIECE_ROWS`] rows each.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use citronella_sensor::feature::sequence::{Config, SEQUENCE, WIDTH, unknown::Limits};
use citronella_sensor::flow::table;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    Variant,
    recording::Captured,
    traffic::{Traffic, Walked},
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

fn place(name: &str) -> Option<usize> {
    SEQUENCE.iter().position(|column| column.name == name)
}

/// Where the columns stand that tell kinds of conversations apart.
static KIND_PLACES: LazyLock<[Option<usize>; 5]> =
    LazyLock::new(|| ["udp", "mqtt", "other_service", "ssh", "mid_stream"].map(place));

/// Where the column stands that tells how many flows the host begins, and where its steps lie: 3, 10, 40 a minute.
static PACE_PLACE: LazyLock<Option<usize>> = LazyLock::new(|| place("host_flows_60s"));
const PACES: [f32; 3] = [0.2, 0.35, 0.54];

/// One piece of a conversation.
#[derive(Clone)]
struct Piece {
    /// Rows before it.
    start: usize,
    rows: Vec<f32>,
}

#[derive(Clone)]
struct Conversation {
    class: u32,
    /// Honest work of a host from which an attack comes too.
    beside_attack: bool,
    pieces: Vec<Piece>,
    rows: usize,
}

impl Conversation {
    /// What kind it is: the service that its last kept row shows, the protocol, its length, its host's pace. Without
    /// the pace an attack slowed to a few conversations would be lost among those of the same attack at full speed.
    fn kind(&self) -> usize {
        let last = self.pieces.last().and_then(|piece| piece.rows.rchunks_exact(WIDTH).next());
        let flag = |place: &Option<usize>| {
            place.and_then(|place| last?.get(place)).is_some_and(|value| *value > 0.0)
        };
        let bits = KIND_PLACES.iter().fold(0, |bits, place| bits << 1 | usize::from(flag(place)));
        let long = [8, 64, 512].iter().filter(|rows| self.rows > **rows).count();
        let flows = PACE_PLACE.and_then(|place| last?.get(place)).copied().unwrap_or(0.0);
        let pace = PACES.iter().filter(|step| flows > **step).count();
        usize::from(self.beside_attack) << 16 | bits << 4 | pace << 2 | long
    }

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

/// Conversations of some recordings, in strata: a class, a service, short or long. Cheap to copy and to put together:
/// what was gathered once is shared.
#[derive(Clone, Default)]
pub struct Pool {
    parts: Vec<Arc<Vec<Conversation>>>,
    limits: Limits,
}

impl Pool {
    /// None yet.
    pub fn new() -> Pool {
        Pool::default()
    }

    /// Conversations.
    pub fn len(&self) -> usize {
        self.conversations().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Classes that occur.
    pub fn classes(&self) -> usize {
        let mut seen = [false; CLASSES.len()];
        for conversation in self.conversations() {
            seen.get_mut(conversation.class as usize).into_iter().for_each(|is| *is = true);
        }
        seen.iter().filter(|is| **is).count()
    }

    /// What benign hosts did at most, in the recordings as they are: those from which no attack came.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn conversations(&self) -> impl Iterator<Item = &Conversation> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// The conversations of all.
    pub fn of<'a>(pools: impl IntoIterator<Item = &'a Pool>) -> Pool {
        let mut all = Pool::new();
        for pool in pools {
            all.parts.extend(pool.parts.iter().cloned());
            all.limits.merge(&pool.limits);
        }
        all
    }

    /// Without the conversations of some classes.
    pub fn without_classes(&self, classes: &[u32]) -> Pool {
        let keep = |part: &Arc<Vec<Conversation>>| {
            let kept = part.iter().filter(|one| !classes.contains(&one.class)).cloned();
            Arc::new(kept.collect::<Vec<_>>())
        };
        Pool { parts: self.parts.iter().map(keep).collect(), limits: self.limits.clone() }
    }

    /// A capture's conversations, changed as a variant says; of each kind `most` at most, drawn by chance.
    pub(super) fn gather(capture: &Captured, traffic: &Traffic, variant: Variant, most: usize) -> Pool {
        let mut rng = ChaCha8Rng::seed_from_u64(variant.seed);
        let mut all: Vec<Conversation> = Vec::new();
        let mut places: Vec<usize> = Vec::new();
        let (mut limits, as_it_is) = (Limits::default(), Variant { seed: 0, ..variant } == Variant::PLAIN);
        traffic.walk(capture, variant, |_, Walked { class, beside_attack, row, .. }| {
            let slot = row.slot as usize;
            if as_it_is && class == 0 && !beside_attack {
                limits.observe(&row.features);
            }
            if row.is_new {
                if slot >= places.len() {
                    places.resize(slot + 1, usize::MAX);
                }
                places.get_mut(slot).into_iter().for_each(|place| *place = all.len());
                all.push(Conversation { class, beside_attack, pieces: Vec::new(), rows: 0 });
            }
            if let Some(conversation) = places.get(slot).and_then(|place| all.get_mut(*place)) {
                conversation.push(&row.features, &mut rng);
            }
        });
        Pool { parts: vec![Arc::new(thinned(all, most, &mut rng))], limits }
    }

    /// Draws `count` windows of up to `steps` rows: first a class (half of them benign), then a kind of conversation
    /// within it, then a conversation, then where in it the window lies. Of the benign ones `beside_attack` is the share that is honest work of a host from
    /// which an attack comes too: until a conversation shows what it is, both look alike, and the host's counts alone
    /// would condemn all it does. The same seed draws the same.
    pub fn draw(&self, count: usize, steps: usize, beside_attack: f64, seed: u64) -> Vec<Windows> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let conversations: Vec<&Conversation> = self.conversations().collect();
        let strata = strata(&conversations);
        let mut all: Vec<Windows> = buckets(steps).into_iter().map(Windows::new).collect();
        if strata.iter().all(|class| class.is_empty()) {
            return Vec::new();
        }
        let attacks: Vec<usize> =
            (1..CLASSES.len()).filter(|&c| strata.get(c).is_some_and(|s| !s.is_empty())).collect();
        for _ in 0..count {
            let benign = attacks.is_empty() || rng.random_range(0..2) == 0;
            let class = if benign {
                0
            } else {
                attacks.get(rng.random_range(0..attacks.len())).copied().unwrap_or(0)
            };
            let beside = class == 0 && rng.random_bool(beside_attack.clamp(0.0, 1.0));
            let place = if beside { CLASSES.len() } else { class };
            let found = strata.get(place).filter(|strata| !strata.is_empty()).or_else(|| strata.get(class));
            let Some(number) = found.and_then(|strata| pick(strata, &mut rng)) else { continue };
            if let Some(conversation) = conversations.get(number) {
                window(conversation, steps, &mut all, &mut rng);
            }
        }
        all.retain(|windows| !windows.y.is_empty());
        all
    }

    /// The begin of every conversation, up to `steps` rows, in the order in which they began.
    pub fn draw_all(&self, steps: usize) -> Vec<Windows> {
        let mut all: Vec<Windows> = buckets(steps).into_iter().map(Windows::new).collect();
        for conversation in self.conversations() {
            let Some(piece) = conversation.pieces.first() else { continue };
            let len = (piece.rows.len() / WIDTH).min(steps);
            put(&mut all, conversation.class, piece.rows.get(..len * WIDTH).unwrap_or_default());
        }
        all
    }
}

/// For each class the kinds of conversations, and those of each kind; after the classes the honest work of hosts from
/// which an attack comes too.
fn strata(conversations: &[&Conversation]) -> Vec<Vec<Vec<usize>>> {
    let mut all: Vec<BTreeMap<usize, Vec<usize>>> = vec![Default::default(); CLASSES.len() + 1];
    for (number, conversation) in conversations.iter().enumerate() {
        let place = if conversation.beside_attack { CLASSES.len() } else { conversation.class as usize };
        if let Some(class) = all.get_mut(place) {
            class.entry(conversation.kind()).or_default().push(number);
        }
    }
    all.into_iter().map(|class| class.into_values().collect()).collect()
}

/// Of each class and kind so many at most.
fn thinned(all: Vec<Conversation>, most: usize, rng: &mut ChaCha8Rng) -> Vec<Conversation> {
    let mut kinds: BTreeMap<(u32, usize), Vec<usize>> = BTreeMap::new();
    for (number, one) in all.iter().enumerate() {
        kinds.entry((one.class, one.kind())).or_default().push(number);
    }
    let mut keep = vec![true; all.len()];
    for numbers in kinds.values_mut().filter(|numbers| numbers.len() > most) {
        numbers.shuffle(rng);
        for number in numbers.iter().skip(most) {
            keep.get_mut(*number).into_iter().for_each(|is| *is = false);
        }
    }
    all.into_iter().zip(keep).filter_map(|(one, keep)| keep.then_some(one)).collect()
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
