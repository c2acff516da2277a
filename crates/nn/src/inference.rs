//! The forward pass without saved activations, for predictions.

use rayon::prelude::*;

use crate::error::check_length;
use crate::kernel::{CopyRows, Matmul, RowLayout, Softmax, Step};
use crate::layer::Head;
use crate::simd::Aligned;
use crate::{Error, Network};

/// Rows that are stepped together.
const BLOCK_ROWS: usize = 48;
/// Most rows that a thread processes at a time.
const TASK_ROWS: usize = 4 * BLOCK_ROWS;

impl Network {
    /// The probabilities after the last step: rows x outputs (one output: the probability of class 1).
    ///
    /// `x`: rows x steps x inputs, row-major. A row's result depends neither on other rows nor on
    /// `threads`.
    pub fn predict(&self, x: &[f32], rows: usize, steps: usize, threads: usize) -> Result<Vec<f32>, Error> {
        self.predictions(x, rows, steps, threads, false)
    }

    /// The probabilities after every step: rows x steps x outputs.
    pub fn predict_steps(
        &self,
        x: &[f32],
        rows: usize,
        steps: usize,
        threads: usize,
    ) -> Result<Vec<f32>, Error> {
        self.predictions(x, rows, steps, threads, true)
    }

    fn predictions(
        &self,
        x: &[f32],
        rows: usize,
        steps: usize,
        threads: usize,
        every: bool,
    ) -> Result<Vec<f32>, Error> {
        if steps == 0 {
            return Err(Error::Config("a sequence must have at least one step".to_string()));
        }
        check_length("x", x.len(), rows * steps * self.spec.inputs)?;
        if self.spec.batch_norm {
            return self.folded()?.predictions(x, rows, steps, threads, every);
        }
        let out_row = self.spec.outputs * if every { steps } else { 1 };
        let mut out = vec![0.0; rows * out_row];
        let run = |first: usize, out: &mut [f32]| {
            let n = out.len() / out_row;
            let row = steps * self.spec.inputs;
            forward(self, BLOCK_ROWS, &x[first * row..(first + n) * row], steps, every, out);
        };
        // Small enough that threads finish together, large enough that the weights stay in the cache.
        let task_rows = rows.div_ceil(threads.max(1)).min(TASK_ROWS);
        if threads <= 1 || rows <= 1 {
            run(0, &mut out);
        } else {
            out.par_chunks_mut(task_rows * out_row).enumerate().for_each(|(i, out)| run(i * task_rows, out));
        }
        Ok(out)
    }
}

/// State of rows that are stepped together, double-buffered.
pub(crate) struct Block {
    layers: Vec<Buffers>,
    /// Index of the current buffer of each pair.
    current: usize,
    /// rows x (1 + units): the head's input.
    top: Aligned,
    /// rows x columns.
    logits: Aligned,
}

struct Buffers {
    /// rows x depth: [1, x, h].
    xh: [Aligned; 2],
    /// rows x units.
    c: [Aligned; 2],
}

fn pair<T>(pair: &mut [T; 2], current: usize) -> (&mut T, &mut T) {
    let [first, second] = pair;
    if current == 0 { (first, second) } else { (second, first) }
}

impl Block {
    pub(crate) fn new(network: &Network, rows: usize) -> Block {
        let layers = network.layers.iter().map(|layer| {
            let xh = || Aligned::zeros(rows * layer.depth());
            let c = || Aligned::zeros(rows * layer.units);
            let mut buffers = Buffers { xh: [xh(), xh()], c: [c(), c()] };
            for xh in &mut buffers.xh {
                xh.chunks_exact_mut(layer.depth()).for_each(|row| row[0] = 1.0);
            }
            buffers
        });
        let (units, columns) = (network.head.units, network.head.columns);
        let mut top = Aligned::zeros(rows * (1 + units));
        top.chunks_exact_mut(1 + units).for_each(|row| row[0] = 1.0);
        Block { layers: layers.collect(), current: 0, top, logits: Aligned::zeros(rows * columns) }
    }

    /// State of layer `l`: h, with a row stride of the layer's depth, and c, with one of its units.
    pub(crate) fn state_mut(&mut self, network: &Network, l: usize) -> (&mut [f32], &mut [f32]) {
        let buffers = &mut self.layers[l];
        let h = &mut buffers.xh[self.current][1 + network.layers[l].inputs..];
        (h, &mut buffers.c[self.current])
    }

