//! Finds packets that arrive after their sort window, over all shards of a capture.
//!
//! In: the packet times of batches, in capture order. Out: for each batch the packets that are earlier than a packet a
//! window or more before them, and the time up to which arrivals may be summed. Memory: the times of one window.

use std::collections::VecDeque;

/// The timing of a batch, which shards need to sum arrivals.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchTiming {
    /// Packets of the policy before the batch.
    pub(super) before: u64,
    /// Arrivals up to this time can be summed once the batch has been counted.
    pub(super) settled: i64,
    /// Late packets by their index in the batch, with the latest time of the packets before their window.
    late: Option<std::sync::Arc<[(u32, i64)]>>,
}

impl BatchTiming {
    /// If the packet is late: the time up to which its flow's arrivals are already summed.
    #[inline]
    pub(super) fn late(&self, index: u32) -> Option<i64> {
        let late = self.late.as_ref()?;
        late.binary_search_by_key(&index, |(index, _)| *index).ok().and_then(|at| Some(late.get(at)?.1))
    }
}

struct Past {
    /// Number of its first packet.
    first: u64,
    times: Vec<i64>,
    latest: i64,
}

/// The packet times in the sort window.
pub(crate) struct Arrivals {
    window: u64,
    seen: u64,
    batches: VecDeque<Past>,
    /// Latest time of the batches that left the window.
    passed: i64,
}

impl Arrivals {
    pub(super) fn new(window: usize) -> Arrivals {
        Arrivals { window: window.max(1) as u64, seen: 0, batches: VecDeque::new(), passed: i64::MIN }
    }

    /// Packets so far.
    #[inline]
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// The times of the last batch that was not empty.
    pub(super) fn newest(&self) -> &[i64] {
        self.batches.back().map_or(&[], |past| past.times.as_slice())
    }

    /// Adds the times of a batch.
    pub(super) fn batch(&mut self, times: Vec<i64>) -> BatchTiming {
        let (first, before) = (self.seen, self.seen);
        if times.is_empty() {
            return BatchTiming { before, settled: self.passed, late: None };
        }
        let (earliest, latest) = times
            .iter()
            .fold((i64::MAX, i64::MIN), |(earliest, latest), time| (earliest.min(*time), latest.max(*time)));
        self.seen += times.len() as u64;
        self.batches.push_back(Past { first, times, latest });
        let (seen, window) = (self.seen, self.window);
        let old = self.batches.iter().take_while(|past| past.first + window < seen).map(|past| past.latest);
        let bound = old.fold(self.passed, i64::max);
        let late = if earliest < bound { self.late(before) } else { Vec::new() };
        while let Some(past) = self.batches.front()
            && past.first + past.times.len() as u64 + window <= seen
        {
            self.passed = self.passed.max(past.latest);
            self.batches.pop_front();
        }
        BatchTiming { before, settled: self.passed, late: (!late.is_empty()).then(|| late.into()) }
    }

    /// The late packets of the newest batch.
    fn late(&self, before: u64) -> Vec<(u32, i64)> {
        let Some(newest) = self.batches.back() else { return Vec::new() };
        let mut passed = self.passed;
        let mut old = self.batches.iter().flat_map(|past| (past.first..).zip(&past.times)).peekable();
        let mut late = Vec::new();
        for (index, time) in newest.times.iter().enumerate() {
            while let Some((_, time)) =
                old.next_if(|(number, _)| number + self.window <= before + index as u64)
            {
                passed = passed.max(*time);
            }
            if *time < passed {
                late.push((index as u32, passed));
            }
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_packets_do_not_depend_on_the_batch_size() {
        // Packets are out of order by up to twelve.
        let times: Vec<i64> = (0..500).map(|at| at * 10 - at * 37 % 120).collect();
        for window in [1, 2, 5, 16] {
            let expected: Vec<(u64, i64)> = (window..times.len())
                .filter_map(|at| {
                    let passed = times[..=at - window].iter().copied().max().unwrap_or(i64::MIN);
                    (times[at] < passed).then_some((at as u64, passed))
                })
                .collect();
            assert_eq!(expected.is_empty(), window == 16, "window {window}");
            for size in [1, 3, 7, 100, 500] {
                let mut arrivals = Arrivals::new(window);
                let mut found = Vec::new();
                for batch in times.chunks(size) {
                    let timing = arrivals.batch(batch.to_vec());
                    found.extend(
                        (0..batch.len() as u32).filter_map(|index| {
                            Some((timing.before + u64::from(index), timing.late(index)?))
                        }),
                    );
                    let done = (timing.before as usize + batch.len() + 1).saturating_sub(window);
                    assert!(times[..done].iter().max().is_none_or(|latest| timing.settled <= *latest));
                }
                assert_eq!(found, expected, "window {window}, batches of {size}");
            }
        }
    }
}
