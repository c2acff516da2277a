//! Writes networks of several shapes as ONNX models into a folder, each with inputs and the resulting probabilities.
//! Usage: onnx_samples DIR    writes NAME.onnx, NAME.x, NAME.p (little-endian f32), NAME.shape (rows steps inputs outputs)

use citronella_nn::{LossAt, Network, Spec, onnx};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::path::PathBuf::from(std::env::args().nth(1).ok_or("usage: onnx_samples DIR")?);
    let (rows, steps) = (33, 12);
    let specs = [
        ("paper", Spec::new(1, 64, 5)),
        ("binary", Spec::new(26, 64, 1)),
        ("stacked", Spec { hidden: vec![32, 20], batch_norm: true, dropout: 0.2, ..Spec::new(9, 32, 4) }),
        ("every", Spec { loss_at: LossAt::EveryStep, ..Spec::new(32, 64, 8) }),
    ];
    for (seed, (name, spec)) in specs.into_iter().enumerate() {
        let (inputs, outputs) = (spec.inputs, spec.outputs);
        let network = Network::new(spec, seed as u64)?;
        // Weights and running statistics that differ from their initial values.
        let tensors: Vec<_> = network.tensors();
        let network = Network::from_tensors(network.spec().clone(), |name| {
            let (_, shape, values) = tensors.iter().find(|t| t.0 == name)?;
            let values = values.iter().enumerate().map(|(i, v)| v + 0.1 * (i as f32 * 0.7).sin());
            Some((shape.clone(), values.collect()))
        })?;
        let x: Vec<f32> =
            (0..rows * steps * inputs).map(|i| ((i * i % 97) as f32 * 0.37).sin() * 1.5).collect();
        let p = network.predict(&x, rows, steps, 1)?;
        let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        std::fs::write(dir.join(format!("{name}.onnx")), onnx::model(&network, &[])?)?;
        std::fs::write(dir.join(format!("{name}.x")), bytes(&x))?;
        std::fs::write(dir.join(format!("{name}.p")), bytes(&p))?;
        std::fs::write(dir.join(format!("{name}.shape")), format!("{rows} {steps} {inputs} {outputs}"))?;
    }
    Ok(())
}
