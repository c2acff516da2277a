//! What no benign host did: the initiator's counts, held against the highest that benign traffic of training reached.
//!
//! A classifier knows what it was shown: traffic of a class that training did not have passes for benign, or for a
//! neighbour. What such traffic has in common is that somebody does more of something than honest hosts do. In: a
//! packet's numbers. Out: by how much the count that stands out most exceeds the highest of benign traffic, as the
//! natural logarithm of a ratio. It looks at the counts of the initiator's recent behaviour and at nothing else, so
//! that a new size or a new service alone condemns nobody. Some five nanoseconds a packet, nothing is kept.

use super::columns::{BYTES_UNIT, MOST_BYTES, MOST_COUNT, Place, SEQUENCE, WIDTH};

/// The counts that are looked at, each with the column that a conversation must show itself (not be 0) for the count to
/// speak against it: the counts are the host's, and a host inside that attacks goes on with its honest work. A scan's
/// conversations go to new ends, a guess is refused, a fuzzer's conversation holds faults. Where nothing tells, none.
const COUNTS: [(Place, Option<Place>); 16] = [
    (Place::Flows10, Some(Place::NewEnd)),
    (Place::Flows60, Some(Place::NewEnd)),
    (Place::Failed10, Some(Place::NewEnd)),
    (Place::Failed60, Some(Place::NewEnd)),
    (Place::Ports60, Some(Place::NewEnd)),
    (Place::Hosts60, Some(Place::NewEnd)),
    (Place::Refused10, Some(Place::Refused)),
    (Place::Refused60, Some(Place::Refused)),
    (Place::Accepted60, None),
    (Place::Publishes10, None),
    (Place::Bytes10, None),
    (Place::Clients60, Some(Place::NewClient)),
    (Place::Users60, Some(Place::Refused)),
    (Place::Credentials60, Some(Place::Refused)),
    (Place::Violations60, Some(Place::FlowFaults)),
    (Place::Held, Some(Place::NewClient)),
];

/// Beyond nothing.
pub const NEVER: f32 = f32::NEG_INFINITY;

/// The natural logarithm that 1 in a column stands for, of 1 + the count or 100 + the bytes.
fn nats(place: Place) -> f32 {
    match place {
        Place::Bytes10 => (1.0 + MOST_BYTES / BYTES_UNIT).ln(),
        _ => (1.0 + MOST_COUNT).ln(),
    }
}

/// The highest that benign traffic reached in each count.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<Limit>", into = "Vec<Limit>")]
pub struct Limits {
    highest: [f32; COUNTS.len()],
    nats: [f32; COUNTS.len()],
}

/// A count and the highest of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Limit {
    column: String,
    /// As the column has it, between 0 and 1.
    highest: f32,
}

impl Default for Limits {
    /// Of no traffic: every count is 0.
    fn default() -> Limits {
        Limits { highest: [0.0; COUNTS.len()], nats: COUNTS.map(|(place, _)| nats(place)) }
    }
}

impl Limits {
    /// Takes a packet of benign traffic.
    pub fn see(&mut self, row: &[f32; WIDTH]) {
        let values = COUNTS.iter().map(|(place, _)| row[*place as usize]);
        self.highest.iter_mut().zip(values).for_each(|(highest, value)| *highest = highest.max(value));
    }

    /// Takes what others saw.
    pub fn join(&mut self, other: &Limits) {
        let both = self.highest.iter_mut().zip(other.highest);
        both.for_each(|(highest, other)| *highest = highest.max(other));
    }

    /// How far the count that stands out most is beyond the highest of benign traffic: the natural logarithm of how
    /// many times as much (of 1 + the count; of bytes, of 100 + the bytes); below 0 where none is.
    #[inline]
    pub fn beyond(&self, row: &[f32; WIDTH]) -> f32 {
        self.each(row).fold(NEVER, |most, (_, beyond)| if beyond > most { beyond } else { most })
    }

    #[inline]
    fn each(&self, row: &[f32; WIDTH]) -> impl Iterator<Item = (usize, f32)> {
        let limits = self.highest.iter().zip(&self.nats);
        COUNTS.iter().zip(limits).map(|((place, shows), (highest, nats))| {
            let is_shown = shows.is_none_or(|shows| row[shows as usize] > 0.0);
            let beyond = (row[*place as usize] - highest) * nats;
            (*place as usize, if is_shown { beyond } else { NEVER })
        })
    }

    /// The counts that are beyond, as places among the level's columns, with [`Limits::beyond`] of each, furthest first.
    pub fn exceeded(&self, row: &[f32; WIDTH]) -> Vec<(usize, f32)> {
        let mut all: Vec<(usize, f32)> = self.each(row).filter(|(_, beyond)| *beyond > 0.0).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all
    }
}

impl From<Limits> for Vec<Limit> {
    fn from(limits: Limits) -> Vec<Limit> {
        let name = |place: Place| SEQUENCE[place as usize].name.to_owned();
        let each = COUNTS.into_iter().zip(limits.highest);
        each.map(|((place, _), highest)| Limit { column: name(place), highest }).collect()
    }
}

impl TryFrom<Vec<Limit>> for Limits {
    type Error = String;

