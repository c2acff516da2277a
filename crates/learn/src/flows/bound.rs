//! Upper confidence bounds of the rate of rare events: 95 %, one-sided.

/// Probability that the true value exceeds the bound.
const ALPHA: f64 = 0.05;

/// Upper bound of a proportion with `events` in `trials` (Clopper & Pearson 1934); about 3 / trials without events.
/// `None` without trials.
pub fn share_upper_95(events: u64, trials: u64) -> Option<f64> {
    if trials == 0 {
        return None;
    }
    if events >= trials {
        return Some(1.0);
    }
    let (n, at_most) = (trials as f64, |p: f64| {
        at_most(events, |k| binomial_step(trials, k, p), (1.0 - p).ln() * trials as f64)
    });
    Some(bisect(events as f64 / n, 1.0, at_most))
}

/// Upper bound of a Poisson mean with `events` observed.
pub fn count_upper_95(events: u64) -> f64 {
    let from = events as f64;
    bisect(from, from + 10.0 * (from.sqrt() + 1.0), |mean| at_most(events, |k| mean / k as f64, -mean))
}

/// P(k) / P(k - 1) of the binomial distribution.
fn binomial_step(trials: u64, k: u64, p: f64) -> f64 {
    (trials - k + 1) as f64 / k as f64 * p / (1.0 - p)
}

/// P(X <= events), from ln P(0) and the ratios P(k) / P(k - 1).
fn at_most(events: u64, step: impl Fn(u64) -> f64, ln_none: f64) -> f64 {
    let (mut ln, mut sum) = (ln_none, ln_none.exp());
    for k in 1..=events {
        ln += step(k).ln();
        sum += ln.exp();
    }
    sum
}

/// The argument at which a decreasing probability equals [`ALPHA`].
fn bisect(mut low: f64, mut high: f64, probability: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..100 {
        let middle = low + (high - low) / 2.0;
        if probability(middle) > ALPHA { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.beta.ppf(0.95, k + 1, n - k)` and `scipy.stats.chi2.ppf(0.95, 2 * k + 2) / 2`.
    #[test]
    fn bounds_equal_scipy() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6 * b.max(1e-3), "{a} {b}");
        near(share_upper_95(0, 100).unwrap(), 0.029_513_049_607);
        near(share_upper_95(3, 3616).unwrap(), 0.002_142_854_344);
        near(share_upper_95(9, 10).unwrap(), 0.994_883_803_108);
        near(count_upper_95(0), 2.995_732_273_554);
        near(count_upper_95(7), 13.148_113_802_432);
        assert_eq!((share_upper_95(5, 5), share_upper_95(0, 0)), (Some(1.0), None));
    }
}
