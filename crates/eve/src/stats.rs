//! `stats` records, generated from the metrics table: Suricata's counters where it has one of that meaning, the others in
//! `metadata.flowints`, which its schema leaves open.

use citronella_sensor::{alert::Stats, metrics::Description};

use crate::json::Json;
use crate::record::{Head, Recorder};

impl Recorder {
    /// A record of all metrics.
    pub(crate) fn stats(&mut self, stats: &Stats) {
        let time_nanos = stats.time_nanos;
        let head = Head { kind: "stats", time_nanos, packet: None, flow: None, community_id: "" };
        let fields: Vec<(Vec<&str>, u64)> = stats
            .metrics
            .iter()
            .filter_map(|(Description { eve, .. }, value)| Some((eve.as_ref()?.split('.').collect(), value)))
            .collect();
        self.any(head, |json, _| {
            json.object("stats", |json| nested(json, &fields, 0));
            json.object("metadata", |json| {
                json.object("flowints", |json| {
                    let own = stats.metrics.iter().filter(|(description, _)| description.eve.is_none());
                    own.for_each(|(description, value)| json.number(description.name, value));
                });
            });
        });
    }
}

/// Writes fields whose paths are equal up to `depth`; those of one object are adjacent or found by its first.
fn nested(json: &mut Json<'_>, fields: &[(Vec<&str>, u64)], depth: usize) {
    let mut written: Vec<&str> = Vec::new();
    for (path, value) in fields {
        let Some(name) = path.get(depth) else { continue };
        if path.len() == depth + 1 {
            json.number(name, *value);
        } else if !written.contains(name) {
            written.push(name);
            let inner: Vec<_> =
                fields.iter().filter(|(path, _)| path.get(depth) == Some(name)).cloned().collect();
            json.object(name, |json| nested(json, &inner, depth + 1));
        }
    }
}
