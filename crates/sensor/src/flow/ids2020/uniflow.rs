//! Statistics of one direction of a flow, as exact integer sums.

/// One direction's statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Uniflow {
    /// Number of its first packet among all packets of the policy.
    pub(super) order: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes of IP datagrams.
    pub bytes: u64,
    square_bytes: u128,
    /// Shortest datagram in bytes.
    pub min_len: u32,
    /// Longest datagram in bytes.
    pub max_len: u32,
    /// Segments with PSH.
    pub psh: u64,
    /// Segments with RST.
    pub rst: u64,
    /// Segments with URG.
    pub urg: u64,
    pub(super) times: Times,
}

/// Sums over arrival times in order, in integer nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Times {
    count: u64,
    first: i64,
    last: i64,
    min_gap: u64,
    max_gap: u64,
    square_gaps: u128,
    /// Sum of the times since `first`.
    offsets: u128,
}

impl Times {
    /// Adds an arrival; returns `false` if it is earlier than the one before.
    #[inline]
    pub(super) fn add(&mut self, at: i64) -> bool {
        if self.count == 0 {
            *self = Times { count: 1, first: at, last: at, min_gap: u64::MAX, ..Times::default() };
            return true;
        }
        let in_order = at >= self.last;
        let at = at.max(self.last);
        let gap = at.abs_diff(self.last);
        self.count += 1;
        self.last = at;
        self.min_gap = self.min_gap.min(gap);
        self.max_gap = self.max_gap.max(gap);
        self.square_gaps = self.square_gaps.saturating_add(u128::from(gap) * u128::from(gap));
        self.offsets += u128::from(at.abs_diff(self.first));
        in_order
    }
}

/// A flow's inter-arrival times in seconds; zeros for a single packet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gaps {
    /// Arithmetic mean.
    pub mean: f64,
    /// Population standard deviation.
    pub std: f64,
    /// Shortest.
    pub min: f64,
    /// Longest.
    pub max: f64,
    /// Mean time from the first packet to each later one.
    pub mean_offset: f64,
}

impl Uniflow {
    /// Inter-arrival times in seconds.
    pub fn gaps(&self) -> Gaps {
        let times = &self.times;
        let Some(gaps) = times.count.checked_sub(1).filter(|gaps| *gaps > 0) else { return Gaps::default() };
        let sum = times.last.abs_diff(times.first);
        let n = gaps as f64 * 1e9;
        Gaps {
            mean: sum as f64 / n,
            std: deviation(gaps, u128::from(sum), times.square_gaps) / 1e9,
            min: times.min_gap as f64 / 1e9,
            max: times.max_gap as f64 / 1e9,
            mean_offset: times.offsets as f64 / n,
        }
    }

    /// Mean datagram length in bytes.
    pub fn mean_len(&self) -> f64 {
        self.bytes as f64 / self.packets.max(1) as f64
    }

    /// Population standard deviation of the datagrams' lengths in bytes.
    pub fn std_len(&self) -> f64 {
        deviation(self.packets, u128::from(self.bytes), self.square_bytes)
    }

    #[inline]
    pub(super) fn add(&mut self, len: u32, flags: u8) {
        if self.packets == 0 {
            self.min_len = len;
        }
        self.packets += 1;
        self.bytes += u64::from(len);
        self.square_bytes += u128::from(len) * u128::from(len);
        self.min_len = self.min_len.min(len);
        self.max_len = self.max_len.max(len);
        self.psh += u64::from(flags >> 3 & 1);
        self.rst += u64::from(flags >> 2 & 1);
        self.urg += u64::from(flags >> 5 & 1);
    }
}

/// Population standard deviation of `n` integers from their sum and their sum of squares. The difference is taken
/// between integers, without cancellation.
fn deviation(n: u64, sum: u128, squares: u128) -> f64 {
    let n_wide = u128::from(n.max(1));
    let n = n.max(1) as f64;
    match (squares.checked_mul(n_wide), sum.checked_mul(sum)) {
        (Some(scaled), Some(square)) => (scaled.saturating_sub(square) as f64).sqrt() / n,
        // Gaps of decades overflow 128 bits; rounding does not matter then.
        _ => (squares as f64 / n - (sum as f64 / n).powi(2)).max(0.0).sqrt(),
    }
}
