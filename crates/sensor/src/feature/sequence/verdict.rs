//! From the probabilities after each packet of a conversation to a verdict, packet by packet.
//!
//! After each packet stands the log-odds of an attack, `ln((1 - p) / p)` for a probability `p` of benign traffic, bounded
//! to 9 either way. An attack is called when their mean over the last so many packets (over all, in a conversation that
//! ends earlier) reaches the threshold of the attack that is likeliest then: one packet that shows what it is outweighs
//! two that might be either, not two that were benign. When a conversation ends, its last packet counts alone too: the
//! network has seen all of it by then (a connection that was held for a minute shows it in the packet that ends it). The attack's name is the one with the largest sum of
//! probabilities since an attack became likelier than not.
//!
//! A conversation of no class is called unknown where its initiator did more of something than any benign host of
//! training ([`Unknown`]), from the packet on that a call needs, or in its last packet: when it ends, when it falls
//! silent, or after as many packets as its state walks over. A class that is called later takes unknown's place.

use super::unknown::Unknown;

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
    /// What the thresholds are chosen from.
    #[serde(default)]
    pub benign: Benign,
    /// What is called unknown (its class is the number of classes); nothing, where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
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
        self.highest
            .get(class)
            .and_then(|highest| Tail::of(highest))
            .map_or(0.0, |tail| tail.expected(log_odds))
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
        let tail = self.highest.get(class).and_then(|highest| Tail::of(highest));
        tail.map_or(LOWEST_LOG_ODDS, |tail| tail.reached_by(conversations))
    }
}

/// The highest of many scores, highest first, and what is expected beyond them: their excess over the least of them is
/// taken as exponential.
struct Tail<'a> {
    highest: &'a [f32],
    least: f32,
    /// The mean excess (Hill 1975).
    scale: f32,
}

impl Tail<'_> {
    fn of(highest: &[f32]) -> Option<Tail<'_>> {
        let least = *highest.last()?;
        let excess: f32 = highest.iter().map(|score| score - least).sum();
        let scale = (excess / (highest.len().max(2) - 1) as f32).max(1e-3);
        Some(Tail { highest, least, scale })
    }

    /// How many reach a score.
    fn expected(&self, score: f32) -> f32 {
        if score <= self.least {
            return self.highest.iter().filter(|one| **one >= score).count() as f32;
        }
        self.highest.len() as f32 * (-(score - self.least) / self.scale).exp()
    }

    /// The score that so many are expected to reach.
    fn reached_by(&self, count: f32) -> f32 {
        self.least + self.scale * (self.highest.len() as f32 / count.max(1e-9)).max(1.0).ln()
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
            benign: Benign::default(),
            unknown: None,
        }
    }

    /// The same model with thresholds for so many false alerts a day, each class and unknown an equal part of them.
    /// Thresholds stay between 0.9 and the class's ceiling, of less than one a day 0.998:
    /// [`Settings::expected_per_day`] says what that comes to. Without benign scores the thresholds stay as they are.
    pub fn for_false_alerts(&self, per_day: f32) -> Settings {
        let mut chosen = Settings { false_alerts_per_day: per_day, ..self.clone() };
        if self.benign.hours <= 0.0 || self.benign.highest.is_empty() {
            return chosen;
        }
        let attacks = chosen.thresholds.len().saturating_sub(1) + usize::from(self.unknown.is_some());
        let of_each = per_day.max(0.0) * self.benign.hours / 24.0 / attacks.max(1) as f32;
        for (class, threshold) in chosen.thresholds.iter_mut().enumerate().skip(1) {
            let ceiling = self.benign.ceilings.get(class).copied().filter(|_| per_day >= one());
            let ceiling = ceiling.unwrap_or(HIGHEST_LOG_ODDS);
            let most = ceiling.clamp(LOWEST_LOG_ODDS, HIGHEST_LOG_ODDS);
            *threshold = probability(self.benign.reached_by(class, of_each).clamp(LOWEST_LOG_ODDS, most));
        }
        if let Some(unknown) = &mut chosen.unknown {
            let reached = Tail::of(&unknown.benign).map_or(0.0, |tail| tail.reached_by(of_each));
            unknown.times = reached.max(Unknown::LEAST).exp();
        }
        chosen
    }

    /// Benign conversations that the thresholds are expected to call, a day of traffic like that of [`Benign`].
    pub fn expected_per_day(&self) -> f32 {
        let of_class = |(class, t): (usize, &f32)| self.benign.expected(class, attack_log_odds(1.0 - t));
        let sum: f32 = self.thresholds.iter().enumerate().skip(1).map(of_class).sum();
        let unknown = self
            .unknown
            .as_ref()
            .and_then(|unknown| Some(Tail::of(&unknown.benign)?.expected(unknown.times.ln())));
        (sum + unknown.unwrap_or(0.0)) * 24.0 / self.benign.hours.max(1e-3)
    }

    /// What the score of a conversation of this class has reached; of unknown, whose class is the number of classes,
    /// as [`Called::score`] has it.
    pub fn threshold_of(&self, class: u32) -> f32 {
        let unknown = || self.unknown.as_ref().map_or(0.0, |unknown| share_beyond(unknown.times.ln()));
        self.thresholds.get(class as usize).copied().unwrap_or_else(unknown)
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

/// Of [`Running::call`]: the packet that called it, from 1; 0 where none did.
const PACKET: u32 = (1 << 28) - 1;
/// No class is called yet, but an end after this packet would.
const WOULD_CALL: u32 = 1 << 28;
/// The packet called it unknown, no class.
const IS_UNKNOWN: u32 = 1 << 29;
/// An end after this packet would call it unknown.
const IS_BEYOND: u32 = 1 << 30;
/// Any end from now on would.
const WAS_BEYOND: u32 = 1 << 31;

/// Parts of a nat that [`Running`] keeps.
const BEYOND_PARTS: f32 = 16.0;

/// A conversation's verdict so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Running {
    packets: u32,
    /// Packets that `sums` are of.
    counted: u32,
    /// A packet and the bits above.
    call: u32,
    /// A bit for each class that it came near.
    near: u16,
    /// The class that it would come near by an end after this packet; 0 for none.
    near_at_end: u8,
    /// How far its initiator was beyond benign hosts at most, in sixteenths of a nat.
    beyond: u8,
    most: f32,
    /// Log-odds of the last packets.
    last: [f32; MOST_PACKETS],
    /// Of each attack's probabilities.
    sums: [f32; MOST_CLASSES - 1],
}

