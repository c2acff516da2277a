//! A conversation's verdict so far, updated packet by packet.

use super::{MAX_CLASSES, MAX_PACKETS, Settings, attack_log_odds};

// Bits of `RunningVerdict::flagged`.

/// The packet that flagged the conversation, from 1; 0 if none.
const PACKET: u32 = (1 << 28) - 1;
/// No class is flagged, but an end after this packet would flag one.
const WOULD_FLAG: u32 = 1 << 28;
/// It was flagged as unknown, not as a class.
const IS_UNKNOWN: u32 = 1 << 29;
/// An end after this packet would flag it as unknown.
const IS_EXCEEDED: u32 = 1 << 30;
/// Any end from now on would flag it as unknown.
const WAS_EXCEEDED: u32 = 1 << 31;

/// Fractions of a nat that [`RunningVerdict`] stores.
const EXCESS_PARTS: f32 = 16.0;

/// A conversation's verdict so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunningVerdict {
    packets: u32,
    /// Packets summed in `sums`.
    counted: u32,
    /// A packet number and the bits above.
    flagged: u32,
    /// Bit per class that it was near.
    near: u16,
    /// The class that it would be near if it ended after this packet; 0 for none.
    near_at_end: u8,
    /// Largest excess of its initiator over benign hosts, in sixteenths of a nat.
    excess: u8,
    /// Highest probability of an attack.
    highest: f32,
    /// Log-odds of the last packets.
    last: [f32; MAX_PACKETS],
    /// Sum of each attack's probabilities.
    sums: [f32; MAX_CLASSES - 1],
}

/// The class of a flagged conversation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Classification {
    /// Index among the outputs; their number for unknown.
    pub class: u32,
    /// Mean probability of that class since an attack became likelier than not. Of unknown, the share of the
    /// initiator's count that exceeds every benign host's: 0.5 for twice as much, 0.9 for ten times.
    pub score: f32,
    /// The packet that flagged it, from 1.
    pub packets: u32,
}

/// Bit of an attack class; none for benign.
fn bit(class: u8) -> u16 {
    if class == 0 { 0 } else { 1u16.checked_shl(class.into()).unwrap_or_default() }
}

/// The share of a count that exceeds the highest benign one, from the log ratio `excess`.
pub(super) fn excess_share(excess: f32) -> f32 {
    1.0 - (-excess.max(0.0)).exp()
}

impl RunningVerdict {
    /// Takes the calibrated probabilities after the next packet and the initiator's excess over benign hosts
    /// ([`Limits::excess`](super::super::unknown::Limits::excess)); returns whether they flag the conversation, or
    /// give an unknown one a class.
    #[inline]
    pub fn step(&mut self, probabilities: &[f32], excess: f32, settings: &Settings) -> bool {
        let Some((benign, attacks)) = probabilities.split_first() else { return false };
        let attack = 1.0 - benign;
        let wanted = (settings.packets as usize).clamp(1, MAX_PACKETS);
        if let Some(last) = self.last.get_mut(self.packets as usize % wanted) {
            *last = attack_log_odds(*benign);
        }
        self.packets = self.packets.saturating_add(1).min(PACKET);
        self.highest = self.highest.max(attack);
        let is_unknown = self.step_unknown(excess, wanted, settings);
        if !self.is_classified() && attack < 0.5 {
            (self.counted, self.sums) = (0, Default::default());
        }
        self.counted = self.counted.saturating_add(1);
        self.sums.iter_mut().zip(attacks).for_each(|(sum, p)| *sum += p);
        if self.is_classified() {
            return false;
        }
        let likeliest =
            (1..).zip(attacks).fold((0, 0.0), |top, (class, p)| if *p > top.1 { (class, *p) } else { top });
        let had = wanted.min(self.packets as usize);
        let mean = self.last.iter().take(had).sum::<f32>() / had as f32;
        let reaches = |log_odds: f32| {
            settings.thresholds.get(likeliest.0).is_some_and(|t| log_odds >= attack_log_odds(1.0 - t))
        };
        let is_reached = reaches(mean);
        let would_flag = if is_reached || reaches(attack_log_odds(*benign)) { WOULD_FLAG } else { 0 };
        self.flagged = self.flagged & !WOULD_FLAG | would_flag;
        self.update_near(likeliest.0, mean, attack_log_odds(*benign), had == wanted, settings);
        if is_reached && had == wanted {
            self.flagged = self.packets;
            return true;
        }
        is_unknown
    }

