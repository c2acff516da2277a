//! A bounded sample of one file's rows.
//!
//! In: cells in the order of the columns, row by row. Out: rows appended to [`Rows`], in the file's order. Every row of
//! the file is in the sample with the same probability (Vitter 1985, algorithm R).
//!
//! Memory: 16 bytes a cell while a file is read, 8 afterwards; [`MAX_TEXTS`] different texts a column.

use std::collections::HashMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{
    Rows,
    role::Role,
    rows::{Column, SampledFile},
};
use crate::prepare::{Stream, rng};

/// Different texts that are distinguished in a column; further ones count as one.
const MAX_TEXTS: usize = 1 << 16;

/// Texts of a column that can be shown, and their length in characters.
const SHOWN_TEXTS: usize = 256;
const SHOWN_CHARACTERS: usize = 40;

/// A cell of the sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    Empty,
    Number(f64),
    /// The index of a text among its column's.
    Text(u32),
}

/// What the sample holds of a row besides its cells.
#[derive(Clone, Debug, Default)]
pub(super) struct RowMeta {
    /// The row's number in its file, from 0.
    number: u64,
    class: u32,
    is_attack: Option<bool>,
}

/// Samples the rows of one file.
pub(super) struct Sampler {
    width: usize,
    cap: usize,
    cells: Vec<Cell>,
    metas: Vec<RowMeta>,
    texts: Vec<HashMap<String, u32>>,
    classes: Vec<String>,
    seen: u64,
    rng: ChaCha8Rng,
}

impl Sampler {
    /// A sampler of at most `cap` rows of `width` columns.
    pub(super) fn new(width: usize, cap: usize, seed: u64) -> Sampler {
        Sampler {
            width,
            cap: cap.max(1),
            cells: Vec::new(),
            metas: Vec::new(),
            texts: vec![HashMap::new(); width],
            classes: Vec::new(),
            seen: 0,
            rng: rng(seed, Stream::Audit),
        }
    }

    /// Rows of the sample, at most.
    pub(super) fn cap(&self) -> usize {
        self.cap
    }

    /// Offers a row: its slot if it enters the sample, for [`Sampler::put`].
    pub(super) fn draw(&mut self, class: &str, is_attack: Option<bool>) -> Option<(usize, RowMeta)> {
        let meta = RowMeta { number: self.seen, class: index_of(&mut self.classes, class), is_attack };
        self.seen += 1;
        if self.metas.len() < self.cap {
            return Some((self.metas.len(), meta));
        }
        let slot = self.rng.random_range(0..self.seen);
        (slot < self.cap as u64).then_some((slot as usize, meta))
    }

    /// The cell of a text in a column.
    pub(super) fn text(&mut self, column: usize, text: &str) -> Cell {
        let Some(texts) = self.texts.get_mut(column) else { return Cell::Empty };
        if let Some(&code) = texts.get(text) {
            return Cell::Text(code);
        }
        let code = texts.len().min(MAX_TEXTS) as u32;
        if texts.len() < MAX_TEXTS {
            texts.insert(text.to_owned(), code);
        }
        Cell::Text(code)
    }

    /// Stores a row in the slot that [`Sampler::draw`] returned.
    pub(super) fn put(&mut self, slot: usize, cells: &[Cell], meta: RowMeta) {
        let first = slot * self.width;
        match self.metas.get_mut(slot) {
            Some(old) => *old = meta,
            None => {
                self.metas.push(meta);
                self.cells.resize(first + self.width, Cell::Empty);
            }
        }
        for (old, new) in self.cells.iter_mut().skip(first).take(self.width).zip(cells) {
            *old = *new;
        }
    }

    /// Appends the sample to `rows`. `columns`: names and roles in the order of the cells.
    pub(super) fn finish(self, mut file: SampledFile, columns: &[(String, Role)], rows: &mut Rows) {
        let first = rows.files.iter().map(|file| file.rows).sum::<u64>();
        let number = rows.files.len() as u32;
        let mut order: Vec<usize> = (0..self.metas.len()).collect();
        order.sort_by_key(|&at| self.metas.get(at).map_or(0, |meta| meta.number));
        (file.rows, file.sampled) = (self.seen, order.len() as u64);
        file.classes.clone_from(&self.classes);
        rows.files.push(file);
        let before = rows.len();
        let classes: Vec<u32> = self.classes.iter().map(|name| index_of(&mut rows.classes, name)).collect();
        for meta in order.iter().filter_map(|&at| self.metas.get(at)) {
            rows.truth.push(classes.get(meta.class as usize).copied().unwrap_or_default());
            rows.file.push(number);
            rows.position.push(first + meta.number);
            rows.is_attack.push(meta.is_attack);
        }
        for (at, (name, role)) in columns.iter().enumerate() {
            let cells = order.iter().map(|&row| self.cells.get(row * self.width + at));
            let texts = self.texts.get(at).filter(|texts| !texts.is_empty());
            let of_code = values_of(texts);
            let values = cells.map(|cell| value(cell.copied().unwrap_or(Cell::Empty), &of_code));
            let column = column(&mut rows.columns, name, *role);
            column.values.resize(before, f64::NAN);
            column.values.extend(values);
            column.nominal |= texts.is_some() || matches!(role, Role::Address | Role::Port);
            let shown = texts.into_iter().flatten().filter_map(|(text, &code)| {
                let value = of_code.get(code as usize)?;
                Some((value.to_bits(), text.chars().take(SHOWN_CHARACTERS).collect()))
            });
            for (value, text) in shown.take(SHOWN_TEXTS.saturating_sub(column.texts.len())) {
                column.texts.insert(value, text);
            }
        }
        let len = rows.len();
        rows.columns.iter_mut().for_each(|column| column.values.resize(len, f64::NAN));
    }
}

