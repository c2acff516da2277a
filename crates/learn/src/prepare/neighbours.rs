//! Exact nearest neighbours by blocked matrix products.
//!
//! As |a - b|^2 = |a|^2 + |b|^2 - 2 a b, the products of a block of rows (-2 a, 1) with a block of rows (b, |b|^2) give
//! distances at a tenth of the cost of differences, but rounded. They only select candidates: every row that could be
//! nearer than the k-th neighbour so far, given a bound of the rounding, is measured again by differences. The result
//! equals that of differences alone, bit for bit.

use citronella_nn::{View, multiply};
use rayon::prelude::*;

use super::Matrix;

/// Queries and points of a block: their products fill half of a core's L2 cache.
const QUERIES: usize = 64;
const POINTS: usize = 1024;
/// Products that are compared with the bound at once.
const LANES: usize = 16;

/// The rows to search, centred on each input's median, which keeps them small and the rounding low.
pub(crate) struct Neighbours<'a> {
    points: &'a Matrix,
    medians: Vec<f32>,
    /// The centred rows, each followed by its squared length less the bound of the rounding.
    centred: Vec<f32>,
}

/// The nearest rows so far.
struct Nearest {
    /// Squared distance and row, nearest first.
    rows: Vec<(f32, u32)>,
    /// The distance of the k-th; infinite if there are fewer.
    worst: f32,
}

impl<'a> Neighbours<'a> {
    pub(crate) fn new(points: &'a Matrix) -> Self {
        let width = points.width;
        let median = |column: usize| {
            let mut values: Vec<f32> = points.data.iter().skip(column).step_by(width).copied().collect();
            let middle = values.len() / 2;
            let median =
                (middle < values.len()).then(|| *values.select_nth_unstable_by(middle, f32::total_cmp).1);
            median.filter(|value| value.is_finite()).unwrap_or_default()
        };
        let medians: Vec<f32> = (0..width).into_par_iter().map(median).collect();
        let centred = centre(&points.data, &medians);
        let with_length = |row: &[f32]| row.iter().copied().chain([length(row)]).collect::<Vec<f32>>();
        let centred = centred.chunks_exact(width.max(1)).flat_map(with_length).collect();
        Neighbours { points, medians, centred }
    }

    /// The `k` nearest points of each query by Euclidean distance, nearest first; equally near ones by their indices.
    /// `own`: for each query the point that it is itself, which is excluded. Distances are sums of squared differences in
    /// `f32`, so that rows that hardly differ, such as CONNECT packets, are ranked correctly.
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
        let queries = centre(rows, &self.medians);
        let of_queries: Vec<f32> = queries.chunks_exact(width).map(length).collect();
        let with_one = |row: &[f32]| row.iter().map(|x| -2.0 * x).chain([1.0]).collect::<Vec<f32>>();
        let queries: Vec<f32> = queries.chunks_exact(width).flat_map(with_one).collect();
        let count = of_queries.len();
        let mut best: Vec<Nearest> =
            (0..count).map(|_| Nearest { rows: Vec::with_capacity(k + 1), worst: f32::INFINITY }).collect();
        let mut products = vec![0.0; count * POINTS];
        for (number, points) in self.centred.chunks(POINTS * (width + 1)).enumerate() {
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
        best.into_iter().map(|best| best.rows.into_iter().map(|(_, row)| row).collect()).collect()
    }

    #[expect(clippy::too_many_arguments, reason = "an inner loop")]
    #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must be measured")]
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
                    let at = best.rows.partition_point(|&(d, _)| d <= distance);
                    best.rows.insert(at, (distance, row));
                    best.rows.truncate(k);
                    if best.rows.len() == k {
                        best.worst = best.rows.last().map_or(best.worst, |&(d, _)| d);
                        limit = bound(best.worst);
                    }
                }
            }
        }
    }
}

/// A bound of the rounding of a distance by products, as a share of both squared lengths. In units of 2^-24: a sum of
/// `width` + 1 terms of at most twice these lengths in any order, the sum of the length itself, and the rounding of the
/// centring: 3 `width` + 11 is enough.
fn rounding(width: usize) -> f32 {
    (4.0 * width as f32 + 64.0) / (1u32 << 24) as f32
}

fn centre(rows: &[f32], by: &[f32]) -> Vec<f32> {
    rows.chunks_exact(by.len().max(1)).flat_map(|row| row.iter().zip(by).map(|(x, m)| x - m)).collect()
}

/// A squared length less the bound of the rounding.
fn length(row: &[f32]) -> f32 {
    (1.0 - rounding(row.len())) * row.iter().map(|x| x * x).sum::<f32>()
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

    /// All distances by differences, sorted.
    fn by_definition(points: &Matrix, query: &[f32], own: Option<u32>, k: usize) -> Vec<u32> {
        let far = |row: u32| distance(query, points.row(row as usize));
        let mut all: Vec<u32> = (0..points.rows() as u32).filter(|&row| Some(row) != own).collect();
        all.sort_by(|&a, &b| far(a).total_cmp(&far(b)).then(a.cmp(&b)));
        all.truncate(k);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Includes many equal rows, and values so large and near that products alone would rank them wrongly.
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
    fn blocks_do_not_change_the_result() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        let width = 7;
        let points = Matrix { data: (0..3000 * width).map(|_| random()).collect(), width };
        let own: Vec<u32> = (0..3000).collect();
        let nearest = Neighbours::new(&points).nearest(&points, Some(&own), 5);
        for row in (0..3000).step_by(37) {
            assert_eq!(nearest[row], by_definition(&points, points.row(row), Some(row as u32), 5));
        }
    }
}
