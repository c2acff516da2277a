//! The rows under audit: a bounded sample, column by column, whatever file it comes from.
//!
//! In: cells in the order of a file's columns, row by row. Out: [`Rows`]. Of each file a fixed number of rows is kept,
//! drawn so that all of its rows are equally likely (Vitter 1985, algorithm R), in the file's order.
//!
//! Memory: 16 bytes a cell while a file is read, 8 afterwards; [`MOST_TEXTS`] different texts a column.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::role::Role;

/// Different texts that are told apart in a column; any further ones count as one.
const MOST_TEXTS: usize = 1 << 16;

/// A cell on its way in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    Empty,
    Number(f64),
    /// The place of a text among its column's.
    Text(u32),
}

/// A column of the sample.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it says.
    pub role: Role,
    /// Numbers as they are, texts as their place in `texts`; NaN where empty.
    pub(super) values: Vec<f64>,
    /// Whether equal values mean the same and nothing lies between them.
    pub(super) nominal: bool,
    /// What texts stand behind values, of the first [`SHOWN_TEXTS`].
    texts: HashMap<u64, String>,
}

/// Texts that can be shown of a column.
const SHOWN_TEXTS: usize = 256;

impl Column {
    /// A value of the column for people.
    pub(super) fn show(&self, value: f64) -> String {
        match self.texts.get(&value.to_bits()) {
            Some(text) => text.clone(),
            None if value.is_nan() => "empty".to_owned(),
            None => value.to_string(),
        }
    }
}

/// A file that rows come from.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct File {
    /// Recording and file name.
    pub name: String,
    /// The recording that it belongs to.
    pub recording: String,
    /// Rows that it holds.
    pub rows: u64,
    /// Rows of it that are looked at.
    pub sampled: u64,
    /// Classes that occur in it, in the sample or not.
    pub classes: Vec<String>,
    /// The capture's link layer.
    pub link: Option<&'static str>,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// Labelled rows.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The columns, without the label.
    pub columns: Vec<Column>,
    /// Class names; `normal` first where there is one.
    pub classes: Vec<String>,
    /// Each row's class.
    pub truth: Vec<u32>,
    /// Each row's file.
    pub file: Vec<u32>,
    /// Each row's place among all rows of all files, as they were read.
    pub place: Vec<u64>,
    /// Whether the attacker sent or received it, where that is known.
    pub is_attack: Vec<Option<bool>>,
    /// The files.
    pub files: Vec<File>,
    /// The files from this one on are the set's own test; all are training where it is past the last.
    pub first_test_file: usize,
    /// Rows that could not be used, by reason.
    pub left_out: Vec<(String, u64)>,
}

impl Rows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// Whether the data set keeps test rows of its own apart.
    pub fn has_own_test(&self) -> bool {
        self.first_test_file < self.files.len()
    }

    /// The number of the class of benign rows.
    pub fn normal(&self) -> Option<u32> {
        self.classes.iter().position(|class| class == "normal").map(|at| at as u32)
    }

    /// Rows of each class.
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.classes.len()];
        for &class in &self.truth {
            counts.get_mut(class as usize).into_iter().for_each(|count| *count += 1);
        }
        counts
    }

    pub(super) fn leave_out(&mut self, reason: &str, rows: u64) {
        match self.left_out.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += rows,
            None if rows > 0 => self.left_out.push((reason.to_owned(), rows)),
            None => {}
        }
    }
}

/// What becomes of a row beside its cells.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) number: u64,
    pub(super) class: u32,
    pub(super) is_attack: Option<bool>,
}

/// Draws a sample of one file's rows.
pub(super) struct Sampler {
    width: usize,
    cap: usize,
    cells: Vec<Cell>,
    kept: Vec<Kept>,
    texts: Vec<HashMap<String, u32>>,
    pub(super) classes: Vec<String>,
    seen: u64,
    rng: ChaCha8Rng,
}