/// What a conversation is called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Called {
    /// The class's place among the outputs; their number for unknown.
    pub class: u32,
    /// Mean probability of that class since an attack became likelier than not. Of unknown, the share of what its
    /// initiator did that is beyond what any benign host of training did: 0.5 of twice as much, 0.9 of ten times.
    pub score: f32,
    /// The packet that called it, from 1.
    pub packets: u32,
}

/// Of an attack; none of benign traffic.
fn bit(class: u8) -> u16 {
    if class == 0 { 0 } else { 1u16.checked_shl(class.into()).unwrap_or_default() }
}

fn share_beyond(beyond: f32) -> f32 {
    1.0 - (-beyond.max(0.0)).exp()
}

impl Running {
    /// Takes the calibrated probabilities after the next packet, and how far its initiator is beyond benign hosts
    /// ([`Limits::beyond`](super::unknown::Limits::beyond)); `true` when they call what was not called before.
    #[inline]
    pub fn step(&mut self, probabilities: &[f32], beyond: f32, settings: &Settings) -> bool {
        let Some((benign, attacks)) = probabilities.split_first() else { return false };
        let attack = 1.0 - benign;
        let wanted = (settings.packets as usize).clamp(1, MOST_PACKETS);
        if let Some(place) = self.last.get_mut(self.packets as usize % wanted) {
            *place = attack_log_odds(*benign);
        }
        self.packets = self.packets.saturating_add(1).min(PACKET);
        self.most = self.most.max(attack);
        let unknown = self.look_beyond(beyond, wanted, settings);
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
        let would_call = if over || reaches(attack_log_odds(*benign)) { WOULD_CALL } else { 0 };
        self.call = self.call & !WOULD_CALL | would_call;
        self.note_near(likeliest.0, mean, attack_log_odds(*benign), had == wanted, settings);
        if over && had == wanted {
            self.call = self.packets;
            return true;
        }
        unknown
    }

    /// `true` when a packet calls it unknown.
    #[inline]
    fn look_beyond(&mut self, beyond: f32, wanted: usize, settings: &Settings) -> bool {
        self.call &= !IS_BEYOND;
        if self.is_called() || !settings.unknown.as_ref().is_some_and(|unknown| unknown.is_reached(beyond)) {
            return false;
        }
        self.beyond = self.beyond.max((beyond * BEYOND_PARTS).ceil() as u8);
        self.call |= if self.packets as usize >= wanted { IS_BEYOND | WAS_BEYOND } else { IS_BEYOND };
        let calls = self.packets >= settings.window.max(1) && self.call & IS_UNKNOWN == 0;
        if calls {
            self.call |= IS_UNKNOWN | self.packets;
        }
        calls
    }

