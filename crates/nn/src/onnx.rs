//! Export to ONNX (opset 17). The model holds the network only; scaling and encoding of the inputs are the caller's.
//!
//! Input `x`: float (batch, steps, inputs). Outputs: `probabilities`, float (batch, outputs), after the last step; and
//! `step_probabilities`, float (batch, steps, outputs), if the network was trained with a loss at every step.

mod proto;

use crate::{Error, LossAt, Network};
use proto::{Message, attribute, attributes, node, tensor_f32, tensor_i64, value};

const IR_VERSION: u64 = 8;
const OPSET: u64 = 17;

/// The bytes of the model file. `metadata`: key-value pairs for the model's properties.
pub fn model(network: &Network, metadata: &[(String, String)]) -> Result<Vec<u8>, Error> {
    let network = network.folded()?;
    let mut opset = Message::new();
    opset.bytes(1, b"");
    opset.number(2, OPSET);
    let mut model = Message::new();
    model.number(1, IR_VERSION);
    model.bytes(2, b"citronella");
    model.bytes(3, env!("CARGO_PKG_VERSION").as_bytes());
    model.message(7, graph(&network));
    model.message(8, opset);
    for (key, text) in metadata {
        let mut property = Message::new();
        property.bytes(1, key.as_bytes());
        property.bytes(2, text.as_bytes());
        model.message(14, property);
    }
    Ok(model.into_bytes())
}

fn graph(network: &Network) -> Message {
    let spec = network.spec();
    let mut graph = Message::new();
    graph.message(1, node("Transpose", &["x"], &["seq0"], &[attributes("perm", &[1, 0, 2])]));
    let mut tensors = vec![tensor_i64("first", &[0]), tensor_i64("second", &[1])];
    for (l, &hidden) in spec.hidden.iter().enumerate() {
        let name = |part: &str| format!("{part}{l}");
        let (w, r, b) = (name("W"), name("R"), name("B"));
        let (y, h, next) = (name("Y"), name("H"), format!("seq{}", l + 1));
        let inputs = [name("seq"), w.clone(), r.clone(), b.clone()];
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        graph.message(1, node("LSTM", &inputs, &[&y, &h], &[attribute("hidden_size", hidden as i64)]));
        graph.message(1, node("Squeeze", &[&y, "second"], &[&next], &[]));
        let [ih, hh, mut bias] = network.layers[l].unpack().map(|values| reorder(&values));
        bias.extend(vec![0.0; 4 * hidden]);
        let depth = network.layers[l].inputs;
        tensors.push(tensor_f32(&w, &[1, 4 * hidden, depth], &ih));
        tensors.push(tensor_f32(&r, &[1, 4 * hidden, hidden], &hh));
        tensors.push(tensor_f32(&b, &[1, 8 * hidden], &bias));
    }
    let last = spec.hidden.len() - 1;
    let (h, seq) = (format!("H{last}"), format!("seq{}", last + 1));
    let activate = |from: &str, to: &str| {
        if spec.outputs == 1 {
            node("Sigmoid", &[from], &[to], &[])
        } else {
            node("Softmax", &[from], &[to], &[attribute("axis", -1)])
        }
    };
    graph.message(1, node("Squeeze", &[&h, "first"], &["last"], &[]));
    graph.message(1, node("MatMul", &["last", "dense"], &["product"], &[]));
    graph.message(1, node("Add", &["product", "dense_bias"], &["logits"], &[]));
    graph.message(1, activate("logits", "probabilities"));
    let mut outputs = vec![value("probabilities", &[None, Some(spec.outputs)])];
    if spec.loss_at == LossAt::EveryStep {
        graph.message(1, node("Transpose", &[&seq], &["every"], &[attributes("perm", &[1, 0, 2])]));
        graph.message(1, node("MatMul", &["every", "dense"], &["step_product"], &[]));
        graph.message(1, node("Add", &["step_product", "dense_bias"], &["step_logits"], &[]));
        graph.message(1, activate("step_logits", "step_probabilities"));
        outputs.push(value("step_probabilities", &[None, None, Some(spec.outputs)]));
    }
    let [weight, bias] = network.head.unpack();
    let (n, hidden) = (spec.outputs, network.head.hidden);
    let transposed: Vec<f32> = (0..hidden * n).map(|i| weight[(i % n) * hidden + i / n]).collect();
    tensors.push(tensor_f32("dense", &[hidden, n], &transposed));
    tensors.push(tensor_f32("dense_bias", &[n], &bias));
    graph.bytes(2, b"citronella");
    tensors.into_iter().for_each(|t| graph.message(5, t));
    graph.message(11, value("x", &[None, None, Some(spec.inputs)]));
    outputs.into_iter().for_each(|o| graph.message(12, o));
    graph
}

/// Reorders the gates i, f, g, o to ONNX's order i, o, f, g.
fn reorder(values: &[f32]) -> Vec<f32> {
    let gate = values.len() / 4;
    [0, 3, 1, 2].iter().flat_map(|g| &values[g * gate..(g + 1) * gate]).copied().collect()
}
