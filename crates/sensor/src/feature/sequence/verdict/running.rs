//! A conversation's verdict so far: what is kept of it from packet to packet.

use super::{MOST_CLASSES, MOST_PACKETS, Settings, attack_log_odds};

/// Of [`RunningVerdict::call`]: the packet that called it, from 1; 0 where none did.
const PACKET: u32 = (1 << 28) - 1;
/// No class is called yet, but an end after this packet would.
const WOULD_CALL: u32 = 1 << 28;
/// The packet called it unknown, no class.
const IS_UNKNOWN: u32 = 1 << 29;
/// An end after this packet would call it unknown.
const IS_BEYOND: u32 = 1 << 30;
/// Any end from now on would.
const WAS_BEYOND: u32 = 1 << 31;

/// Parts of a nat that [`RunningVerdict`] keeps.
const BEYOND_PARTS: f32 = 16.0;

/// A conversation's verdict so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunningVerdict {
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
pub struct Classification {
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

pub(super) fn share_beyond(beyond: f32) -> f32 {
    1.0 - (-beyond.max(0.0)).exp()
}

impl RunningVerdict {
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
    pub fn end(&mut self, settings: &Settings) -> Option<Classification> {
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
    pub fn called(&self, settings: &Settings) -> Option<Classification> {
        let packets = self.call & PACKET;
        if packets == 0 {
            return None;
        }
        if self.is_unknown() {
            let score = share_beyond(f32::from(self.beyond) / BEYOND_PARTS);
            return Some(Classification { class: settings.thresholds.len() as u32, score, packets });
        }
        let attacks = (1..).zip(self.sums);
        let (class, sum) =
            attacks.fold((0, 0.0f32), |top, (class, sum)| if sum > top.1 { (class, sum) } else { top });
        Some(Classification { class, score: sum / self.counted.max(1) as f32, packets })
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
    use super::super::super::unknown::{Limits, NEVER, Unknown};
    use super::super::Benign;
    use super::*;

    const BENIGN: [f32; 3] = [0.9, 0.05, 0.05];
    const FIRST: [f32; 3] = [0.02, 0.9, 0.08];
    const SECOND: [f32; 3] = [0.01, 0.09, 0.9];

    fn settings() -> Settings {
        Settings::plain(64, 3, 0.95, 3)
    }

    #[test]
    fn the_mean_of_three_calls_and_a_benign_packet_holds_it_back() {
        let mut running = RunningVerdict::default();
        let steps = [FIRST, FIRST, BENIGN, FIRST, SECOND, SECOND, BENIGN];
        let calls: Vec<bool> = steps.iter().map(|p| running.step(p, NEVER, &settings())).collect();
        assert_eq!(calls, [false, false, false, false, false, true, false]);
        let called = running.end(&settings()).unwrap();
        assert_eq!((called.class, called.packets), (2, 6));
    }

    #[test]
    fn one_packet_that_shows_it_outweighs_two_in_doubt_not_two_that_were_benign() {
        let call = |doubt: f32| {
            let mut running = RunningVerdict::default();
            let steps = [[doubt, 1.0 - doubt, 0.0], [doubt, 1.0 - doubt, 0.0], [1e-5, 1.0, 0.0]];
            steps.map(|p| running.step(&p, NEVER, &settings()))
        };
        assert_eq!(call(0.2), [false, false, true]);
        assert_eq!(call(0.8), [false, false, false]);
    }

    #[test]
    fn a_short_conversation_is_called_by_all_it_had() {
        let mut running = RunningVerdict::default();
        assert!(!running.step(&FIRST, NEVER, &settings()) && !running.is_called());
        assert_eq!(running.end(&settings()).map(|called| (called.class, called.packets)), Some((1, 1)));
        let mut mixed = RunningVerdict::default();
        mixed.step(&FIRST, NEVER, &settings());
        mixed.step(&BENIGN, NEVER, &settings());
        assert_eq!(mixed.end(&settings()), None);
        assert!(!mixed.step(&SECOND, NEVER, &settings()));
        assert_eq!(mixed.end(&settings()).map(|called| (called.class, called.packets)), Some((2, 3)));
        assert_eq!(RunningVerdict::default().end(&settings()), None);
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
            let mut running = RunningVerdict::default();
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
        let mut running = RunningVerdict::default();
        assert!(!(0..9).any(|_| running.step(&BENIGN, 9.0, &never)) && running.end(&never).is_none());
    }

    #[test]
    fn a_class_takes_the_place_of_unknown_and_is_told_too() {
        let settings = with_unknown();
        let mut running = RunningVerdict::default();
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
        let mut running = RunningVerdict::default();
        running.step(&BENIGN, 0.0, &settings);
        assert!(!running.would_be_called(&settings));
        (0..2).for_each(|_| _ = running.step(&BENIGN, BEYOND, &settings));
        assert!(running.would_be_called(&settings) && running.called(&settings).is_none());
        let mut short = RunningVerdict::default();
        short.step(&FIRST, NEVER, &settings);
        assert!(short.would_be_called(&settings) && !short.is_unknown());
    }

    #[test]
    fn it_comes_near_a_class_by_the_mean_of_three_or_by_its_last_packet() {
        let benign =
            Benign { hours: 1.0, highest: vec![vec![], vec![4.0, 2.0], vec![]], ceilings: vec![9.0; 3] };
        let settings = Settings { benign, ..Settings::plain(64, 3, 0.999, 3) };
        let near = |steps: &[[f32; 3]]| {
            let mut running = RunningVerdict::default();
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
