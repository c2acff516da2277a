//! L-BFGS with ten corrections and a line search for the Wolfe conditions (Nocedal and Wright 2006, algorithms 7.4, 7.5).

use std::collections::VecDeque;

const CORRECTIONS: usize = 10;

/// Minimises a smooth function of `n` variables, starting at zero. `objective` returns the value and writes the gradient.
/// Stops when no component of the gradient exceeds `tolerance`, after `iterations`, or when no step lowers the value.
pub(super) fn minimise(
    n: usize,
    iterations: usize,
    tolerance: f64,
    objective: &mut dyn FnMut(&[f64], &mut [f64]) -> f64,
) -> Vec<f64> {
    let mut x = vec![0.0; n];
    let mut gradient = vec![0.0; n];
    let mut value = objective(&x, &mut gradient);
    let mut corrections: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    for _ in 0..iterations {
        if gradient.iter().all(|g| g.abs() <= tolerance) {
            break;
        }
        let mut direction = two_loops(&gradient, &corrections);
        if dot(&direction, &gradient) >= 0.0 {
            corrections.clear();
            direction = gradient.iter().map(|g| -g).collect();
        }
        let first = if corrections.is_empty() { 1.0 / norm(&gradient).max(1.0) } else { 1.0 };
        let Some((step, new_value, new_gradient)) =
            search(&x, value, &gradient, &direction, first, objective)
        else {
            break;
        };
        let moved: Vec<f64> = direction.iter().map(|d| d * step).collect();
        let turned: Vec<f64> = new_gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
        x.iter_mut().zip(&moved).for_each(|(x, by)| *x += by);
        let curvature = dot(&moved, &turned);
        if curvature > 1e-12 * dot(&turned, &turned) {
            if corrections.len() == CORRECTIONS {
                corrections.pop_front();
            }
            corrections.push_back((moved, turned, 1.0 / curvature));
        }
        (value, gradient) = (new_value, new_gradient);
    }
    x
}

/// The search direction: the estimated inverse Hessian times the negative gradient.
fn two_loops(gradient: &[f64], corrections: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut shares = Vec::with_capacity(corrections.len());
    for (moved, turned, inverse) in corrections.iter().rev() {
        let share = inverse * dot(moved, &q);
        q.iter_mut().zip(turned).for_each(|(q, y)| *q -= share * y);
        shares.push(share);
    }
    if let Some((_, turned, inverse)) = corrections.back() {
        let scale = 1.0 / (inverse * dot(turned, turned));
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((moved, turned, inverse), share) in corrections.iter().zip(shares.into_iter().rev()) {
        let back = inverse * dot(turned, &q);
        q.iter_mut().zip(moved).for_each(|(q, s)| *q += (share - back) * s);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}

/// A step that satisfies the Wolfe conditions, by bisection; else the last one that lowers the value enough. Returns the
/// step, the value and the gradient.
fn search(
    x: &[f64],
    value: f64,
    gradient: &[f64],
    direction: &[f64],
    first: f64,
    objective: &mut dyn FnMut(&[f64], &mut [f64]) -> f64,
) -> Option<(f64, f64, Vec<f64>)> {
    let slope = dot(gradient, direction);
    let (mut short, mut long, mut step) = (0.0, f64::INFINITY, first);
    let mut there = vec![0.0; x.len()];
    let mut best = None;
    for _ in 0..24 {
        let at: Vec<f64> = x.iter().zip(direction).map(|(x, d)| x + step * d).collect();
        let new = objective(&at, &mut there);
        if new.is_nan() || new > value + 1e-4 * step * slope {
            long = step;
        } else if dot(&there, direction) < 0.9 * slope {
            short = step;
            best = Some((step, new, there.clone()));
        } else {
            return Some((step, new, there));
        }
        step = if long.is_finite() { f64::midpoint(short, long) } else { 2.0 * short };
    }
    best
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_rosenbrocks_function() {
        let mut rosenbrock = |x: &[f64], gradient: &mut [f64]| {
            let (a, b) = (x[0], x[1]);
            gradient[0] = -2.0 * (1.0 - a) - 400.0 * a * (b - a * a);
            gradient[1] = 200.0 * (b - a * a);
            (1.0 - a).powi(2) + 100.0 * (b - a * a).powi(2)
        };
        let found = minimise(2, 200, 1e-8, &mut rosenbrock);
        assert!((found[0] - 1.0).abs() < 1e-6 && (found[1] - 1.0).abs() < 1e-6, "{found:?}");
    }
}
