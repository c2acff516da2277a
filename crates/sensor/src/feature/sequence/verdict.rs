//! From the probabilities after each packet of a conversation to a verdict, packet by packet.
//!
//! After each packet stands the log-odds of an attack, `ln((1 - p) / p)` for a probability `p` of benign traffic, bounded
//! to 9 either way. An attack is called when their mean over the last so many packets (over all, in a conversation that
//! ends earlier) reaches the threshold of the attack that is likeliest then: one packet that shows what it is outweighs
//! two that might be either, not two that were benign. When a conversation ends, its last packet counts alone too: the
//! network has seen all of it by then (a connection that was held for a minute shows it in the packet that ends it). The attack's name is the one with the largest sum of
//! probabilities since an attack became likelier than not.

/// Classes that a model of this level may have at most.
pub const MOST_CLASSES: usize = 16;

/// Packets that can be averaged.
pub const MOST_PACKETS: usize = 4;

/// The log-odds of an attack are bounded to this either way (0.99988).
const MOST_LOG_ODDS: f32 = 9.0;

/// The log-odds of an attack, bounded, by the probability of benign traffic.
#[inline]
pub fn attack_log_odds(benign: f32) -> f32 {
    let benign = benign.clamp(1e-6, 1.0 - 1e-6);
    ((1.0 - benign) / benign).ln().clamp(-MOST_LOG_ODDS, MOST_LOG_ODDS)
}

/// How probabilities become verdicts: stands in a model's card beside the network.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// Packets after which a conversation's state begins anew: what the network was trained on.
    pub window: u32,
    /// Divides the logits (Guo et al. 2017), fitted on recordings that the network had not seen.
    pub temperature: f32,
    /// Packets whose log-odds are averaged, at most [`MOST_PACKETS`].
    pub packets: u32,
    /// For each class, in the order of the outputs; that of the first, benign class is not looked at.
    pub thresholds: Vec<f32>,
    /// Conversations of benign traffic that may be called attacks a day: what the thresholds were chosen for.
    #[serde(default = "one")]
    pub false_alerts_per_day: f32,
    /// An attack of which no name holds so large a share of the attacks' probability is called unknown: its class is
    /// the number of classes. 0: never.
    #[serde(default)]
    pub least_share: f32,
    /// What the thresholds are chosen from.
    #[serde(default)]
    pub benign: Benign,
}

/// Scores of benign traffic that the network had not seen, as log-odds of an attack, `ln(p / (1 - p))`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Benign {
    /// Hours of that traffic.
    pub hours: f32,
    /// For each class the highest mean that a conversation reached while the class was likeliest, highest first.
    pub highest: Vec<Vec<f32>>,
    /// For each class the log-odds that no more benign conversations reach than may always be called: no threshold is
    /// set higher.
    pub ceilings: Vec<f32>,
}

/// The lowest threshold of an attack: log-odds of 0.9.
const LOWEST_LOG_ODDS: f32 = 2.197_224_6;
/// The highest: log-odds of 0.998. Above it, what other tools look like is lost sooner than false alerts are.
const HIGHEST_LOG_ODDS: f32 = 6.212_606;

impl Benign {
    /// Conversations of this benign traffic that reach some log-odds as a class: counted where it has many that do,
    /// beyond by an exponential tail of the log-odds (Weissman 1978, of the odds).
    pub fn expected(&self, class: usize, log_odds: f32) -> f32 {
        let Some((highest, least, scale)) = self.tail(class) else { return 0.0 };
        if log_odds <= least {
            return highest.iter().filter(|score| **score >= log_odds).count() as f32;
        }
        highest.len() as f32 * (-(log_odds - least) / scale).exp()
    }

    /// The log-odds from which on a conversation comes near a class, and how many of these conversations did; `None` where
    /// none came near it.
    #[inline]
    pub fn near(&self, class: usize) -> Option<(f32, usize)> {
        let highest = self.highest.get(class)?;
        Some((*highest.last()?, highest.len()))
    }

    /// The log-odds that so many of these conversations are expected to reach as a class.
    fn reached_by(&self, class: usize, conversations: f32) -> f32 {
        let Some((highest, least, scale)) = self.tail(class) else { return LOWEST_LOG_ODDS };
        least + scale * (highest.len() as f32 / conversations.max(1e-9)).max(1.0).ln()
    }

