//! Training windows: rows of a conversation, padded to a common length.

use citronella_nn::Sequences;
use citronella_sensor::feature::sequence::WIDTH;

/// Windows of similar length, padded with zeros to `steps`.
pub struct Windows {
    /// Windows x `steps` x [`WIDTH`].
    pub x: Vec<f32>,
    /// Class of each window.
    pub y: Vec<u32>,
    /// Steps of each window before padding.
    pub lengths: Vec<u32>,
    /// Steps with padding.
    pub steps: usize,
}

impl Windows {
    fn new(steps: usize) -> Windows {
        Windows { x: Vec::new(), y: Vec::new(), lengths: Vec::new(), steps }
    }

    /// The trainer's input.
    pub fn sequences(&self) -> Sequences<'_> {
        let Windows { x, y, lengths, steps } = self;
        let (rows, lengths) = (y.len(), Some(lengths.as_slice()));
        Sequences { x, y, rows, steps: *steps, lengths, weights: None }
    }
}

/// Empty buckets for windows of up to `steps` steps, shortest first.
pub(super) fn buckets(steps: usize) -> Vec<Windows> {
    let mut sizes: Vec<usize> = [4, 12, 24].into_iter().filter(|size| *size < steps).collect();
    sizes.push(steps);
    sizes.into_iter().map(Windows::new).collect()
}

/// Adds a window to the first bucket that it fits in.
pub(super) fn push(buckets: &mut [Windows], class: u32, values: &[f32]) {
    let len = values.len() / WIDTH;
    let Some(windows) = buckets.iter_mut().find(|windows| windows.steps >= len) else { return };
    windows.x.extend_from_slice(values);
    windows.x.resize(windows.x.len() + (windows.steps - len) * WIDTH, 0.0);
    windows.y.push(class);
    windows.lengths.push(len as u32);
}
