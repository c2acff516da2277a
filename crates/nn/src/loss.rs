//! Sigmoid with binary, softmax with categorical cross-entropy.

/// Logits to probabilities: one output through the sigmoid, more through the softmax.
pub(crate) fn probabilities(logits: &[f32], out: &mut [f32]) {
    if let ([logit], [p]) = (logits, &mut *out) {
        *p = 1.0 / (1.0 + (-logit).exp());
        return;
    }
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for (p, logit) in out.iter_mut().zip(logits) {
        *p = (logit - max).exp();
        sum += *p;
    }
    out.iter_mut().for_each(|p| *p /= sum);
}

/// Replaces logits by `weight` times the gradient of the cross-entropy with respect to them; gives the loss
/// (not weighted) and the class that the logits name.
pub(crate) fn cross_entropy(logits: &mut [f32], class: u32, weight: f32) -> (f32, u32) {
    if let [logit] = logits {
        let (z, y) = (*logit, class as f32);
        let loss = z.max(0.0) - z * y + (-z.abs()).exp().ln_1p();
        *logit = weight * (1.0 / (1.0 + (-z).exp()) - y);
        return (loss, u32::from(z > 0.0));
    }
    let (mut best, mut max) = (0, f32::NEG_INFINITY);
    for (i, &logit) in logits.iter().enumerate() {
        if logit > max {
            (best, max) = (i as u32, logit);
        }
    }
    let chosen = logits[class as usize];
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - max).exp();
        sum += *logit;
    }
    for (i, p) in logits.iter_mut().enumerate() {
        *p = weight * (*p / sum - if i as u32 == class { 1.0 } else { 0.0 });
    }
    (sum.ln() + max - chosen, best)
}

/// Keras clips probabilities here before it takes their logarithm.
const SMALLEST: f32 = 1e-7;

/// The cross-entropy of given probabilities.
pub(crate) fn loss_of(probabilities: &[f32], class: u32) -> f32 {
    let p = match probabilities {
        [p] if class == 1 => *p,
        [p] => 1.0 - *p,
        all => all[class as usize],
    };
    -p.clamp(SMALLEST, 1.0 - SMALLEST).ln()
}