    /// The highest scores, the least of them, and the mean excess of the others over it (Hill 1975).
    fn tail(&self, class: usize) -> Option<(&[f32], f32, f32)> {
        let highest = self.highest.get(class)?.as_slice();
        let least = *highest.last()?;
        let excess: f32 = highest.iter().map(|score| score - least).sum();
        Some((highest, least, (excess / (highest.len().max(2) - 1) as f32).max(1e-3)))
    }
}

fn one() -> f32 {
    1.0
}

fn probability(log_odds: f32) -> f32 {
    1.0 / (1.0 + (-log_odds).exp())
}

impl Settings {
    /// One threshold for all of so many classes, temperature 1.
    pub fn plain(window: u32, packets: u32, threshold: f32, classes: usize) -> Settings {
        Settings {
            window,
            temperature: 1.0,
            packets,
            thresholds: vec![threshold; classes],
            false_alerts_per_day: one(),
            least_share: 0.0,
            benign: Benign::default(),
        }
    }

    /// The same model with thresholds for so many false alerts a day, each class an equal part of them. Thresholds stay
    /// between 0.9 and the class's ceiling: [`Settings::expected_per_day`] says what that comes to. Without benign
    /// scores the thresholds stay as they are.
    pub fn for_false_alerts(&self, per_day: f32) -> Settings {
        let mut chosen = Settings { false_alerts_per_day: per_day, ..self.clone() };
        if self.benign.hours <= 0.0 || self.benign.highest.is_empty() {
            return chosen;
        }
        let attacks = chosen.thresholds.len().saturating_sub(1).max(1) as f32;
        let of_each = per_day.max(0.0) * self.benign.hours / 24.0 / attacks;
        for (class, threshold) in chosen.thresholds.iter_mut().enumerate().skip(1) {
            let ceiling = self.benign.ceilings.get(class).copied().unwrap_or(HIGHEST_LOG_ODDS);
            let most = ceiling.clamp(LOWEST_LOG_ODDS, HIGHEST_LOG_ODDS);
            *threshold = probability(self.benign.reached_by(class, of_each).clamp(LOWEST_LOG_ODDS, most));
        }
        chosen
    }

    /// Benign conversations that the thresholds are expected to call, a day of traffic like that of [`Benign`].
    pub fn expected_per_day(&self) -> f32 {
        let of_class = |(class, t): (usize, &f32)| self.benign.expected(class, attack_log_odds(1.0 - t));
        let sum: f32 = self.thresholds.iter().enumerate().skip(1).map(of_class).sum();
        sum * 24.0 / self.benign.hours.max(1e-3)
    }

    /// Calibrates probabilities in place.
    #[inline]
    pub fn calibrate(&self, probabilities: &mut [f32]) {
        if self.temperature == 1.0 || self.temperature <= 0.0 {
            return;
        }
        let mut sum = 0.0;
        for p in probabilities.iter_mut() {
            *p = p.max(1e-12).powf(1.0 / self.temperature);
            sum += *p;
        }
        probabilities.iter_mut().for_each(|p| *p /= sum);
    }

    /// Whether a conversation's state begins anew before its next packet.
    #[inline]
    pub fn begins_anew(&self, packets_before: u64) -> bool {
        packets_before.is_multiple_of(u64::from(self.window.max(1)))
    }
}

/// No attack is called yet.
const NOT_CALLED: u32 = 0;
/// None is called yet, but an end after this packet would.
const WOULD_CALL: u32 = u32::MAX;

/// A conversation's verdict so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Running {
    packets: u32,
    /// Packets that `sums` are of.
    counted: u32,
    /// The packet that called it, from 1; else one of the constants above.
    call: u32,
    /// A bit for each class that it came near, and for the one that it would come near by an end after this packet.
    near: u16,
    near_at_end: u16,
    most: f32,
    /// Log-odds of the last packets.
    last: [f32; MOST_PACKETS],
    /// Of each attack's probabilities.
    sums: [f32; MOST_CLASSES - 1],
}

/// What a conversation is called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Called {
    /// The class's place among the outputs; their number where no name fits ([`Settings::least_share`]).
    pub class: u32,
    /// Mean probability of that class since an attack became likelier than not.
    pub score: f32,
    /// The packet that called it, from 1.
    pub packets: u32,
}

