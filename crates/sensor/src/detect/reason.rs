//! The features of a packet that contribute most to an attack's log-odds, for alerts.
//!
//! In: a conversation's state after the packet, and the packet's features. Out: [`Reason`]s, strongest first. A
//! feature's weight is the decrease of the log-odds if the same packet is repeated with the feature set to 0 (occlusion);
//! a feature that is 0 has no weight. Costs a network step per non-zero feature, about 20. `citronella explain` computes
//! exact contributions over all packets.

use citronella_nn::{Error, States, Stepper};

use crate::feature::schema::Column;

/// A feature and its contribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// The feature.
    pub column: &'static Column,
    /// Its value as the model reads it.
    pub value: f32,
    /// Contribution to the log-odds of an attack; 0.7 doubles the odds. For the unknown class: the natural logarithm of
    /// its ratio to the highest benign value.
    pub weight: f32,
}

impl std::fmt::Display for Reason {
    /// The column's meaning and name, such as `logins refused (host_refused_60s)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.column.meaning, self.column.name)
    }
}

/// Returns up to `most` features that increase the log-odds of an attack, strongest first.
///
/// `features` are those of the packet that the state in `slot` has just processed; `columns` describes them. The state
/// does not change. The first output is the benign class.
///
/// # Errors
/// The slot does not exist, or the network has other inputs.
pub fn reasons(
    stepper: &mut Stepper,
    states: &mut States,
    slot: u32,
    features: &[f32],
    columns: &'static [Column],
    most: usize,
) -> Result<Vec<Reason>, Error> {
    let mut probabilities = vec![0.0; stepper.outputs()];
    let mut log_odds = |x: &[f32]| -> Result<f32, Error> {
        stepper.peek(states, slot, x, &mut probabilities)?;
        Ok(log_odds_of_attack(&probabilities))
    };
    let whole = log_odds(features)?;
    let (mut occluded, mut reasons) = (features.to_vec(), Vec::new());
    for (index, (column, &value)) in columns.iter().zip(features).enumerate() {
        if value == 0.0 {
            continue;
        }
        occluded.get_mut(index).into_iter().for_each(|feature| *feature = 0.0);
        let weight = whole - log_odds(&occluded)?;
        occluded.get_mut(index).into_iter().for_each(|feature| *feature = value);
        if weight > 0.0 {
            reasons.push(Reason { column, value, weight });
        }
    }
    reasons.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    reasons.truncate(most);
    Ok(reasons)
}

/// `ln((1 - p) / p)` of the benign class's probability, from the sum of the others: exact where p is near 1.
fn log_odds_of_attack(probabilities: &[f32]) -> f32 {
    // Lower bound of probabilities: avoids an infinite ratio.
    const MIN: f32 = 1e-30;
    let Some((benign, attacks)) = probabilities.split_first() else { return 0.0 };
    (attacks.iter().sum::<f32>().max(MIN) / benign.max(MIN)).ln()
}