    /// Returns whether the packet flags the conversation as unknown.
    #[inline]
    fn step_unknown(&mut self, excess: f32, wanted: usize, settings: &Settings) -> bool {
        self.flagged &= !IS_EXCEEDED;
        if self.is_classified()
            || !settings.unknown.as_ref().is_some_and(|unknown| unknown.is_reached(excess))
        {
            return false;
        }
        self.excess = self.excess.max((excess * EXCESS_PARTS).ceil() as u8);
        self.flagged |=
            if self.packets as usize >= wanted { IS_EXCEEDED | WAS_EXCEEDED } else { IS_EXCEEDED };
        let flags = self.packets >= settings.window.max(1) && self.flagged & IS_UNKNOWN == 0;
        if flags {
            self.flagged |= IS_UNKNOWN | self.packets;
        }
        flags
    }

    /// Ends the conversation and returns its class, or `None` if it is benign. One shorter than the mean's packets is
    /// judged by all it had, any by its last packet alone; one of no class may be unknown.
    pub fn end(&mut self, settings: &Settings) -> Option<Classification> {
        if self.flagged & WOULD_FLAG != 0 {
            self.flagged = self.packets;
        } else if self.flagged & PACKET == 0 && self.flagged & (IS_EXCEEDED | WAS_EXCEEDED) != 0 {
            self.flagged |= IS_UNKNOWN | self.packets;
        }
        self.classification(settings)
    }

    /// Whether it was flagged as a class.
    #[inline]
    pub fn is_classified(&self) -> bool {
        self.flagged & PACKET != 0 && self.flagged & IS_UNKNOWN == 0
    }

    /// Whether it was flagged as unknown and not as a class.
    #[inline]
    pub fn is_unknown(&self) -> bool {
        self.flagged & IS_UNKNOWN != 0
    }

    /// Whether it would be flagged if it ended now, and is not yet: one shorter than the mean's packets, or one of no
    /// class.
    #[inline]
    pub fn would_be_flagged(&self, settings: &Settings) -> bool {
        let is_short = self.flagged & WOULD_FLAG != 0 && self.packets < settings.packets;
        is_short || self.flagged & PACKET == 0 && self.flagged & (IS_EXCEEDED | WAS_EXCEEDED) != 0
    }

    /// The class that it was flagged as; `None` while it is not flagged.
    pub fn classification(&self, settings: &Settings) -> Option<Classification> {
        let packets = self.flagged & PACKET;
        if packets == 0 {
            return None;
        }
        if self.is_unknown() {
            let score = excess_share(f32::from(self.excess) / EXCESS_PARTS);
            return Some(Classification { class: settings.thresholds.len() as u32, score, packets });
        }
        let attacks = (1..).zip(self.sums);
        let (class, sum) =
            attacks.fold((0, 0.0f32), |top, (class, sum)| if sum > top.1 { (class, sum) } else { top });
        Some(Classification { class, score: sum / self.counted.max(1) as f32, packets })
    }