impl Running {
    /// Takes the calibrated probabilities after the next packet; `true` when they call an attack that was not called
    /// before.
    #[inline]
    pub fn step(&mut self, probabilities: &[f32], settings: &Settings) -> bool {
        let Some((benign, attacks)) = probabilities.split_first() else { return false };
        let attack = 1.0 - benign;
        let wanted = (settings.packets as usize).clamp(1, MOST_PACKETS);
        if let Some(place) = self.last.get_mut(self.packets as usize % wanted) {
            *place = attack_log_odds(*benign);
        }
        self.packets = self.packets.saturating_add(1).min(WOULD_CALL - 1);
        self.most = self.most.max(attack);
        if !self.is_called() && attack < 0.5 {
            (self.counted, self.sums) = (0, Default::default());
        }
        self.counted = self.counted.saturating_add(1);
        self.sums.iter_mut().zip(attacks).for_each(|(sum, p)| *sum += p);
        if self.is_called() {
            return false;
        }
        let likeliest =
            (1..).zip(attacks).fold((0, 0.0), |top, (class, p)| if *p > top.1 { (class, *p) } else { top });
        let had = wanted.min(self.packets as usize);
        let mean = self.last.iter().take(had).sum::<f32>() / had as f32;
        let reaches = |log_odds: f32| {
            settings.thresholds.get(likeliest.0).is_some_and(|t| log_odds >= attack_log_odds(1.0 - t))
        };
        let over = reaches(mean);
        self.note_near(likeliest.0, mean, attack_log_odds(*benign), had == wanted, settings);
        self.call = if over && had == wanted {
            self.packets
        } else if over || reaches(attack_log_odds(*benign)) {
            WOULD_CALL
        } else {
            NOT_CALLED
        };
        self.is_called()
    }

    /// The conversation ends: one of fewer packets than an attack needs is called by all of those it had, any by its
    /// last packet alone.
    pub fn end(&mut self, settings: &Settings) -> Option<Called> {
        if self.call == WOULD_CALL {
            self.call = self.packets;
        }
        self.called(settings)
    }

    /// Whether an attack was called.
    #[inline]
    pub fn is_called(&self) -> bool {
        self.call != NOT_CALLED && self.call != WOULD_CALL
    }

    /// Whether it would be called if it ended now, of one that is shorter than an attack needs.
    #[inline]
    pub fn is_short_call(&self, settings: &Settings) -> bool {
        self.call == WOULD_CALL && self.packets < settings.packets
    }

    /// The attack that was called.
    pub fn called(&self, settings: &Settings) -> Option<Called> {
        let packets = self.is_called().then_some(self.call)?;
        let attacks = (1..).zip(self.sums);
        let (class, sum) =
            attacks.fold((0, 0.0f32), |top, (class, sum)| if sum > top.1 { (class, sum) } else { top });
        let all: f32 = self.sums.iter().sum();
        let classes = settings.thresholds.len() as u32;
        let class = if sum < settings.least_share * all { classes } else { class };
        Some(Called { class, score: sum / self.counted.max(1) as f32, packets })
    }

    /// A class that was likeliest when the mean reached the level of its highest benign scores.
    #[inline]
    fn note_near(&mut self, class: usize, mean: f32, alone: f32, is_whole: bool, settings: &Settings) {
        self.near_at_end = 0;
        // Most packets are benign beyond doubt.
        if mean.max(alone) <= 0.0 {
            return;
        }
        let Some((least, _)) = settings.benign.near(class) else { return };
        let bit = 1u16.checked_shl(class as u32).unwrap_or_default();
        if mean.max(alone) >= least {
            self.near_at_end = bit;
        }
        if is_whole && mean >= least {
            self.near |= bit;
        }
    }

    /// Of a conversation that has ended, a bit for each class that it came near, as [`Benign::near`] says.
    pub fn near(&self) -> u16 {
        self.near | self.near_at_end
    }

    /// Highest probability of any attack after any packet.
    pub fn highest(&self) -> f32 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BENIGN: [f32; 3] = [0.9, 0.05, 0.05];
    const FIRST: [f32; 3] = [0.02, 0.9, 0.08];
    const SECOND: [f32; 3] = [0.01, 0.09, 0.9];

    fn settings() -> Settings {
        Settings::plain(64, 3, 0.95, 3)
    }

    #[test]
    fn the_mean_of_three_calls_and_a_benign_packet_holds_it_back() {
        let mut running = Running::default();
        let steps = [FIRST, FIRST, BENIGN, FIRST, SECOND, SECOND, BENIGN];
        let calls: Vec<bool> = steps.iter().map(|p| running.step(p, &settings())).collect();
        assert_eq!(calls, [false, false, false, false, false, true, false]);
        let called = running.end(&settings()).unwrap();
        assert_eq!((called.class, called.packets), (2, 6));
    }

