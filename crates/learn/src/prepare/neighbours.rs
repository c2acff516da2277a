//! Exact nearest neighbours, by blocked products.
//!
//! |a - b|^2 = |a|^2 + |b|^2 - 2 a b: the products of a block of rows, (-2 a, 1), with a block of others, (b, |b|^2),
//! cost a tenth of their differences. They round, though, so they only choose: whatever could be nearer than the k-th neighbour so far, by a
//! bound of that rounding, is measured again by differences. The result is that of differences alone, bit by bit.

use citronella_nn::{View, multiply};
use rayon::prelude::*;

use super::Matrix;

/// Rows that look for neighbours together, and rows that are looked at together: their products fill half of a core's
/// second cache.
const QUERIES: usize = 64;
const POINTS: usize = 1024;
/// Products that are passed over at once.
const LANES: usize = 16;

/// Rows to search, moved by each input's median: what is small rounds little, and most rows are near it.
pub(crate) struct Neighbours<'a> {
    points: &'a Matrix,
    medians: Vec<f32>,
    /// The moved rows, each with its squared length, less what its products may be off by, behind it.
    moved: Vec<f32>,
}

/// A row's nearest so far: squared distance and row, nearest first.
struct Nearest {
    found: Vec<(f32, u32)>,
    /// Distance of the k-th, infinite before there is one.
    worst: f32,
}

impl<'a> Neighbours<'a> {
    pub(crate) fn new(points: &'a Matrix) -> Self {
        let width = points.width;
        let median = |column: usize| {
            let mut values: Vec<f32> = points.data.iter().skip(column).step_by(width).copied().collect();
            let middle = values.len() / 2;
            let found =
                (middle < values.len()).then(|| *values.select_nth_unstable_by(middle, f32::total_cmp).1);
            found.filter(|value| value.is_finite()).unwrap_or_default()
        };
        let medians: Vec<f32> = (0..width).into_par_iter().map(median).collect();
        let moved = moved(&points.data, &medians);
        let with_length = |row: &[f32]| row.iter().copied().chain([length(row)]).collect::<Vec<f32>>();
        let moved = moved.chunks_exact(width.max(1)).flat_map(with_length).collect();
        Neighbours { points, medians, moved }
    }

    /// For each of `queries`, its `k` nearest points, nearest first; equally near ones in the order of their indices.
    /// `own` is the row among the points that a query is itself, if it is one. Squared Euclidean distance in `f32`, by
    /// differences: rows that hardly differ, as CONNECT packets do, stay apart.
    pub(crate) fn nearest(&self, queries: &Matrix, own: Option<&[u32]>, k: usize) -> Vec<Vec<u32>> {
        let width = self.points.width.max(1);
        let blocks = queries.data.par_chunks(QUERIES * width).enumerate();
        let each = |(block, rows): (usize, &[f32])| {
            let own = own.map(|own| own.get(block * QUERIES..).unwrap_or_default());
            self.block(rows, own, k)
        };
        blocks.flat_map_iter(each).collect()
    }

    fn block(&self, rows: &[f32], own: Option<&[u32]>, k: usize) -> Vec<Vec<u32>> {
        let width = self.points.width.max(1);
        let queries = moved(rows, &self.medians);
        let of_queries: Vec<f32> = queries.chunks_exact(width).map(length).collect();
        let with_one = |row: &[f32]| row.iter().map(|x| -2.0 * x).chain([1.0]).collect::<Vec<f32>>();
        let queries: Vec<f32> = queries.chunks_exact(width).flat_map(with_one).collect();
        let count = of_queries.len();
        let mut best: Vec<Nearest> =
            (0..count).map(|_| Nearest { found: Vec::with_capacity(k + 1), worst: f32::INFINITY }).collect();
        let mut products = vec![0.0; count * POINTS];
        for (number, points) in self.moved.chunks(POINTS * (width + 1)).enumerate() {
            let there = points.len() / (width + 1);
            let Some(products) = products.get_mut(..count * there) else { continue };
            multiply(
                View::new(&queries, count, width + 1),
                View::new(points, there, width + 1).transposed(),
                0.0,
                products,
            );
            let each = best
                .iter_mut()
                .zip(rows.chunks_exact(width))
                .zip(products.chunks_exact(there))
                .zip(&of_queries);
            for (at, (((best, query), products), length)) in each.enumerate() {
                let own = own.and_then(|own| own.get(at)).copied();
                self.scan(best, query, products, *length, (number * POINTS) as u32, own, k);
            }
        }
        best.into_iter().map(|best| best.found.into_iter().map(|(_, row)| row).collect()).collect()
    }