/// The column of a name, added if there is none.
fn column<'c>(columns: &'c mut Vec<Column>, name: &str, role: Role) -> &'c mut Column {
    let at = columns.iter().position(|column| column.name == name).unwrap_or_else(|| {
        let (name, nominal) = (name.to_owned(), false);
        columns.push(Column { name, role, values: Vec::new(), nominal, texts: HashMap::new() });
        columns.len() - 1
    });
    &mut columns[at]
}

/// The index of a class, added if it is not known.
fn index_of(classes: &mut Vec<String>, name: &str) -> u32 {
    let at = classes.iter().position(|class| class == name).unwrap_or_else(|| {
        classes.push(name.to_owned());
        classes.len() - 1
    });
    at as u32
}

/// The values of a column's texts: 40 bits of their hash, the same in every file, so that files compare.
fn values_of(texts: Option<&HashMap<String, u32>>) -> Vec<f64> {
    use std::hash::BuildHasher;
    let hash = foldhash::quality::FixedState::with_seed(7);
    let mut of_code = vec![-1.0; texts.map_or(0, HashMap::len)];
    for (text, &code) in texts.into_iter().flatten() {
        let value = -2.0 - (hash.hash_one(text) >> 24) as f64;
        of_code.get_mut(code as usize).into_iter().for_each(|slot| *slot = value);
    }
    of_code
}

fn value(cell: Cell, of_code: &[f64]) -> f64 {
    match cell {
        Cell::Empty => f64::NAN,
        Cell::Number(number) => number + 0.0,
        Cell::Text(code) => of_code.get(code as usize).copied().unwrap_or(-1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> SampledFile {
        let name = name.to_owned();
        SampledFile {
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
    fn a_sample_respects_its_cap_and_the_order_and_covers_the_whole_file() {
        let mut sampler = Sampler::new(1, 100, 1);
        for number in 0..10_000 {
            if let Some((slot, meta)) = sampler.draw("normal", None) {
                sampler.put(slot, &[Cell::Number(f64::from(number))], meta);
            }
        }
        let mut rows = Rows::default();
        sampler.finish(file("a"), &[("x".into(), Role::Feature)], &mut rows);
        assert_eq!((rows.len(), rows.files[0].rows, rows.files[0].sampled), (100, 10_000, 100));
        assert!(rows.position.windows(2).all(|pair| pair[0] < pair[1]));
        let values = &rows.columns[0].values;
        assert!(values.iter().zip(&rows.position).all(|(value, position)| *value == *position as f64));
        let late = rows.position.iter().filter(|position| **position >= 5_000).count();
        assert!((30..70).contains(&late), "{late} of 100 from the second half");
    }

    #[test]
    fn columns_of_several_files_match_by_name_and_texts_by_content() {
        let mut rows = Rows::default();
        for (name, columns) in [("a", ["proto", "x"]), ("b", ["x", "proto"])] {
            let mut sampler = Sampler::new(2, 10, 1);
            let (slot, meta) = sampler.draw(name, None).unwrap();
            let at = columns.iter().position(|c| *c == "proto").unwrap();
            if name == "b" {
                sampler.text(at, "udp");
            }
            let mut cells = [Cell::Number(5.0); 2];
            cells[at] = sampler.text(at, "tcp");
            sampler.put(slot, &cells, meta);
            let columns = columns.map(|name| (name.to_owned(), Role::Feature));
            sampler.finish(file(name), &columns, &mut rows);
        }
        assert_eq!(rows.classes, ["a", "b"]);
        assert_eq!(rows.columns.len(), 2);
        assert!(rows.columns.iter().all(|column| column.values[0] == column.values[1]));
        assert_eq!(rows.position, [0, 1]);
    }

    #[test]
    fn texts_beyond_the_cap_count_as_one() {
        let mut sampler = Sampler::new(1, 10, 1);
        let codes: Vec<Cell> = (0..MAX_TEXTS + 3).map(|n| sampler.text(0, &n.to_string())).collect();
        assert_ne!(codes[0], codes[1]);
        assert_eq!(codes[MAX_TEXTS], codes[MAX_TEXTS + 2]);
    }
}