    #[test]
    fn one_packet_that_shows_it_outweighs_two_in_doubt_not_two_that_were_benign() {
        let call = |doubt: f32| {
            let mut running = Running::default();
            let steps = [[doubt, 1.0 - doubt, 0.0], [doubt, 1.0 - doubt, 0.0], [1e-5, 1.0, 0.0]];
            steps.map(|p| running.step(&p, &settings()))
        };
        assert_eq!(call(0.2), [false, false, true]);
        assert_eq!(call(0.8), [false, false, false]);
    }

    #[test]
    fn a_short_conversation_is_called_by_all_it_had() {
        let mut running = Running::default();
        assert!(!running.step(&FIRST, &settings()) && !running.is_called());
        assert_eq!(running.end(&settings()).map(|called| (called.class, called.packets)), Some((1, 1)));
        let mut mixed = Running::default();
        mixed.step(&FIRST, &settings());
        mixed.step(&BENIGN, &settings());
        assert_eq!(mixed.end(&settings()), None);
        assert!(!mixed.step(&SECOND, &settings()));
        assert_eq!(mixed.end(&settings()).map(|called| (called.class, called.packets)), Some((2, 3)));
        assert_eq!(Running::default().end(&settings()), None);
    }

    #[test]
    fn an_attack_without_a_name_is_unknown() {
        let named = |least_share: f32| {
            let settings = Settings { least_share, ..settings() };
            let mut running = Running::default();
            (0..3).for_each(|_| _ = running.step(&[0.01, 0.54, 0.45], &settings));
            running.end(&settings).map(|called| called.class)
        };
        assert_eq!([named(0.0), named(0.5), named(0.6)], [Some(1), Some(1), Some(3)]);
    }

    #[test]
    fn thresholds_follow_the_false_alerts_allowed() {
        let highest = vec![vec![], vec![5.0, 4.0, 3.5, 3.0, 3.0], vec![]];
        let benign = Benign { hours: 24.0, highest, ceilings: vec![20.0; 3] };
        let all = Settings { benign, ..settings() };
        let of = |per_day: f32| all.for_false_alerts(per_day);
        assert!(of(0.1).thresholds[1] > of(1.0).thresholds[1]);
        assert!(of(1.0).thresholds[1] > of(10.0).thresholds[1]);
        // No benign conversation came near the other class.
        assert!((of(1.0).thresholds[2] - 0.9).abs() < 1e-4);
        // Half of two a day is the class's: what the tail expects is what was asked for.
        assert!((of(2.0).expected_per_day() - 1.0).abs() < 0.05);
        let low = Benign { ceilings: vec![2.5; 3], ..all.benign.clone() };
        let kept = Settings { benign: low, ..settings() }.for_false_alerts(0.01);
        assert!((kept.thresholds[1] - probability(2.5)).abs() < 1e-6);
        assert_eq!(settings().for_false_alerts(5.0).thresholds, settings().thresholds);
    }

    #[test]
    fn it_comes_near_a_class_by_the_mean_of_three_or_by_its_last_packet() {
        let benign =
            Benign { hours: 1.0, highest: vec![vec![], vec![4.0, 2.0], vec![]], ceilings: vec![9.0; 3] };
        let settings = Settings { benign, ..Settings::plain(64, 3, 0.999, 3) };
        let near = |steps: &[[f32; 3]]| {
            let mut running = Running::default();
            steps.iter().for_each(|p| _ = running.step(p, &settings));
            running.near()
        };
        // Log-odds of 0.98 attack are 3.9, of 0.1 -2.2.
        assert_eq!(near(&[FIRST, FIRST, FIRST, BENIGN]), 1 << 1);
        assert_eq!(near(&[FIRST, BENIGN, BENIGN, BENIGN]), 0);
        assert_eq!(near(&[BENIGN, BENIGN, BENIGN, FIRST]), 1 << 1);
        assert_eq!(near(&[FIRST]), 1 << 1);
        // No benign conversation of the calibration came near the second class.
        assert_eq!(near(&[SECOND, SECOND, SECOND]), 0);
    }

    #[test]
    fn temperature_keeps_the_order_and_the_sum() {
        let mut p = FIRST;
        Settings { temperature: 2.0, ..settings() }.calibrate(&mut p);
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(p[1] < 0.9 && p[1] > p[2] && p[2] > p[0]);
    }
}
