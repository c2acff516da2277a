//! Unknown attacks: the initiator's counts, compared with the highest that benign traffic of training reached.
//!
//! A classifier knows only the classes of its training: another kind of attack passes as benign or as a similar
//! class. What such traffic has in common is that a host does more of something than any benign host. In: a packet's
//! features. Out: the log ratio (natural) of the count that exceeds its benign maximum most. Only counts of the
//! initiator's recent behaviour are compared, so a new payload size or service alone flags nothing. About 5 ns a
//! packet; no state.

use super::columns::{BYTES_UNIT, Feature, MAX_BYTES, MAX_COUNT, SEQUENCE, WIDTH};

/// The counts that are compared, each with the feature that must not be 0 for the count to apply to a conversation. The
/// counts are the host's, and an internal host that attacks goes on with its regular work: a scan's conversations go to
/// new endpoints, a guess is refused, a fuzzer's conversation has faults. `None` where no feature distinguishes them.
const COUNTS: [(Feature, Option<Feature>); 16] = [
    (Feature::Flows10, Some(Feature::NewEndpoint)),
    (Feature::Flows60, Some(Feature::NewEndpoint)),
    (Feature::Failed10, Some(Feature::NewEndpoint)),
    (Feature::Failed60, Some(Feature::NewEndpoint)),
    (Feature::Ports60, Some(Feature::NewEndpoint)),
    (Feature::Hosts60, Some(Feature::NewEndpoint)),
    (Feature::Refused10, Some(Feature::Refused)),
    (Feature::Refused60, Some(Feature::Refused)),
    (Feature::Accepted60, None),
    (Feature::Publishes10, None),
    (Feature::Bytes10, None),
    (Feature::Clients60, Some(Feature::NewClient)),
    (Feature::Users60, Some(Feature::Refused)),
    (Feature::Credentials60, Some(Feature::Refused)),
    (Feature::Violations60, Some(Feature::FlowFaults)),
    (Feature::Held, Some(Feature::NewClient)),
];

/// The excess where no count applies.
pub const NO_EXCESS: f32 = f32::NEG_INFINITY;

/// Nats of a feature's value 1: the natural logarithm of 1 + the count, or of 1 + the bytes / 100.
fn nats(feature: Feature) -> f32 {
    match feature {
        Feature::Bytes10 => (1.0 + MAX_BYTES / BYTES_UNIT).ln(),
        _ => (1.0 + MAX_COUNT).ln(),
    }
}

/// The highest value of each count in benign traffic.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<Limit>", into = "Vec<Limit>")]
pub struct Limits {
    highest: [f32; COUNTS.len()],
    nats: [f32; COUNTS.len()],
}

/// The highest value of one count.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Limit {
    column: String,
    /// In the column's scale, between 0 and 1.
    highest: f32,
}

impl Default for Limits {
    /// Limits of no traffic: every count is 0.
    fn default() -> Limits {
        Limits { highest: [0.0; COUNTS.len()], nats: COUNTS.map(|(feature, _)| nats(feature)) }
    }
}

impl Limits {
    /// Raises the limits to a packet of benign traffic.
    pub fn observe(&mut self, row: &[f32; WIDTH]) {
        let values = COUNTS.iter().map(|(feature, _)| row[*feature as usize]);
        self.highest.iter_mut().zip(values).for_each(|(highest, value)| *highest = highest.max(value));
    }

    /// Raises the limits to those of other benign traffic.
    pub fn merge(&mut self, other: &Limits) {
        let both = self.highest.iter_mut().zip(other.highest);
        both.for_each(|(highest, other)| *highest = highest.max(other));
    }

    /// The largest excess of a count over its highest benign value: the natural logarithm of the ratio (of 1 + the
    /// count; of bytes, of 100 + the bytes); below 0 if no count exceeds it.
    #[inline]
    pub fn excess(&self, row: &[f32; WIDTH]) -> f32 {
        self.each(row).fold(NO_EXCESS, |most, (_, excess)| if excess > most { excess } else { most })
    }

    #[inline]
    fn each(&self, row: &[f32; WIDTH]) -> impl Iterator<Item = (usize, f32)> {
        let limits = self.highest.iter().zip(&self.nats);
        COUNTS.iter().zip(limits).map(|((feature, required), (highest, nats))| {
            let applies = required.is_none_or(|required| row[required as usize] > 0.0);
            let excess = (row[*feature as usize] - highest) * nats;
            (*feature as usize, if applies { excess } else { NO_EXCESS })
        })
    }

    /// The counts above their highest benign value, as indices among the level's columns, each with its excess as in
    /// [`Limits::excess`]; largest first.
    pub fn exceeded(&self, row: &[f32; WIDTH]) -> Vec<(usize, f32)> {
        let mut all: Vec<(usize, f32)> = self.each(row).filter(|(_, excess)| *excess > 0.0).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all
    }
}

impl From<Limits> for Vec<Limit> {
    fn from(limits: Limits) -> Vec<Limit> {
        let name = |feature: Feature| SEQUENCE[feature as usize].name.to_owned();
        let each = COUNTS.into_iter().zip(limits.highest);
        each.map(|((feature, _), highest)| Limit { column: name(feature), highest }).collect()
    }
}

impl TryFrom<Vec<Limit>> for Limits {
    type Error = String;

