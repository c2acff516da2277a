//! A network and its weights.

use crate::batch_norm::Norm;
use crate::layer::{Head, Layer};
use crate::random::Random;
use crate::simd::Simd;
use crate::{Error, Spec};

/// Stacked LSTM layers and a dense head, f32.
///
/// An LSTM step (equations 1-5 of the paper): `i = s(Wi x + Ui h + bi)`, `f = s(Wf x + Uf h + bf)`,
/// `g = tanh(Wg x + Ug h + bg)`, `o = s(Wo x + Uo h + bo)`; `c' = f c + i g`, `h' = o tanh(c')`, where s is the sigmoid.
#[derive(Clone)]
pub struct Network {
    pub(crate) spec: Spec,
    pub(crate) layers: Vec<Layer>,
    pub(crate) head: Head,
    /// One per layer with batch normalisation, else empty.
    pub(crate) norms: Vec<Norm>,
    pub(crate) simd: Simd,
}

impl Network {
    /// Initial weights as in Keras: kernels Glorot uniform, recurrent kernels orthogonal, biases of the forget gate one, other
    /// biases zero. The same seed gives the same weights.
    pub fn new(spec: Spec, seed: u64) -> Result<Network, Error> {
        spec.check()?;
        let mut random = Random::new(seed, 0);
        let mut tensors = Vec::new();
        for (name, shape) in shapes(&spec) {
            let values = match shape.as_slice() {
                [rows, columns] if name.contains("_hh_") => random.orthogonal(*rows, *columns),
                [rows, columns] => random.glorot(*rows, *columns),
                [n] if name.starts_with("lstm.") => {
                    let h = n / 4;
                    (0..*n).map(|row| if (h..2 * h).contains(&row) { 1.0 } else { 0.0 }).collect()
                }
                _ => {
                    let one = name.starts_with("norm.weight") || name.starts_with("norm.variance");
                    vec![if one { 1.0 } else { 0.0 }; shape.iter().product()]
                }
            };
            tensors.push((name, shape, values));
        }
        Network::from_tensors(spec, |name| {
            tensors.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()))
        })
    }

    /// A network with given weights. `get` returns a tensor's shape and row-major values by name.
    ///
    /// `lstm.weight_ih_l<k>` (4h, inputs), `lstm.weight_hh_l<k>` (4h, h), `lstm.bias_l<k>` (4h) for each layer k;
    /// `dense.weight` (outputs, h), `dense.bias` (outputs). Gate order i, f, g, o. With batch normalisation also
    /// `norm.weight_l<k>`, `norm.bias_l<k>`, `norm.mean_l<k>`, `norm.variance_l<k>` (h) for each layer.
    pub fn from_tensors<'a>(
        spec: Spec,
        mut get: impl FnMut(&str) -> Option<(Vec<usize>, Vec<f32>)> + 'a,
    ) -> Result<Network, Error> {
        spec.check()?;
        let mut found = Vec::new();
        for (name, wanted) in shapes(&spec) {
            let (shape, values) = get(&name).ok_or(Error::MissingTensor { name: name.clone() })?;
            if shape != wanted || values.len() != wanted.iter().product::<usize>() {
                return Err(Error::TensorShape { name, found: shape, wanted });
            }
            found.push(values);
        }
        let mut layers = Vec::new();
        let (lstm, rest) = found.split_at(3 * spec.hidden.len());
        for (l, (&hidden, tensors)) in spec.hidden.iter().zip(lstm.chunks_exact(3)).enumerate() {
            let inputs = if l == 0 { spec.inputs } else { spec.hidden[l - 1] };
            layers.push(Layer::pack(inputs, hidden, &tensors[0], &tensors[1], &tensors[2], l > 0));
        }
        let hidden = spec.hidden[layers.len() - 1];
        let head = Head::pack(hidden, spec.outputs, &rest[0], &rest[1]);
        let norms =
            spec.hidden.iter().zip(rest[2..].chunks_exact(4)).map(|(&h, t)| Norm::pack(h, t)).collect();
        Ok(Network { spec, layers, head, norms, simd: Simd::detect() })
    }

    /// All weights: name, shape, row-major values, as [`Network::from_tensors`] expects.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let values = self.layers.iter().flat_map(Layer::unpack).chain(self.head.unpack());
        let values = values.chain(self.norms.iter().flat_map(Norm::unpack));
        shapes(&self.spec).into_iter().zip(values).map(|((name, shape), v)| (name, shape, v)).collect()
    }

    /// The network's architecture.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The same network with its logits divided by a temperature (Guo et al. 2017), folded into the head's weights.
    ///
    /// # Errors
    /// Only for a network whose weights are invalid.
    pub fn with_temperature(&self, temperature: f32) -> Result<Network, Error> {
        let mut tensors = self.tensors();
        for (_, _, values) in tensors.iter_mut().filter(|tensor| tensor.0.starts_with("dense.")) {
            values.iter_mut().for_each(|value| *value /= temperature);
        }
        let get = |name: &str| tensors.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()));
        Ok(Network::from_tensors(self.spec.clone(), get)?.with_simd(self.simd))
    }

    /// The same function without batch normalisation and dropout: normalisation is folded into the weights of the next layer.
    pub fn folded(&self) -> Result<Network, Error> {
        let mut tensors = self.tensors();
        for (l, norm) in self.norms.iter().enumerate() {
            let top = l + 1 == self.layers.len();
            let (weight, bias) = if top {
                ("dense.weight".to_string(), "dense.bias".to_string())
            } else {
                (format!("lstm.weight_ih_l{}", l + 1), format!("lstm.bias_l{}", l + 1))
            };
            let units = norm.folded();
            let mut offsets = Vec::new();
            for (_, _, values) in tensors.iter_mut().filter(|t| t.0 == weight) {
                for row in values.chunks_exact_mut(units.len()) {
                    offsets.push(row.iter().zip(&units).map(|(w, (_, offset))| w * offset).sum::<f32>());
                    row.iter_mut().zip(&units).for_each(|(w, (factor, _))| *w *= factor);
                }
            }
            for (_, _, values) in tensors.iter_mut().filter(|t| t.0 == bias) {
                values.iter_mut().zip(&offsets).for_each(|(b, o)| *b += o);
            }
        }
        let spec = Spec { dropout: 0.0, batch_norm: false, ..self.spec.clone() };
        let get = |name: &str| tensors.iter().find(|t| t.0 == name).map(|t| (t.1.clone(), t.2.clone()));
        Ok(Network::from_tensors(spec, get)?.with_simd(self.simd))
    }

    /// The same network on another instruction set.
    pub fn with_simd(mut self, simd: Simd) -> Network {
        self.simd = simd;
        self
    }
}

/// Name and shape of every tensor, in the order of the layers.
pub(crate) fn shapes(spec: &Spec) -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    let mut inputs = spec.inputs;
    for (l, &h) in spec.hidden.iter().enumerate() {
        all.push((format!("lstm.weight_ih_l{l}"), vec![4 * h, inputs]));
        all.push((format!("lstm.weight_hh_l{l}"), vec![4 * h, h]));
        all.push((format!("lstm.bias_l{l}"), vec![4 * h]));
        inputs = h;
    }
    all.push(("dense.weight".to_string(), vec![spec.outputs, inputs]));
    all.push(("dense.bias".to_string(), vec![spec.outputs]));
    for (l, &h) in spec.hidden.iter().enumerate().take_while(|_| spec.batch_norm) {
        for part in ["weight", "bias", "mean", "variance"] {
            all.push((format!("norm.{part}_l{l}"), vec![h]));
        }
    }
    all
}
