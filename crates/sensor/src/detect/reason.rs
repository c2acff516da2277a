//! Why a packet's verdict is what it is, in short: the features that speak most for an attack.
//!
//! In: a conversation's state after the packet, and the packet's numbers. Out: [`Reason`]s, strongest first. A
//! feature's weight is what the log-odds of an attack lose where the packet comes again without it (0 in its place);
//! a feature that is 0 already weighs nothing. It costs a step of the network for each feature that is not 0, some
//! 20: for alerts, not for every packet. `citronella explain` has the exact account over all packets.

use citronella_nn::{Error, States, Stepper};

use crate::feature::schema::Column;

/// A feature and what it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// The feature.
    pub column: &'static Column,
    /// Its value as the model reads it.
    pub value: f32,
    /// What it adds to the log-odds of an attack; 0.7 doubles the odds. Of what is called unknown, the natural
    /// logarithm of how many times the highest of benign traffic it is.
    pub weight: f32,
}

impl std::fmt::Display for Reason {
    /// The column's meaning and name, such as `logins refused (host_refused_60s)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.column.meaning, self.column.name)
    }
}

/// The features of a packet that speak most for an attack: at most `most`, only those that do speak for it.
///
/// `features`: the packet's numbers, which the conversation in `slot` has just taken; `columns`: what each stands for. The state
/// of the conversation stays as it is. The first output is the benign class.
///
/// # Errors
/// The slot does not exist, or the network reads other rows.
pub fn reasons(
    stepper: &mut Stepper,
    states: &mut States,
    slot: u32,
    features: &[f32],
    columns: &'static [Column],
    most: usize,
) -> Result<Vec<Reason>, Error> {
    let mut said = vec![0.0; stepper.outputs()];
    let mut log_odds = |x: &[f32]| -> Result<f32, Error> {
        stepper.peek(states, slot, x, &mut said)?;
        Ok(log_odds_of_attack(&said))
    };
    let whole = log_odds(features)?;
    let (mut without, mut found) = (features.to_vec(), Vec::new());
    for (place, (column, &value)) in columns.iter().zip(features).enumerate() {
        if value == 0.0 {
            continue;
        }
        without.get_mut(place).into_iter().for_each(|feature| *feature = 0.0);
        let weight = whole - log_odds(&without)?;
        without.get_mut(place).into_iter().for_each(|feature| *feature = value);
        if weight > 0.0 {
            found.push(Reason { column, value, weight });
        }
    }
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    found.truncate(most);
    Ok(found)
}

/// `ln((1 - p) / p)` of the benign class's probability, from the sum of the others: exact where p is near 1.
fn log_odds_of_attack(probabilities: &[f32]) -> f32 {
    // The smallest probability that is told from none.
    const LEAST: f32 = 1e-30;
    let Some((benign, attacks)) = probabilities.split_first() else { return 0.0 };
    (attacks.iter().sum::<f32>().max(LEAST) / benign.max(LEAST)).ln()
}