    /// One step of `rows` rows. `x`: inputs, laid out by `x_at`; `is_first`: the state is zero, whatever the buffers hold;
    /// `reverse`: see [`Step`].
    pub(crate) fn step(
        &mut self,
        network: &Network,
        rows: usize,
        (x, x_at): (&[f32], RowLayout<'_>),
        is_first: bool,
        reverse: bool,
    ) {
        let current = self.current;
        for l in 0..self.layers.len() {
            let (below, here) = self.layers.split_at_mut(l);
            let (layer, buffers) = (&network.layers[l], &mut here[0]);
            let (stride, n) = (layer.depth(), layer.inputs);
            let (from, from_at) = match (below.last(), l.checked_sub(1).map(|l| &network.layers[l])) {
                (Some(below), Some(layer)) => {
                    (&below.xh[1 - current][1 + layer.inputs..], RowLayout::Strided(layer.depth()))
                }
                _ => (x, x_at),
            };
            let (xh, next) = pair(&mut buffers.xh, current);
            let (c, c_out) = pair(&mut buffers.c, current);
            network.simd.run(CopyRows {
                rows,
                len: n,
                from,
                from_at,
                to: &mut xh[1..],
                to_at: RowLayout::Strided(stride),
            });
            if is_first {
                c[..rows * layer.units].fill(0.0);
            }
            network.simd.run(Step {
                panels: &layer.panels,
                rows,
                depth: if is_first { 1 + n } else { stride },
                xh,
                stride,
                reverse,
                c,
                c_out,
                h_out: &mut next[1 + n..],
                h_stride: stride,
                saved: None,
            });
        }
        self.current = 1 - current;
    }

    /// The probabilities of the current state: rows x columns, of which the first `outputs` are used.
    pub(crate) fn head(&mut self, network: &Network, rows: usize) -> &[f32] {
        if let (Some(buffers), Some(layer)) = (self.layers.last(), network.layers.last()) {
            network.simd.run(CopyRows {
                rows,
                len: layer.units,
                from: &buffers.xh[self.current][1 + layer.inputs..],
                from_at: RowLayout::Strided(layer.depth()),
                to: &mut self.top[1..],
                to_at: RowLayout::Strided(1 + layer.units),
            });
        }
        self.top_head(network, rows)
    }

    /// The head's input without its bias column, and its row stride.
    pub(crate) fn top_mut(&mut self, network: &Network) -> (&mut [f32], usize) {
        (&mut self.top[1..], 1 + network.head.units)
    }

    /// The probabilities of the h in [`Block::top_mut`].
    pub(crate) fn top_head(&mut self, network: &Network, rows: usize) -> &[f32] {
        let head = &network.head;
        network.simd.run(logits(head, rows, &self.top, &mut self.logits));
        let Head { outputs, columns, .. } = *head;
        network.simd.run(Softmax { rows, outputs, columns, logits: &mut self.logits });
        &self.logits[..rows * columns]
    }
}

/// The head's matrix product: `top` is rows x (1 + units), `out` rows x columns.
pub(crate) fn logits<'a>(head: &'a Head, rows: usize, top: &'a [f32], out: &'a mut [f32]) -> Matmul<'a> {
    Matmul {
        rows,
        depth: 1 + head.units,
        columns: head.columns,
        a: top,
        a_stride: 1 + head.units,
        b: &head.weights,
        b_stride: head.columns,
        out,
        out_stride: head.columns,
        add: false,
    }
}

/// x: n x steps x inputs; out: n x outputs, or n x steps x outputs for the probabilities of `every` step.
pub(crate) fn forward(
    network: &Network,
    block_rows: usize,
    x: &[f32],
    steps: usize,
    every: bool,
    out: &mut [f32],
) {
    let (inputs, outputs) = (network.spec.inputs, network.spec.outputs);
    let (row, out_row) = (steps * inputs, outputs * if every { steps } else { 1 });
    let mut block = Block::new(network, block_rows.min(x.len() / row));
    for (x, out) in x.chunks(block_rows * row).zip(out.chunks_mut(block_rows * out_row)) {
        let rows = x.len() / row;
        for t in 0..steps {
            block.step(network, rows, (&x[t * inputs..], RowLayout::Strided(row)), t == 0, t % 2 == 1);
            if every || t + 1 == steps {
                let at = if every { t * outputs } else { 0 };
                let probabilities = block.head(network, rows).chunks_exact(network.head.columns);
                for (p, out) in probabilities.zip(out.chunks_exact_mut(out_row)) {
                    out[at..at + outputs].copy_from_slice(&p[..outputs]);
                }
            }
        }
    }
}
