//! Labelled sequences.

use crate::error::check_length;
use crate::{Error, Spec};

/// Labelled sequences, row-major, padded to one number of steps.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<'a> {
    /// rows x steps x inputs.
    pub x: &'a [f32],
    /// A class per row.
    pub y: &'a [u32],
    /// Rows.
    pub rows: usize,
    /// Steps of the longest row.
    pub steps: usize,
    /// Steps of each row, 1 to `steps`; `None` if all have `steps`. Values behind a row's end are ignored, but
    /// must be finite.
    pub lengths: Option<&'a [u32]>,
    /// rows x steps: a factor on the loss of each step; with [`LossAt::LastStep`](crate::LossAt) only that of a row's last step is
    /// used.
    ///
    /// The loss of a row is the mean over its steps of factor times cross-entropy, a batch's the mean over its rows.
    pub weights: Option<&'a [f32]>,
}

impl<'a> Sequences<'a> {
    /// Rows of one length.
    pub fn new(x: &'a [f32], y: &'a [u32], rows: usize, steps: usize) -> Sequences<'a> {
        Sequences { x, y, rows, steps, lengths: None, weights: None }
    }

    /// The step, counted from 0, after which row `row` ends.
    pub(crate) fn last(&self, row: usize) -> usize {
        self.lengths.map_or(self.steps, |l| l[row] as usize) - 1
    }

    pub(crate) fn check(&self, spec: &Spec) -> Result<(), Error> {
        if self.steps == 0 {
            return Err(Error::Config("a sequence must have at least one step".to_string()));
        }
        if u32::try_from(self.rows).is_err() || u32::try_from(self.steps).is_err() {
            return Err(Error::Config("rows and steps must be 4294967295 or fewer".to_string()));
        }
        check_length("x", self.x.len(), self.rows * self.steps * spec.inputs)?;
        check_length("y", self.y.len(), self.rows)?;
        let classes = spec.classes();
        if let Some((row, &class)) = self.y.iter().enumerate().find(|(_, y)| **y >= classes) {
            return Err(Error::Class { row, class, classes });
        }
        if let Some(lengths) = self.lengths {
            check_length("lengths", lengths.len(), self.rows)?;
            if let Some(row) = lengths.iter().position(|&l| l == 0 || l as usize > self.steps) {
                let (length, steps) = (lengths[row], self.steps);
                return Err(Error::Config(format!(
                    "row {row} has {length} steps; it must have 1 to {steps}"
                )));
            }
        }
        self.weights.map_or(Ok(()), |w| check_length("weights", w.len(), self.rows * self.steps))
    }
}