    /// The conversation ends: one of fewer packets than an attack needs is called by all of those it had, any by its
    /// last packet alone; where no class is called, it may be unknown.
    pub fn end(&mut self, settings: &Settings) -> Option<Called> {
        if self.call & WOULD_CALL != 0 {
            self.call = self.packets;
        } else if self.call & PACKET == 0 && self.call & (IS_BEYOND | WAS_BEYOND) != 0 {
            self.call |= IS_UNKNOWN | self.packets;
        }
        self.called(settings)
    }

    /// Whether a class was called.
    #[inline]
    pub fn is_called(&self) -> bool {
        self.call & PACKET != 0 && self.call & IS_UNKNOWN == 0
    }

    /// Whether no class was called, but that it is of none.
    #[inline]
    pub fn is_unknown(&self) -> bool {
        self.call & IS_UNKNOWN != 0
    }

    /// Whether it would be called if it ended now, and is not yet: one that is shorter than an attack needs, or one of
    /// no class.
    #[inline]
    pub fn would_be_called(&self, settings: &Settings) -> bool {
        let short = self.call & WOULD_CALL != 0 && self.packets < settings.packets;
        short || self.call & PACKET == 0 && self.call & (IS_BEYOND | WAS_BEYOND) != 0
    }

    /// What it was called.
    pub fn called(&self, settings: &Settings) -> Option<Called> {
        let packets = self.call & PACKET;
        if packets == 0 {
            return None;
        }
        if self.is_unknown() {
            let score = share_beyond(f32::from(self.beyond) / BEYOND_PARTS);
            return Some(Called { class: settings.thresholds.len() as u32, score, packets });
        }
        let attacks = (1..).zip(self.sums);
        let (class, sum) =
            attacks.fold((0, 0.0f32), |top, (class, sum)| if sum > top.1 { (class, sum) } else { top });
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
        if mean.max(alone) >= least {
            self.near_at_end = class as u8;
        }
        if is_whole && mean >= least {
            self.near |= bit(class as u8);
        }
    }

    /// Of a conversation that has ended, a bit for each class that it came near, as [`Benign::near`] says.
    pub fn near(&self) -> u16 {
        self.near | bit(self.near_at_end)
    }

