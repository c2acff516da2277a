//! General matrix products on one thread, for the dense network and nearest neighbours.

/// A matrix in a slice: element (row, column) is at index `row * strides.0 + column * strides.1`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    strides: (usize, usize),
}

impl<'a> View<'a> {
    /// A row-major matrix of rows x columns.
    ///
    /// # Panics
    /// The slice has another length than rows x columns.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> View<'a> {
        assert_eq!(data.len(), rows * columns, "a matrix of {rows} x {columns}");
        View { data, rows, columns, strides: (columns, 1) }
    }

    /// The transposed matrix.
    pub fn transposed(self) -> View<'a> {
        let View { data, rows, columns, strides } = self;
        View { data, rows: columns, columns: rows, strides: (strides.1, strides.0) }
    }
}

/// `out = a b + beta out`: a.rows x b.columns, row-major. `beta` is 0 or 1.
///
/// # Panics
/// The shapes do not match.
pub fn multiply(a: View<'_>, b: View<'_>, beta: f32, out: &mut [f32]) {
    assert_eq!(a.columns, b.rows, "the inner sides of a product");
    assert_eq!(out.len(), a.rows * b.columns, "the result of a product");
    if out.is_empty() {
        return;
    }
    let (stride, column) = (b.columns as isize, 1);
    // SAFETY: a `View` spans its slice exactly and its strides stay within it for all rows and columns; `out` has
    // a.rows x b.columns elements, which do not overlap; the three slices outlive the call.
    unsafe {
        matrixmultiply::sgemm(
            a.rows,
            a.columns,
            b.columns,
            1.0,
            a.data.as_ptr(),
            a.strides.0 as isize,
            a.strides.1 as isize,
            b.data.as_ptr(),
            b.strides.0 as isize,
            b.strides.1 as isize,
            beta,
            out.as_mut_ptr(),
            stride,
            column,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_to_the_definition() {
        let a: Vec<f32> = (0..6u8).map(f32::from).collect(); // 2 x 3
        let b: Vec<f32> = (0..12u8).map(|n| f32::from(n) - 5.0).collect(); // 3 x 4
        let expected = |i: usize, j: usize| (0..3).map(|k| a[i * 3 + k] * b[k * 4 + j]).sum::<f32>();
        let mut out = vec![0.0; 8];
        multiply(View::new(&a, 2, 3), View::new(&b, 3, 4), 0.0, &mut out);
        for (at, value) in out.iter().enumerate() {
            assert_eq!(*value, expected(at / 4, at % 4));
        }
        let transposed: Vec<f32> = (0..12).map(|at| b[at % 3 * 4 + at / 3]).collect(); // 4 x 3
        let mut again = vec![1.0; 8];
        multiply(View::new(&a, 2, 3), View::new(&transposed, 4, 3).transposed(), 1.0, &mut again);
        assert!(out.iter().zip(&again).all(|(x, y)| x + 1.0 == *y));
    }
}