    fn try_from(all: Vec<Limit>) -> Result<Limits, String> {
        let mut limits = Limits::default();
        for ((place, _), highest) in COUNTS.into_iter().zip(&mut limits.highest) {
            let name = SEQUENCE[place as usize].name;
            let limit = all.iter().find(|limit| limit.column == name);
            *highest = limit.ok_or_else(|| format!("no limit of {name}"))?.highest;
        }
        match all.len() == COUNTS.len() && limits.highest.iter().all(|highest| (0.0..=1.0).contains(highest))
        {
            true => Ok(limits),
            false => {
                Err("a limit of a column that is no count, or one that is not between 0 and 1".to_owned())
            }
        }
    }
}

/// When a conversation of no class is called unknown: stands in a model's card.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Unknown {
    /// A count of the initiator's is so many times the highest of benign traffic.
    pub times: f32,
    /// How far conversations of benign traffic were beyond the limits of other recordings, furthest first: what
    /// `times` is chosen from, natural logarithms.
    pub benign: Vec<f32>,
    /// The limits.
    pub limits: Limits,
}

impl Unknown {
    /// Twice as much is the least that calls: recordings are few, and the next network's honest hosts are others.
    pub(super) const LEAST: f32 = std::f32::consts::LN_2;

    /// Whether a count so far beyond the limits calls.
    #[inline]
    pub(super) fn is_reached(&self, beyond: f32) -> bool {
        beyond > 0.0 && beyond >= self.times.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::log_scaled;
    use super::*;

    fn row(of: &[(Place, f32)]) -> [f32; WIDTH] {
        let mut row = [0.0; WIDTH];
        for (place, count) in of {
            let (unit, most) =
                if *place == Place::Bytes10 { (BYTES_UNIT, MOST_BYTES) } else { (1.0, MOST_COUNT) };
            row[*place as usize] = log_scaled(*count, unit, most);
        }
        row
    }

    #[test]
    fn what_is_beyond_is_how_many_times_as_much() {
        let mut limits = Limits::default();
        limits.see(&row(&[(Place::Failed10, 9.0), (Place::Bytes10, 900.0)]));
        limits.see(&row(&[(Place::Failed10, 4.0), (Place::Accepted60, 1.0)]));
        let of = |row: &[f32; WIDTH]| limits.beyond(row).exp();
        let new_end = (Place::NewEnd, 1.0);
        assert!((of(&row(&[new_end, (Place::Failed10, 39.0), (Place::Accepted60, 1.0)])) - 4.0).abs() < 1e-3);
        assert!((of(&row(&[(Place::Bytes10, 2_900.0)])) - 3.0).abs() < 1e-3);
        assert!(limits.beyond(&row(&[new_end, (Place::Failed10, 8.0)])) <= 0.0);
        // What is no count of the initiator's says nothing.
        assert!(limits.beyond(&row(&[(Place::Payload, 1e3), (Place::KeepAlive, 900.0)])) <= 0.0);
        let exceeded = limits.exceeded(&row(&[
            new_end,
            (Place::Failed10, 39.0),
            (Place::Accepted60, 7.0),
            (Place::Hosts60, 1.0),
        ]));
        let names: Vec<&str> = exceeded.iter().map(|(place, _)| SEQUENCE[*place].name).collect();
        assert_eq!((names.len(), exceeded[2].1 < exceeded[0].1), (3, true));
        assert!(names.contains(&"host_hosts_60s") && names.contains(&"host_accepted_60s"));
    }

    #[test]
    fn honest_work_of_a_host_that_attacks_does_not_show_what_its_attack_does() {
        let limits = Limits::default();
        let counts = [
            (Place::Failed10, 99.0),
            (Place::Ports60, 99.0),
            (Place::Refused60, 99.0),
            (Place::Credentials60, 99.0),
            (Place::Violations60, 99.0),
            (Place::Held, 99.0),
        ];
        let with = |shows: &[(Place, f32)]| {
            limits.exceeded(&row(&counts.iter().chain(shows).copied().collect::<Vec<_>>())).len()
        };
        assert_eq!(with(&[]), 0);
        assert_eq!(with(&[(Place::NewEnd, 1.0)]), 2);
        assert_eq!(with(&[(Place::Refused, 1.0)]), 2);
        assert_eq!(with(&[(Place::FlowFaults, 1.0)]), 1);
        assert_eq!(with(&[(Place::NewClient, 1.0)]), 1);
    }

    #[test]
    fn joined_limits_are_the_higher_of_both() {
        let (mut a, mut b) = (Limits::default(), Limits::default());
        a.see(&row(&[(Place::Publishes10, 5.0)]));
        b.see(&row(&[(Place::Publishes10, 2.0), (Place::Accepted60, 3.0)]));
        a.join(&b);
        assert_eq!(a.beyond(&row(&[(Place::Publishes10, 5.0), (Place::Accepted60, 3.0)])), 0.0);
    }

    #[test]
    fn limits_go_by_the_columns_names() {
        let mut limits = Limits::default();
        limits.see(&row(&[(Place::Flows10, 5.0), (Place::Clients60, 2.0)]));
        let json = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&json).unwrap(), limits);
        for wrong in [json.replace("host_held", "host_gap"), json.replace("0.0", "2.0"), "[]".to_owned()] {
            assert!(serde_json::from_str::<Limits>(&wrong).is_err(), "{wrong}");
        }
    }
}
