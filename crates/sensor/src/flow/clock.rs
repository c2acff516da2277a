//! A monotonic clock driven by packet time.
//!
//! In: packet times in nanoseconds, in any order. Out: nanoseconds since the first packet. A packet that is a little out
//! of order does not move the clock; after a step back (the recorder's clock was set) it continues from the new time.

/// A larger step back means that the recorder's clock was set; a smaller one that a packet arrived late.
pub(crate) const SET_BACK_NANOS: i64 = 60_000_000_000;

/// The clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    now: u64,
    /// The packet time that corresponds to `now`.
    latest: Option<i64>,
    /// How often packet time stepped back.
    pub(super) steps_back: u64,
}

impl Clock {
    /// Advances the clock to a packet's time and returns it.
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

    /// The time of an event at a packet's time or shortly after. It moves the clock by a minute at most, because the
    /// event may be reported late, after the recorder's clock was set.
    pub(crate) fn near(&mut self, time_nanos: i64) -> u64 {
        match self.latest {
            Some(latest) if !(0..=SET_BACK_NANOS).contains(&time_nanos.saturating_sub(latest)) => self.now,
            _ => self.at(time_nanos),
        }
    }

    /// The state to restore after a restart.
    pub(crate) fn snapshot(&self) -> (u64, Option<i64>) {
        (self.now, self.latest)
    }

    /// A clock that continues from a snapshot.
    pub(crate) fn restore((now, latest): (u64, Option<i64>)) -> Clock {
        Clock { now, latest, steps_back: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn continues_after_a_step_back() {
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
