//! A clock that packets drive and that never goes back.
//!
//! In: packet times, in nanoseconds, in any order. Out: nanoseconds since the first packet. Packets that come a little
//! out of order stand still; where time steps back (the recorder's clock was set), the clock carries on from there.

/// A step back of more than this is a clock that was set; less is a packet that came late.
const SET_BACK_NANOS: i64 = 60_000_000_000;

/// The clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    now: u64,
    /// The packet time that stands for `now`.
    latest: Option<i64>,
    /// How often time stepped back.
    pub(super) steps_back: u64,
}

impl Clock {
    /// The time of a packet.
    #[inline]
    pub(crate) fn at(&mut self, time_nanos: i64) -> u64 {
        match self.latest {
            Some(latest) if time_nanos >= latest => {
                self.now = self.now.saturating_add(time_nanos.abs_diff(latest));
                self.latest = Some(time_nanos);
            }
            Some(latest) if latest.saturating_sub(time_nanos) <= SET_BACK_NANOS => {}
            Some(_) => {
                self.steps_back += 1;
                self.latest = Some(time_nanos);
            }
            None => self.latest = Some(time_nanos),
        }
        self.now
    }

    /// The time of something that happened at a packet's time or shortly after: it moves the clock no further than a
    /// minute, for it may be told late, after the recorder's clock was set.
    pub(crate) fn near(&mut self, time_nanos: i64) -> u64 {
        match self.latest {
            Some(latest) if !(0..=SET_BACK_NANOS).contains(&time_nanos.saturating_sub(latest)) => self.now,
            _ => self.at(time_nanos),
        }
    }

    /// What is to be kept of it over a restart.
    pub(crate) fn parts(&self) -> (u64, Option<i64>) {
        (self.now, self.latest)
    }

    /// Of what was kept.
    pub(crate) fn of_parts((now, latest): (u64, Option<i64>)) -> Clock {
        Clock { now, latest, steps_back: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn goes_on_after_a_step_back() {
        let second = 1_000_000_000;
        let mut clock = Clock::default();
        assert_eq!(clock.at(7_000 * second), 0);
        assert_eq!(clock.at(7_002 * second), 2_000_000_000);
        assert_eq!(clock.at(7_001 * second), 2_000_000_000);
        assert_eq!(clock.at(3_402 * second), 2_000_000_000);
        assert_eq!(clock.at(3_403 * second), 3_000_000_000);
        assert_eq!(clock.steps_back, 1);
        assert_eq!(clock.at(i64::MAX), 3_000_000_000 + i64::MAX.abs_diff(3_403 * second));
        assert_eq!(clock.at(i64::MIN), clock.at(i64::MIN));
    }
}