    fn try_from(all: Vec<Limit>) -> Result<Limits, String> {
        let mut limits = Limits::default();
        for ((feature, _), highest) in COUNTS.into_iter().zip(&mut limits.highest) {
            let name = SEQUENCE[feature as usize].name;
            let limit = all.iter().find(|limit| limit.column == name);
            *highest = limit.ok_or_else(|| format!("the limit of {name} is missing"))?.highest;
        }
        match all.len() == COUNTS.len() && limits.highest.iter().all(|highest| (0.0..=1.0).contains(highest))
        {
            true => Ok(limits),
            false => Err("a limit of a column that is not a count, or a limit outside 0..=1".to_owned()),
        }
    }
}

/// When a conversation of no class is unknown; part of a model's card.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Unknown {
    /// Threshold: the ratio of an initiator's count to its highest benign value.
    pub times: f32,
    /// Excesses of benign conversations over the limits of other recordings, descending, natural logarithms: what
    /// `times` is chosen from.
    pub benign: Vec<f32>,
    /// The limits.
    pub limits: Limits,
}

impl Unknown {
    /// Lowest threshold, twice as much: recordings are few, and another network's benign hosts differ.
    pub(super) const LEAST: f32 = std::f32::consts::LN_2;

    /// Whether an excess reaches the threshold.
    #[inline]
    pub(super) fn is_reached(&self, excess: f32) -> bool {
        excess > 0.0 && excess >= self.times.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::log_scaled;
    use super::*;

    fn row(of: &[(Feature, f32)]) -> [f32; WIDTH] {
        let mut row = [0.0; WIDTH];
        for (feature, count) in of {
            let (unit, most) =
                if *feature == Feature::Bytes10 { (BYTES_UNIT, MAX_BYTES) } else { (1.0, MAX_COUNT) };
            row[*feature as usize] = log_scaled(*count, unit, most);
        }
        row
    }

    #[test]
    fn the_excess_is_the_log_of_the_ratio() {
        let mut limits = Limits::default();
        limits.observe(&row(&[(Feature::Failed10, 9.0), (Feature::Bytes10, 900.0)]));
        limits.observe(&row(&[(Feature::Failed10, 4.0), (Feature::Accepted60, 1.0)]));
        let of = |row: &[f32; WIDTH]| limits.excess(row).exp();
        let new_endpoint = (Feature::NewEndpoint, 1.0);
        assert!(
            (of(&row(&[new_endpoint, (Feature::Failed10, 39.0), (Feature::Accepted60, 1.0)])) - 4.0).abs()
                < 1e-3
        );
        assert!((of(&row(&[(Feature::Bytes10, 2_900.0)])) - 3.0).abs() < 1e-3);
        assert!(limits.excess(&row(&[new_endpoint, (Feature::Failed10, 8.0)])) <= 0.0);
        // Only counts of the initiator are compared.
        assert!(limits.excess(&row(&[(Feature::Payload, 1e3), (Feature::KeepAlive, 900.0)])) <= 0.0);
        let exceeded = limits.exceeded(&row(&[
            new_endpoint,
            (Feature::Failed10, 39.0),
            (Feature::Accepted60, 7.0),
            (Feature::Hosts60, 1.0),
        ]));
        let names: Vec<&str> = exceeded.iter().map(|(feature, _)| SEQUENCE[*feature].name).collect();
        assert_eq!((names.len(), exceeded[2].1 < exceeded[0].1), (3, true));
        assert!(names.contains(&"host_hosts_60s") && names.contains(&"host_accepted_60s"));
    }

    #[test]
    fn regular_work_of_a_host_that_attacks_is_not_flagged() {
        let limits = Limits::default();
        let counts = [
            (Feature::Failed10, 99.0),
            (Feature::Ports60, 99.0),
            (Feature::Refused60, 99.0),
            (Feature::Credentials60, 99.0),
            (Feature::Violations60, 99.0),
            (Feature::Held, 99.0),
        ];
        let with = |required: &[(Feature, f32)]| {
            limits.exceeded(&row(&counts.iter().chain(required).copied().collect::<Vec<_>>())).len()
        };
        assert_eq!(with(&[]), 0);
        assert_eq!(with(&[(Feature::NewEndpoint, 1.0)]), 2);
        assert_eq!(with(&[(Feature::Refused, 1.0)]), 2);
        assert_eq!(with(&[(Feature::FlowFaults, 1.0)]), 1);
        assert_eq!(with(&[(Feature::NewClient, 1.0)]), 1);
    }

    #[test]
    fn merged_limits_are_the_higher_of_both() {
        let (mut a, mut b) = (Limits::default(), Limits::default());
        a.observe(&row(&[(Feature::Publishes10, 5.0)]));
        b.observe(&row(&[(Feature::Publishes10, 2.0), (Feature::Accepted60, 3.0)]));
        a.merge(&b);
        assert_eq!(a.excess(&row(&[(Feature::Publishes10, 5.0), (Feature::Accepted60, 3.0)])), 0.0);
    }

    #[test]
    fn limits_are_stored_by_column_name() {
        let mut limits = Limits::default();
        limits.observe(&row(&[(Feature::Flows10, 5.0), (Feature::Clients60, 2.0)]));
        let json = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&json).unwrap(), limits);
        for wrong in [json.replace("host_held", "host_gap"), json.replace("0.0", "2.0"), "[]".to_owned()] {
            assert!(serde_json::from_str::<Limits>(&wrong).is_err(), "{wrong}");
        }
    }
}
