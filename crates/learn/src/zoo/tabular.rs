//! The preparation of Hindy et al. 2020 ("Machine Learning Based IoT Intrusion Detection System: an MQTT Case Study"),
//! shared by all classical models.
//!
//! Dropped: addresses and the timestamp, the MQTT columns at the packet level, `proto` at the flow levels. Ports stay. An
//! empty cell becomes -1; `protocol` is one-hot encoded. Rows of a file with equal inputs and label count once.

use std::{collections::HashSet, hash::BuildHasher};

use citronella_sensor::{
    detect::Value,
    feature::schema::{Column, Kind, Level, Role},
};

use crate::{
    dataset::Table,
    prepare::{Step, Transform},
};

/// The transformation of each column that the classical models read.
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
        // Of the identity columns, addresses are text and ports are numbers.
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

/// Of `rows`, the first of each file with these values in the steps' columns and this label.
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
        // 128 bits: a collision among 10 million rows has a probability of 10^-24.
        seen.insert(hashers.each_ref().map(|hasher| hasher.hash_one(&key)))
    };
    rows.iter().copied().filter(|row| first(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_but_not_addresses_times_and_labels() {
        let names = |level| tabular_steps(level).into_iter().map(|s| s.column).collect::<Vec<_>>();
        let packet = names(Level::Packet);
        assert_eq!(packet[..3], ["protocol", "ttl", "ip_len"]);
        assert!(packet.contains(&"dst_port".to_owned()) && packet.iter().all(|n| !n.starts_with("mqtt")));
        assert_eq!(packet.len(), 18);
        assert_eq!(names(Level::Biflow).len(), 28);
        assert_eq!(names(Level::Uniflow)[..3], ["prt_src", "prt_dst", "num_pkts"]);
    }
}
