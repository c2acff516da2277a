//! One conversation's feature rows in the training set.
//!
//! Memory: the first [`PIECE_ROWS`] rows and up to four random later pieces of as many rows.

use std::sync::LazyLock;

use citronella_sensor::feature::sequence::{SEQUENCE, WIDTH};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Rows of a piece.
const PIECE_ROWS: usize = 96;
/// Pieces of a conversation: the first, and a sample of the others.
const MAX_PIECES: usize = 5;

/// Index of a column of the sequence level.
pub(super) fn column_index(name: &str) -> Option<usize> {
    SEQUENCE.iter().position(|column| column.name == name)
}

/// Indices of the binary columns that define a stratum.
static SERVICE_COLUMNS: LazyLock<[Option<usize>; 5]> =
    LazyLock::new(|| ["udp", "mqtt", "other_service", "ssh", "mid_stream"].map(column_index));

/// Index of the initiator's flow rate, and the scaled values of 3, 10 and 40 flows a minute.
static FLOW_RATE_COLUMN: LazyLock<Option<usize>> = LazyLock::new(|| column_index("host_flows_60s"));
const FLOW_RATE_STEPS: [f32; 3] = [0.2, 0.35, 0.54];

/// Consecutive rows of a conversation.
#[derive(Clone)]
struct Piece {
    /// Index of the first row in the conversation.
    start: usize,
    /// Rows x [`WIDTH`].
    values: Vec<f32>,
}

/// A conversation's class and a sample of its rows.
#[derive(Clone)]
pub(super) struct Conversation {
    pub(super) class: u32,
    /// Benign conversation of a host that also attacks.
    pub(super) is_benign_of_attacker: bool,
    pieces: Vec<Piece>,
    rows: usize,
}

impl Conversation {
    pub(super) fn new(class: u32, is_benign_of_attacker: bool) -> Conversation {
        Conversation { class, is_benign_of_attacker, pieces: Vec::new(), rows: 0 }
    }

    /// Stratum within the class: service and protocol in the last sampled row, length, and the initiator's flow rate.
    /// The rate keeps a slow attack's few conversations apart from the many of the same attack at full speed.
    pub(super) fn stratum(&self) -> usize {
        let last = self.pieces.last().and_then(|piece| piece.values.rchunks_exact(WIDTH).next());
        let is_set = |column: &Option<usize>| {
            column.and_then(|column| last?.get(column)).is_some_and(|value| *value > 0.0)
        };
        let service = SERVICE_COLUMNS.iter().fold(0, |bits, column| bits << 1 | usize::from(is_set(column)));
        let length = [8, 64, 512].iter().filter(|rows| self.rows > **rows).count();
        let flow_rate = FLOW_RATE_COLUMN.and_then(|column| last?.get(column)).copied().unwrap_or(0.0);
        let rate = FLOW_RATE_STEPS.iter().filter(|step| flow_rate > **step).count();
        usize::from(self.is_benign_of_attacker) << 16 | service << 4 | rate << 2 | length
    }

    /// Adds a row. The first piece is always stored; later ones replace each other at random so that all are about
    /// equally likely to remain.
    pub(super) fn push(&mut self, row: &[f32; WIDTH], rng: &mut ChaCha8Rng) {
        let at = self.rows;
        self.rows += 1;
        if at.is_multiple_of(PIECE_ROWS) {
            let piece = Piece { start: at, values: Vec::new() };
            if self.pieces.len() < MAX_PIECES {
                self.pieces.push(piece);
            } else {
                let index = rng.random_range(0..at / PIECE_ROWS);
                match self.pieces.get_mut(index + 1) {
                    Some(old) => *old = piece,
                    None => return,
                }
            }
        }
        let start = at / PIECE_ROWS * PIECE_ROWS;
        if let Some(piece) = self.pieces.iter_mut().find(|piece| piece.start == start) {
            piece.values.extend_from_slice(row);
        }
    }

    /// The first rows, up to `steps`; `None` without any.
    pub(super) fn first_rows(&self, steps: usize) -> Option<&[f32]> {
        let piece = self.pieces.first()?;
        let len = (piece.values.len() / WIDTH).min(steps);
        Some(piece.values.get(..len * WIDTH).unwrap_or_default())
    }

    /// Up to `steps` consecutive rows at a random position; half of the draws lie in the first piece. `None` without
    /// any rows.
    pub(super) fn random_window(&self, steps: usize, rng: &mut ChaCha8Rng) -> Option<&[f32]> {
        let index = match self.pieces.len() {
            0 => return None,
            1 => 0,
            n if rng.random_range(0..2) == 0 => rng.random_range(1..n),
            _ => 0,
        };
        let piece = self.pieces.get(index)?;
        let rows = piece.values.len() / WIDTH;
        if rows == 0 {
            return None;
        }
        let from_first = piece.start == 0 && rng.random_range(0..4) > 0;
        let start = if from_first || rows < 4 { 0 } else { rng.random_range(0..rows - 2) };
        let len = (rows - start).min(steps);
        Some(piece.values.get(start * WIDTH..(start + len) * WIDTH).unwrap_or_default())
    }
}
