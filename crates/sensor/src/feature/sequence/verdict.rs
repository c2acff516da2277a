//! From the probabilities after each packet of a conversation to a verdict, packet by packet.
//!
//! An attack is called when one minus the probability of benign traffic has stayed over the threshold of the attack
//! that is likeliest then, for so many packets in a row; in a conversation that ends earlier, over all of them. The
//! attack's name is the one with the largest sum of probabilities since.

/// Classes that a model of this level may have at most.
pub const MOST_CLASSES: usize = 16;

/// How probabilities become verdicts: stands in a model's card beside the network.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// Packets after which a conversation's state begins anew: what the network was trained on.
    pub window: u32,
    /// Divides the logits (Guo et al. 2017), fitted on recordings that the network had not seen.
    pub temperature: f32,
    /// Packets in a row that an attack needs.
    pub packets: u32,
    /// For each class, in the order of the outputs; that of the first, benign class is not looked at.
    pub thresholds: Vec<f32>,
}

impl Settings {
    /// One threshold for all of so many classes, temperature 1.
    pub fn plain(window: u32, packets: u32, threshold: f32, classes: usize) -> Settings {
        Settings { window, temperature: 1.0, packets, thresholds: vec![threshold; classes] }
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

/// A conversation's verdict so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Running {
    packets: u32,
    in_row: u32,
    /// The packet that called it.
    called_at: Option<u32>,
    most: f32,
    sums: [f32; MOST_CLASSES],
}

/// What a conversation is called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Called {
    /// The class's place among the outputs.
    pub class: u32,
    /// Mean probability of that class since the first packet that counted.
    pub score: f32,
    /// The packet that called it, from 1.
    pub packets: u32,
}

impl Running {
    /// Takes the calibrated probabilities after the next packet; `true` when they call an attack that was not called
    /// before.
    #[inline]
    pub fn step(&mut self, probabilities: &[f32], settings: &Settings) -> bool {
        self.packets = self.packets.saturating_add(1);
        let Some((benign, attacks)) = probabilities.split_first() else { return false };
        let attack = 1.0 - benign;
        self.most = self.most.max(attack);
        let likeliest =
            (1..).zip(attacks).fold((0, 0.0), |top, (class, p)| if *p > top.1 { (class, *p) } else { top });
        let over = settings.thresholds.get(likeliest.0).is_some_and(|threshold| attack >= *threshold);
        if self.called_at.is_none() && !over {
            (self.in_row, self.sums) = (0, [0.0; MOST_CLASSES]);
            return false;
        }
        self.in_row = self.in_row.saturating_add(1);
        self.sums.iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += p);
        if self.called_at.is_none() && self.in_row >= settings.packets.max(1) {
            self.called_at = Some(self.packets);
            return true;
        }
        false
    }

    /// The conversation ends: one of fewer packets than an attack needs is called by all of those it had.
    pub fn end(&mut self) -> Option<Called> {
        if self.called_at.is_none() && self.packets > 0 && self.in_row == self.packets {
            self.called_at = Some(self.packets);
        }
        self.called()
    }

    /// The attack that was called.
    pub fn called(&self) -> Option<Called> {
        let packets = self.called_at?;
        let attacks = (0..).zip(self.sums).skip(1);
        let (class, sum) =
            attacks.fold((0, 0.0f32), |top, (class, sum)| if sum > top.1 { (class, sum) } else { top });
        Some(Called { class, score: sum / self.in_row.max(1) as f32, packets })
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
    fn three_in_a_row_call_and_one_benign_packet_breaks_the_row() {
        let mut running = Running::default();
        let steps = [FIRST, FIRST, BENIGN, FIRST, SECOND, SECOND, BENIGN];
        let calls: Vec<bool> = steps.iter().map(|p| running.step(p, &settings())).collect();
        assert_eq!(calls, [false, false, false, false, false, true, false]);
        let called = running.end().unwrap();
        assert_eq!((called.class, called.packets), (2, 6));
    }

    #[test]
    fn a_short_conversation_is_called_by_all_it_had() {
        let mut running = Running::default();
        assert!(!running.step(&FIRST, &settings()) && running.called().is_none());
        assert_eq!(running.end().map(|called| (called.class, called.packets)), Some((1, 1)));
        let mut mixed = Running::default();
        mixed.step(&BENIGN, &settings());
        mixed.step(&FIRST, &settings());
        assert_eq!(mixed.end(), None);
        assert_eq!(Running::default().end(), None);
    }

    #[test]
    fn temperature_keeps_the_order_and_the_sum() {
        let mut p = FIRST;
        Settings { temperature: 2.0, ..settings() }.calibrate(&mut p);
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(p[1] < 0.9 && p[1] > p[2] && p[2] > p[0]);
    }
}