    /// Records that the conversation is near the likeliest class: its mean is among the class's highest benign scores.
    #[inline]
    fn update_near(&mut self, class: usize, mean: f32, alone: f32, is_whole: bool, settings: &Settings) {
        self.near_at_end = 0;
        // The most frequent case.
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

    /// Bit per class that an ended conversation was near, by [`Benign::near`](super::Benign::near).
    pub fn near(&self) -> u16 {
        self.near | bit(self.near_at_end)
    }

    /// Highest probability of any attack after any packet.
    pub fn highest(&self) -> f32 {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::unknown::{Limits, NO_EXCESS, Unknown};
    use super::super::Benign;
    use super::*;

    const BENIGN: [f32; 3] = [0.9, 0.05, 0.05];
    const FIRST: [f32; 3] = [0.02, 0.9, 0.08];
    const SECOND: [f32; 3] = [0.01, 0.09, 0.9];

    fn settings() -> Settings {
        Settings::plain(64, 3, 0.95, 3)
    }

    #[test]
    fn the_mean_of_three_flags_and_a_benign_packet_delays_it() {
        let mut running = RunningVerdict::default();
        let steps = [FIRST, FIRST, BENIGN, FIRST, SECOND, SECOND, BENIGN];
        let flags: Vec<bool> = steps.iter().map(|p| running.step(p, NO_EXCESS, &settings())).collect();
        assert_eq!(flags, [false, false, false, false, false, true, false]);
        let class = running.end(&settings()).unwrap();
        assert_eq!((class.class, class.packets), (2, 6));
    }

    #[test]
    fn one_packet_that_shows_it_outweighs_two_in_doubt_not_two_that_were_benign() {
        let flags = |doubt: f32| {
            let mut running = RunningVerdict::default();
            let steps = [[doubt, 1.0 - doubt, 0.0], [doubt, 1.0 - doubt, 0.0], [1e-5, 1.0, 0.0]];
            steps.map(|p| running.step(&p, NO_EXCESS, &settings()))
        };
        assert_eq!(flags(0.2), [false, false, true]);
        assert_eq!(flags(0.8), [false, false, false]);
    }

    #[test]
    fn a_short_conversation_is_judged_by_all_its_packets() {
        let mut running = RunningVerdict::default();
        assert!(!running.step(&FIRST, NO_EXCESS, &settings()) && !running.is_classified());
        assert_eq!(running.end(&settings()).map(|class| (class.class, class.packets)), Some((1, 1)));
        let mut mixed = RunningVerdict::default();
        mixed.step(&FIRST, NO_EXCESS, &settings());
        mixed.step(&BENIGN, NO_EXCESS, &settings());
        assert_eq!(mixed.end(&settings()), None);
        assert!(!mixed.step(&SECOND, NO_EXCESS, &settings()));
        assert_eq!(mixed.end(&settings()).map(|class| (class.class, class.packets)), Some((2, 3)));
        assert_eq!(RunningVerdict::default().end(&settings()), None);
    }

    /// A count of 20 times the highest benign one flags.
    fn with_unknown() -> Settings {
        let unknown = Unknown { times: 20.0, benign: Vec::new(), limits: Limits::default() };
        Settings { unknown: Some(unknown), window: 5, ..settings() }
    }

    const EXCESS: f32 = 3.5;

    #[test]
    fn an_excess_is_unknown_at_the_end_or_after_a_window() {
        let settings = with_unknown();
        let run = |excess: &[f32]| {
            let mut running = RunningVerdict::default();
            let flags: Vec<bool> = excess.iter().map(|b| running.step(&BENIGN, *b, &settings)).collect();
            (flags.iter().position(|is| *is), running.end(&settings).map(|c| (c.class, c.packets)))
        };
        assert_eq!(run(&[0.0, 2.9, 2.9]), (None, None));
        assert_eq!(run(&[0.0, EXCESS]), (None, Some((3, 2))));
        // The first packets alone do not suffice: an answer may take back a failure.
        assert_eq!(run(&[EXCESS, EXCESS, 0.0]), (None, None));
        assert_eq!(run(&[0.0, 0.0, EXCESS, 0.0]), (None, Some((3, 4))));
        assert_eq!(run(&[0.0, 0.0, 0.0, 0.0, 0.0, EXCESS, 0.0]), (Some(5), Some((3, 6))));
        assert_eq!(run(&[EXCESS; 7]), (Some(4), Some((3, 5))));
        let never = Settings { unknown: None, ..settings.clone() };
        let mut running = RunningVerdict::default();
        assert!(!(0..9).any(|_| running.step(&BENIGN, 9.0, &never)) && running.end(&never).is_none());
    }

    #[test]
    fn a_class_replaces_unknown_and_flags_again() {
        let settings = with_unknown();
        let mut running = RunningVerdict::default();
        let mut flags: Vec<bool> = (0..5).map(|_| running.step(&BENIGN, EXCESS, &settings)).collect();
        assert!(running.is_unknown() && !running.would_be_flagged(&settings));
        let score = running.classification(&settings).unwrap().score;
        assert!((score - (1.0 - (-EXCESS).exp())).abs() < 1e-6 && score > settings.threshold_of(3));
        flags.extend((0..3).map(|_| running.step(&FIRST, EXCESS, &settings)));
        assert_eq!(flags, [false, false, false, false, true, false, false, true]);
        assert_eq!(running.end(&settings).map(|class| (class.class, class.packets)), Some((1, 8)));
    }

    #[test]
    fn an_idle_conversation_may_be_flagged() {
        let settings = with_unknown();
        let mut running = RunningVerdict::default();
        running.step(&BENIGN, 0.0, &settings);
        assert!(!running.would_be_flagged(&settings));
        (0..2).for_each(|_| _ = running.step(&BENIGN, EXCESS, &settings));
        assert!(running.would_be_flagged(&settings) && running.classification(&settings).is_none());
        let mut short = RunningVerdict::default();
        short.step(&FIRST, NO_EXCESS, &settings);
        assert!(short.would_be_flagged(&settings) && !short.is_unknown());
    }

    #[test]
    fn a_conversation_is_near_a_class_by_the_mean_of_three_or_by_its_last_packet() {
        let benign =
            Benign { hours: 1.0, highest: vec![vec![], vec![4.0, 2.0], vec![]], ceilings: vec![9.0; 3] };
        let settings = Settings { benign, ..Settings::plain(64, 3, 0.999, 3) };
        let near = |steps: &[[f32; 3]]| {
            let mut running = RunningVerdict::default();
            steps.iter().for_each(|p| _ = running.step(p, NO_EXCESS, &settings));
            running.near()
        };
        // Log-odds of 0.98 attack are 3.9, of 0.1 -2.2.
        assert_eq!(near(&[FIRST, FIRST, FIRST, BENIGN]), 1 << 1);
        assert_eq!(near(&[FIRST, BENIGN, BENIGN, BENIGN]), 0);
        assert_eq!(near(&[BENIGN, BENIGN, BENIGN, FIRST]), 1 << 1);
        assert_eq!(near(&[FIRST]), 1 << 1);
        // No benign conversation of the calibration is near the second class.
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
