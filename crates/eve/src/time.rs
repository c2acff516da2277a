//! EVE's timestamps: `2020-02-14T16:45:36.818127+0000`, always in UTC.

/// Formats packet times and caches the second, which most packets share.
#[derive(Default)]
pub(crate) struct Timestamps {
    second: Option<i64>,
    text: String,
}

impl Timestamps {
    /// The timestamp of nanoseconds since 1970-01-01 UTC; microseconds are truncated, not rounded.
    pub(crate) fn format(&mut self, time_nanos: i64) -> String {
        let (second, nanos) = (time_nanos.div_euclid(1_000_000_000), time_nanos.rem_euclid(1_000_000_000));
        if self.second != Some(second) {
            self.second = Some(second);
            // Every 64-bit count of nanoseconds is a valid date.
            self.text = match jiff::Timestamp::from_second(second) {
                Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
                Err(_) => String::from("1970-01-01T00:00:00"),
            };
        }
        format!("{}.{:06}+0000", self.text, nanos / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamps;

    #[test]
    fn as_suricata_writes_them() {
        let mut times = Timestamps::default();
        assert_eq!(times.format(1_581_698_736_818_127_999), "2020-02-14T16:45:36.818127+0000");
        assert_eq!(times.format(1_581_698_736_000_000_000), "2020-02-14T16:45:36.000000+0000");
        assert_eq!(times.format(-1), "1969-12-31T23:59:59.999999+0000");
        for extreme in [i64::MIN, i64::MAX] {
            assert!(times.format(extreme).ends_with("+0000"));
        }
    }
}
