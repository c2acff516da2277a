//! Verdicts as CSV: one row per flow, written when it ends.

use std::io::{self, Write};
use std::path::Path;

use super::FlowVerdict;
use crate::output::{Output, OutputError};

/// The columns, in order. Times are seconds since 1970-01-01 UTC, `proto` is IANA's number (6 TCP, 17 UDP, 1 ICMP, 58
/// ICMPv6), ports of ICMP are its identifier or type and code; `packets_to_alert` is empty unless the flow was flagged.
pub const COLUMNS: [&str; 11] = [
    "first_seen",
    "last_seen",
    "src_ip",
    "src_port",
    "dst_ip",
    "dst_port",
    "proto",
    "packets",
    "class",
    "score",
    "packets_to_alert",
];

/// Writes verdicts.
pub struct VerdictWriter {
    out: Output,
    path: std::path::PathBuf,
    classes: Vec<String>,
    line: Vec<u8>,
}

impl VerdictWriter {
    /// Creates a file; `-` is stdout. `classes` are the model's.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path, classes: &[String]) -> Result<VerdictWriter, OutputError> {
        let out = Output::create(path)?;
        let classes = classes.iter().map(|class| quoted(class)).collect();
        let mut writer = VerdictWriter { out, path: path.to_owned(), classes, line: Vec::with_capacity(256) };
        writer.line.extend_from_slice(COLUMNS.join(",").as_bytes());
        writer.put()?;
        Ok(writer)
    }

    /// Writes a row.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, verdict: &FlowVerdict) -> Result<(), OutputError> {
        let flow = &verdict.flow;
        let ((src, src_port), (dst, dst_port)) = (flow.src(), flow.dst());
        self.line.clear();
        let class = self.classes.get(verdict.class as usize).map_or("unknown", String::as_str);
        let (proto, packets) = (flow.key().protocol(), flow.packets());
        seconds(flow.first_nanos, &mut self.line);
        self.line.push(b',');
        seconds(flow.last_nanos, &mut self.line);
        let rest = write!(
            self.line,
            ",{src},{src_port},{dst},{dst_port},{proto},{packets},{class},{},",
            verdict.score
        );
        let rest = rest.and_then(|()| match verdict.packets_to_alert {
            Some(packets) => write!(self.line, "{packets}"),
            None => Ok(()),
        });
        rest.map_err(|source| OutputError { path: self.path.clone(), source })?;
        self.put()
    }

    /// Flushes the file and gives it its final name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(self) -> Result<(), OutputError> {
        self.out.commit()
    }

    fn put(&mut self) -> Result<(), OutputError> {
        self.line.push(b'\n');
        let written: io::Result<()> = self.out.write_all(&self.line);
        written.map_err(|source| OutputError { path: self.path.clone(), source })
    }
}

/// Seconds with nine decimals, exact.
fn seconds(nanos: i64, line: &mut Vec<u8>) {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    // Writing into memory does not fail.
    let _ = write!(line, "{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
}

/// A class name as a CSV field (RFC 4180).
fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{quoted, seconds};

    #[test]
    fn times_are_exact_and_names_are_quoted() {
        let text = |nanos| {
            let mut line = Vec::new();
            seconds(nanos, &mut line);
            String::from_utf8(line).unwrap()
        };
        assert_eq!(text(1_765_432_100_000_000_001), "1765432100.000000001");
        assert_eq!(text(-1), "-0.000000001");
        assert_eq!(quoted("scan_A"), "scan_A");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
