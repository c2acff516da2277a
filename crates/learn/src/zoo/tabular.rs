//! The preparation of Hindy et al. 2020 ("Machine Learning Based IoT Intrusion Detection System: an MQTT Case Study"),
//! which all classical models share here, so that they read the same rows.
//!
//! Addresses and the timestamp are dropped, at the packet level the MQTT columns and at the flow levels `proto`; ports
//! stay. An empty cell is -1, `protocol` an input for each value. Rows of a file that have the same inputs and the same
//! label count once.

use std::{collections::HashSet, hash::BuildHasher};

use citronella_sensor::{
    detect::Value,
    feature::schema::{Column, Kind, Level, Role},
};

use crate::{
    dataset::Table,
    prepare::{Step, Transform},
};

/// What becomes of each column that the classical models read.
pub fn tabular_steps(level: Level) -> Vec<Step> {
    let step = |c: &Column| Step {
        column: c.name.to_owned(),
        transform: if c.kind == Kind::Text { Transform::OneHot } else { Transform::AsIs { empty: -1 } },
    };
    level.columns().iter().filter(|c| is_read(level, c)).map(step).collect()
}

fn is_read(level: Level, column: &Column) -> bool {
    match column.role {
        Role::Label | Role::Time => false,
        // Addresses are the texts among the identities; ports are numbers.
        Role::Identity => column.kind != Kind::Text,
        Role::Feature => match level {
            Level::Packet => !column.name.starts_with("mqtt_"),
            Level::Uniflow | Level::UniflowExtended | Level::Biflow | Level::BiflowExtended => {
                column.name != "proto"
            }
            _ => true,
        },
    }
}

/// The first of all rows of a file that the steps' columns and the label cannot tell apart, of `rows`.
pub fn distinct_rows(table: &Table, rows: &[u32], steps: &[Step]) -> Vec<u32> {
    let columns: Vec<usize> = steps.iter().filter_map(|step| table.column(&step.column)).collect();
    let hashers = [11, 12].map(foldhash::quality::FixedState::with_seed);
    let mut seen = HashSet::new();
    let mut first = |row: &u32| {
        let row = *row as usize;
        let values: Vec<(u64, &str)> = columns
            .iter()
            .map(|&column| match table.value(row, column) {
                Value::Number(number) => (number.to_bits(), ""),
                Value::Text(text) => (0, text),
                Value::Empty | Value::Address(_) => (1, ""),
            })
            .collect();
        let key = (table.source_of(row), table.is_attack(row), values);
        // 128 bits: two of 10 million rows share them by chance once in 10^24 tries.
        seen.insert(hashers.each_ref().map(|hasher| hasher.hash_one(&key)))
    };
    rows.iter().copied().filter(|row| first(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_stay_addresses_time_and_labels_go() {
        let names = |level| tabular_steps(level).into_iter().map(|s| s.column).collect::<Vec<_>>();
        let packet = names(Level::Packet);
        assert_eq!(packet[..3], ["protocol", "ttl", "ip_len"]);
        assert!(packet.contains(&"dst_port".to_owned()) && packet.iter().all(|n| !n.starts_with("mqtt")));
        assert_eq!(packet.len(), 18);
        assert_eq!(names(Level::Biflow).len(), 28);
        assert_eq!(names(Level::Uniflow)[..3], ["prt_src", "prt_dst", "num_pkts"]);
    }
}