    #[expect(clippy::too_many_arguments, reason = "one inner loop, taken out to be read")]
    #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "what is not a number must be looked at")]
    fn scan(
        &self,
        best: &mut Nearest,
        query: &[f32],
        products: &[f32],
        length: f32,
        first: u32,
        own: Option<u32>,
        k: usize,
    ) {
        let bound = |worst: f32| worst * (1.0 + 1e-4) - length;
        let mut limit = bound(best.worst);
        for (block, products) in products.chunks(LANES).enumerate() {
            let mut any = false;
            for product in products {
                any |= !(*product >= limit);
            }
            if !any {
                continue;
            }
            for (lane, product) in products.iter().enumerate() {
                let row = first + (block * LANES + lane) as u32;
                if *product >= limit || own == Some(row) {
                    continue;
                }
                let distance = distance(query, self.points.row(row as usize));
                if distance < best.worst {
                    let at = best.found.partition_point(|&(d, _)| d <= distance);
                    best.found.insert(at, (distance, row));
                    best.found.truncate(k);
                    if best.found.len() == k {
                        best.worst = best.found.last().map_or(best.worst, |&(d, _)| d);
                        limit = bound(best.worst);
                    }
                }
            }
        }
    }
}

/// How far a product's distance may lie from the one by differences beyond the latter's own rounding, as a share of both
/// squared lengths, in units of 2^-24: a sum of `width` + 1 terms in any order that are twice these lengths at most, the
/// length's own sum, and the rounding of what was moved: 3 `width` + 11 is enough.
fn off(width: usize) -> f32 {
    (4.0 * width as f32 + 64.0) / (1u32 << 24) as f32
}

fn moved(rows: &[f32], by: &[f32]) -> Vec<f32> {
    rows.chunks_exact(by.len().max(1)).flat_map(|row| row.iter().zip(by).map(|(x, m)| x - m)).collect()
}

/// A squared length, less what the products may be off by.
fn length(row: &[f32]) -> f32 {
    (1.0 - off(row.len())) * row.iter().map(|x| x * x).sum::<f32>()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sum = 0.0;
    for (a, b) in a.iter().zip(b) {
        let difference = b - a;
        sum += difference * difference;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Differences alone, and a sort.
    fn by_definition(points: &Matrix, query: &[f32], own: Option<u32>, k: usize) -> Vec<u32> {
        let far = |row: u32| distance(query, points.row(row as usize));
        let mut all: Vec<u32> = (0..points.rows() as u32).filter(|&row| Some(row) != own).collect();
        all.sort_by(|&a, &b| far(a).total_cmp(&far(b)).then(a.cmp(&b)));
        all.truncate(k);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Also with many equal rows, and with values so large and near that products alone would mix them up.
        #[test]
        fn equal_to_sorting_all_distances(
            width in 1usize..6,
            values in proptest::collection::vec(0u8..4, 6..400),
            k in 1usize..7,
            offset in prop_oneof![Just(0.0f32), Just(1e4), Just(3e7)],
            scale in prop_oneof![Just(1.0f32), Just(1e-3), Just(1e5)],
        ) {
            let rows = values.len() / width;
            let data: Vec<f32> = values.iter().take(rows * width).map(|&v| offset + scale * f32::from(v)).collect();
            let points = Matrix { data, width };
            let own: Vec<u32> = (0..rows as u32).collect();
            let search = Neighbours::new(&points);
            let (inside, outside) = (search.nearest(&points, Some(&own), k), search.nearest(&points, None, k));
            for row in 0..rows {
                prop_assert_eq!(&inside[row], &by_definition(&points, points.row(row), Some(row as u32), k));
                prop_assert_eq!(&outside[row], &by_definition(&points, points.row(row), None, k));
            }
        }
    }

    #[test]
    fn blocks_do_not_matter() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        let width = 7;
        let points = Matrix { data: (0..3000 * width).map(|_| random()).collect(), width };
        let own: Vec<u32> = (0..3000).collect();
        let found = Neighbours::new(&points).nearest(&points, Some(&own), 5);
        for row in (0..3000).step_by(37) {
            assert_eq!(found[row], by_definition(&points, points.row(row), Some(row as u32), 5));
        }
    }
}
