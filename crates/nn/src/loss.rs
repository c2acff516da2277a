//! Cross-entropy: binary for one sigmoid output, categorical for softmax.

/// Probabilities are clipped to this minimum before the logarithm, as in Keras.
const SMALLEST: f32 = 1e-7;

/// The cross-entropy of a row of probabilities (a single one is that of class 1).
pub(crate) fn loss_of(probabilities: &[f32], class: u32) -> f32 {
    -of_class(probabilities, class).max(SMALLEST).ln()
}

fn of_class(probabilities: &[f32], class: u32) -> f32 {
    match probabilities {
        [p] if class == 1 => *p,
        [p] => 1.0 - *p,
        all => all[class as usize],
    }
}

/// The most probable class; the first of equals.
pub(crate) fn predicted_class(probabilities: &[f32]) -> u32 {
    if let [p] = probabilities {
        return u32::from(*p > 0.5);
    }
    let mut best = 0;
    for (i, p) in probabilities.iter().enumerate() {
        if *p > probabilities[best] {
            best = i;
        }
    }
    best as u32
}

/// Replaces probabilities by `weight` times the gradient of the cross-entropy with respect to their logits.
pub(crate) fn to_gradient(probabilities: &mut [f32], class: u32, weight: f32) {
    if let [p] = probabilities {
        *p = weight * (*p - class as f32);
        return;
    }
    for (i, p) in probabilities.iter_mut().enumerate() {
        *p = weight * (*p - if i as u32 == class { 1.0 } else { 0.0 });
    }
}