impl Sampler {
    pub(super) fn new(width: usize, cap: usize, seed: u64) -> Sampler {
        Sampler {
            width,
            cap: cap.max(1),
            cells: Vec::new(),
            kept: Vec::new(),
            texts: vec![HashMap::new(); width],
            classes: Vec::new(),
            seen: 0,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Rows offered so far.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// The place of the next row in the sample, if it is to be kept; then [`Sampler::put`] takes its cells.
    pub(super) fn draw(&mut self) -> Option<usize> {
        self.seen += 1;
        if self.kept.len() < self.cap {
            return Some(self.kept.len());
        }
        let place = self.rng.random_range(0..self.seen);
        (place < self.cap as u64).then_some(place as usize)
    }

    /// [`Sampler::draw`] for a row of this class, and what is kept of it beside its cells.
    pub(super) fn draw_labelled(&mut self, class: &str, is_attack: Option<bool>) -> Option<(usize, Kept)> {
        let (class, number) = (self.class(class), self.seen());
        let place = self.draw()?;
        Some((place, Kept { number, class, is_attack }))
    }

    /// The cell of a text in a column.
    pub(super) fn text(&mut self, column: usize, text: &str) -> Cell {
        let Some(texts) = self.texts.get_mut(column) else { return Cell::Empty };
        if let Some(&code) = texts.get(text) {
            return Cell::Text(code);
        }
        let code = texts.len().min(MOST_TEXTS) as u32;
        if texts.len() < MOST_TEXTS {
            texts.insert(text.to_owned(), code);
        }
        Cell::Text(code)
    }

    pub(super) fn class(&mut self, name: &str) -> u32 {
        match self.classes.iter().position(|class| class == name) {
            Some(at) => at as u32,
            None => {
                self.classes.push(name.to_owned());
                self.classes.len() as u32 - 1
            }
        }
    }

    /// Keeps a row at a place that [`Sampler::draw`] gave.
    pub(super) fn put(&mut self, place: usize, cells: &[Cell], kept: Kept) {
        let at = place * self.width;
        if place >= self.kept.len() {
            self.kept.push(kept);
            self.cells
                .extend((0..self.width).map(|column| cells.get(column).copied().unwrap_or(Cell::Empty)));
            return;
        }
        self.kept.get_mut(place).into_iter().for_each(|old| *old = kept.clone());
        for (old, new) in self.cells.iter_mut().skip(at).take(self.width).zip(cells) {
            *old = *new;
        }
    }

    /// Adds the sample to rows whose columns are these, in this order.
    pub(super) fn finish(self, mut file: File, names: &[(String, Role)], rows: &mut Rows) {
        let first = rows.files.iter().map(|file| file.rows).sum::<u64>();
        let number = rows.files.len() as u32;
        let mut order: Vec<usize> = (0..self.kept.len()).collect();
        order.sort_by_key(|&at| self.kept.get(at).map_or(0, |kept| kept.number));
        (file.rows, file.sampled) = (self.seen, order.len() as u64);
        file.classes.clone_from(&self.classes);
        rows.files.push(file);
        let before = rows.len();
        let classes: Vec<u32> =
            self.classes.iter().map(|name| class_number(&mut rows.classes, name)).collect();
        for kept in order.iter().filter_map(|&at| self.kept.get(at)) {
            rows.truth.push(classes.get(kept.class as usize).copied().unwrap_or_default());
            rows.file.push(number);
            rows.place.push(first + kept.number);
            rows.is_attack.push(kept.is_attack);
        }
        for (at, (name, role)) in names.iter().enumerate() {
            let cells: Vec<Cell> = order
                .iter()
                .map(|&row| self.cells.get(row * self.width + at).copied().unwrap_or(Cell::Empty))
                .collect();
            let texts = self.texts.get(at).filter(|texts| !texts.is_empty());
            let of_code = values_of(texts);
            let mut values = values(&cells, &of_code);
            let nominal = texts.is_some() || matches!(role, Role::Address | Role::Port);
            match rows.columns.iter_mut().find(|column| column.name == *name) {
                Some(column) => {
                    column.values.resize(before, f64::NAN);
                    column.values.append(&mut values);
                    column.nominal |= nominal;
                }
                None => {
                    let mut all = vec![f64::NAN; before];
                    all.append(&mut values);
                    let column = Column {
                        name: name.clone(),
                        role: *role,
                        values: all,
                        nominal,
                        texts: HashMap::new(),
                    };
                    rows.columns.push(column);
                }
            }
            if let Some(column) = rows.columns.iter_mut().find(|column| column.name == *name) {
                let shown = texts.into_iter().flatten().filter_map(|(text, &code)| {
                    Some((of_code.get(code as usize)?.to_bits(), text.chars().take(40).collect()))
                });
                for (value, text) in shown.take(SHOWN_TEXTS.saturating_sub(column.texts.len())) {
                    column.texts.insert(value, text);
                }
            }
        }
        let len = rows.len();
        rows.columns.iter_mut().for_each(|column| column.values.resize(len, f64::NAN));
    }
}

fn class_number(classes: &mut Vec<String>, name: &str) -> u32 {
    match classes.iter().position(|class| class == name) {
        Some(at) => at as u32,
        None => {
            classes.push(name.to_owned());
            classes.len() as u32 - 1
        }
    }
}

/// A text becomes 40 bits of its hash, the same in every file, so that texts of several files compare.
fn values_of(texts: Option<&HashMap<String, u32>>) -> Vec<f64> {
    use std::hash::BuildHasher;
    let hash = foldhash::quality::FixedState::with_seed(7);
    let mut of_code = vec![-1.0; texts.map_or(0, HashMap::len)];
    for (text, &code) in texts.into_iter().flatten() {
        let value = -2.0 - (hash.hash_one(text) >> 24) as f64;
        of_code.get_mut(code as usize).into_iter().for_each(|place| *place = value);
    }
    of_code
}

fn values(cells: &[Cell], of_code: &[f64]) -> Vec<f64> {
    let value = |cell: &Cell| match cell {
        Cell::Empty => f64::NAN,
        Cell::Number(number) => *number + 0.0,
        Cell::Text(code) => of_code.get(*code as usize).copied().unwrap_or(-1.0),
    };
    cells.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> File {
        let name = name.to_owned();
        File {
            recording: name.clone(),
            name,
            rows: 0,
            sampled: 0,
            classes: Vec::new(),
            link: None,
            sha256: String::new(),
        }
    }

    #[test]
    fn a_sample_keeps_its_cap_the_order_and_every_part_of_the_file() {
        let mut sampler = Sampler::new(1, 100, 1);
        let class = sampler.class("normal");
        for number in 0..10_000 {
            if let Some(place) = sampler.draw() {
                sampler.put(place, &[Cell::Number(number as f64)], Kept { number, class, is_attack: None });
            }
        }
        let mut rows = Rows::default();
        sampler.finish(file("a"), &[("x".into(), Role::Feature)], &mut rows);
        assert_eq!((rows.len(), rows.files[0].rows, rows.files[0].sampled), (100, 10_000, 100));
        assert!(rows.place.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(rows.columns[0].values.iter().zip(&rows.place).all(|(value, place)| *value == *place as f64));
        let late = rows.place.iter().filter(|place| **place >= 5_000).count();
        assert!((30..70).contains(&late), "{late} of 100 from the second half");
    }

    #[test]
    fn columns_of_several_files_meet_by_name_and_texts_by_what_they_say() {
        let mut rows = Rows::default();
        for (name, columns) in [("a", ["proto", "x"]), ("b", ["x", "proto"])] {
            let mut sampler = Sampler::new(2, 10, 1);
            let class = sampler.class(name);
            let place = sampler.draw().unwrap();
            let at = columns.iter().position(|c| *c == "proto").unwrap();
            if name == "b" {
                sampler.text(at, "udp");
            }
            let mut cells = [Cell::Number(5.0); 2];
            cells[at] = sampler.text(at, "tcp");
            sampler.put(place, &cells, Kept { number: 0, class, is_attack: None });
            let columns = columns.map(|name| (name.to_owned(), Role::Feature));
            sampler.finish(file(name), &columns, &mut rows);
        }
        assert_eq!(rows.classes, ["a", "b"]);
        assert_eq!(rows.columns.len(), 2);
        assert!(rows.columns.iter().all(|column| column.values[0] == column.values[1]));
        assert_eq!(rows.place, [0, 1]);
    }

    #[test]
    fn texts_beyond_the_cap_count_as_one() {
        let mut sampler = Sampler::new(1, 10, 1);
        let codes: Vec<Cell> = (0..MOST_TEXTS + 3).map(|n| sampler.text(0, &n.to_string())).collect();
        assert_ne!(codes[0], codes[1]);
        assert_eq!(codes[MOST_TEXTS], codes[MOST_TEXTS + 2]);
    }
}