    /// Highest probability of any attack after any packet.
    pub fn highest(&self) -> f32 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::super::unknown::{Limits, NEVER};
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
        let calls: Vec<bool> = steps.iter().map(|p| running.step(p, NEVER, &settings())).collect();
        assert_eq!(calls, [false, false, false, false, false, true, false]);
        let called = running.end(&settings()).unwrap();
        assert_eq!((called.class, called.packets), (2, 6));
    }

    #[test]
    fn one_packet_that_shows_it_outweighs_two_in_doubt_not_two_that_were_benign() {
        let call = |doubt: f32| {
            let mut running = Running::default();
            let steps = [[doubt, 1.0 - doubt, 0.0], [doubt, 1.0 - doubt, 0.0], [1e-5, 1.0, 0.0]];
            steps.map(|p| running.step(&p, NEVER, &settings()))
        };
        assert_eq!(call(0.2), [false, false, true]);
        assert_eq!(call(0.8), [false, false, false]);
    }

    #[test]
    fn a_short_conversation_is_called_by_all_it_had() {
        let mut running = Running::default();
        assert!(!running.step(&FIRST, NEVER, &settings()) && !running.is_called());
        assert_eq!(running.end(&settings()).map(|called| (called.class, called.packets)), Some((1, 1)));
        let mut mixed = Running::default();
        mixed.step(&FIRST, NEVER, &settings());
        mixed.step(&BENIGN, NEVER, &settings());
        assert_eq!(mixed.end(&settings()), None);
        assert!(!mixed.step(&SECOND, NEVER, &settings()));
        assert_eq!(mixed.end(&settings()).map(|called| (called.class, called.packets)), Some((2, 3)));
        assert_eq!(Running::default().end(&settings()), None);
    }

    /// A count of 20 and more calls.
    fn with_unknown() -> Settings {
        let unknown = Unknown { times: 20.0, benign: Vec::new(), limits: Limits::default() };
        Settings { unknown: Some(unknown), window: 5, ..settings() }
    }

    const BEYOND: f32 = 3.5;

    #[test]
    fn what_no_benign_host_did_is_unknown_at_the_end_or_after_a_window() {
        let settings = with_unknown();
        let walked = |beyond: &[f32]| {
            let mut running = Running::default();
            let calls: Vec<bool> = beyond.iter().map(|b| running.step(&BENIGN, *b, &settings)).collect();
            (calls.iter().position(|calls| *calls), running.end(&settings).map(|c| (c.class, c.packets)))
        };
        assert_eq!(walked(&[0.0, 2.9, 2.9]), (None, None));
        assert_eq!(walked(&[0.0, BEYOND]), (None, Some((3, 2))));
        // The begin alone says nothing: an answer may take back what failed.
        assert_eq!(walked(&[BEYOND, BEYOND, 0.0]), (None, None));
        assert_eq!(walked(&[0.0, 0.0, BEYOND, 0.0]), (None, Some((3, 4))));
        assert_eq!(walked(&[0.0, 0.0, 0.0, 0.0, 0.0, BEYOND, 0.0]), (Some(5), Some((3, 6))));
        assert_eq!(walked(&[BEYOND; 7]), (Some(4), Some((3, 5))));
        let never = Settings { unknown: None, ..settings.clone() };
        let mut running = Running::default();
        assert!(!(0..9).any(|_| running.step(&BENIGN, 9.0, &never)) && running.end(&never).is_none());
    }

    #[test]
    fn a_class_takes_the_place_of_unknown_and_is_told_too() {
        let settings = with_unknown();
        let mut running = Running::default();
        let mut calls: Vec<bool> = (0..5).map(|_| running.step(&BENIGN, BEYOND, &settings)).collect();
        assert!(running.is_unknown() && !running.would_be_called(&settings));
        let score = running.called(&settings).unwrap().score;
        assert!((score - (1.0 - (-BEYOND).exp())).abs() < 1e-6 && score > settings.threshold_of(3));
        calls.extend((0..3).map(|_| running.step(&FIRST, BEYOND, &settings)));
        assert_eq!(calls, [false, false, false, false, true, false, false, true]);
        assert_eq!(running.end(&settings).map(|called| (called.class, called.packets)), Some((1, 8)));
    }

    #[test]
    fn one_that_falls_silent_may_be_told_of() {
        let settings = with_unknown();
        let mut running = Running::default();
        running.step(&BENIGN, 0.0, &settings);
        assert!(!running.would_be_called(&settings));
        (0..2).for_each(|_| _ = running.step(&BENIGN, BEYOND, &settings));
        assert!(running.would_be_called(&settings) && running.called(&settings).is_none());
        let mut short = Running::default();
        short.step(&FIRST, NEVER, &settings);
        assert!(short.would_be_called(&settings) && !short.is_unknown());
    }

    #[test]
    fn the_false_alerts_allowed_choose_what_is_unknown_too() {
        let benign = Benign { hours: 24.0, highest: vec![Vec::new(); 3], ceilings: vec![20.0; 3] };
        let unknown =
            Unknown { times: 1.0, benign: vec![2.0, 1.5, 1.2, 1.0, 1.0], limits: Limits::default() };
        let all = Settings { benign, unknown: Some(unknown), ..settings() };
        let times = |per_day: f32| all.for_false_alerts(per_day).unknown.unwrap().times;
        assert!(times(0.1) > times(1.0) && times(1.0) > 1.0f32.exp());
        // A third of three a day is unknown's: what the tail expects is what was asked for.
        assert!((all.for_false_alerts(3.0).expected_per_day() - 1.0).abs() < 0.05);
        let none = Unknown { benign: vec![-3.0, -4.0], ..all.unknown.clone().unwrap() };
        let low = Settings { unknown: Some(none), ..all.clone() }.for_false_alerts(1.0);
        assert!((low.unknown.unwrap().times - 2.0).abs() < 1e-5);
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
        let low = Settings { benign: low, ..settings() };
        assert!((low.for_false_alerts(1.0).thresholds[1] - probability(2.5)).abs() < 1e-6);
        // Whoever asks for less than one a day gets more than the ceiling.
        assert!(low.for_false_alerts(0.5).thresholds[1] > probability(5.0));
        assert_eq!(settings().for_false_alerts(5.0).thresholds, settings().thresholds);
    }

    #[test]
    fn it_comes_near_a_class_by_the_mean_of_three_or_by_its_last_packet() {
        let benign =
            Benign { hours: 1.0, highest: vec![vec![], vec![4.0, 2.0], vec![]], ceilings: vec![9.0; 3] };
        let settings = Settings { benign, ..Settings::plain(64, 3, 0.999, 3) };
        let near = |steps: &[[f32; 3]]| {
            let mut running = Running::default();
            steps.iter().for_each(|p| _ = running.step(p, NEVER, &settings));
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
