//! Exact nearest neighbours within one class.

use rayon::prelude::*;

use super::Matrix;

/// Rows that are compared at once; a vector register or four.
const LANES: usize = 16;

/// For each of `queries` (rows of `points`), its `k` nearest other rows, nearest first; equally near rows in the
/// order of their indices. Squared Euclidean distance in `f32`, by differences: rows that hardly differ, as CONNECT
/// packets do, stay apart, which the shorter way over dot products would not guarantee.
pub(super) fn nearest(points: &Matrix, queries: &[u32], k: usize) -> Vec<Vec<u32>> {
    let (rows, width) = (points.rows(), points.width);
    let blocks = rows.div_ceil(LANES);
    let mut turned = vec![f32::INFINITY; blocks * LANES * width];
    for (row, values) in points.data.chunks_exact(width.max(1)).enumerate() {
        let base = row / LANES * LANES * width + row % LANES;
        for (column, &value) in values.iter().enumerate() {
            if let Some(cell) = turned.get_mut(base + column * LANES) {
                *cell = value;
            }
        }
    }
    queries.par_iter().map(|&query| search(&turned, points.row(query as usize), query, k, width)).collect()
}

fn search(turned: &[f32], point: &[f32], query: u32, k: usize, width: usize) -> Vec<u32> {
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(k + 1);
    let mut worst = f32::INFINITY;
    for (block, values) in turned.chunks_exact((LANES * width).max(1)).enumerate() {
        let mut sums = [0.0f32; LANES];
        for (lanes, &mine) in values.as_chunks::<LANES>().0.iter().zip(point) {
            for (sum, &theirs) in sums.iter_mut().zip(lanes) {
                let difference = theirs - mine;
                *sum += difference * difference;
            }
        }
        // Padding rows are infinitely far, so a sum below `worst` is a row.
        for (lane, &distance) in sums.iter().enumerate() {
            let row = (block * LANES + lane) as u32;
            if distance < worst && row != query {
                let at = best.partition_point(|&(d, _)| d <= distance);
                best.insert(at, (distance, row));
                best.truncate(k);
                if best.len() == k {
                    worst = best.last().map_or(worst, |&(d, _)| d);
                }
            }
        }
    }
    best.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_to_sorting_all_distances(
            width in 1usize..6,
            values in proptest::collection::vec(0u8..4, 6..240),
            k in 1usize..7,
        ) {
            let rows = values.len() / width;
            let data: Vec<f32> = values.iter().take(rows * width).map(|&v| f32::from(v)).collect();
            let points = Matrix { data, width };
            let queries: Vec<u32> = (0..rows as u32).collect();
            let found = nearest(&points, &queries, k);
            for &query in &queries {
                let distance = |row: u32| -> f32 {
                    points.row(row as usize).iter().zip(points.row(query as usize)).map(|(a, b)| (a - b) * (a - b)).sum()
                };
                let mut expected: Vec<u32> = queries.iter().copied().filter(|&row| row != query).collect();
                expected.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(a.cmp(&b)));
                expected.truncate(k);
                prop_assert_eq!(&found[query as usize], &expected);
            }
        }
    }
}
