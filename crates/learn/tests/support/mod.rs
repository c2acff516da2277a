//! Small data sets in files.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use citronella_learn::dataset::{LoadOptions, Table, load};
use citronella_sensor::feature::schema::PACKET;

pub fn header() -> String {
    PACKET.iter().map(|c| c.name).collect::<Vec<_>>().join(",")
}

/// The line of a CONNECT packet: `at` seconds into the recording, with a time to live, a port and a label.
pub fn connect(at: u32, ttl: u32, port: u32, attack: bool) -> String {
    format!(
        "2020-02-14 16:{:02}:{:02}.818127,10.0.0.{},10.0.0.9,MQTT,{ttl},{},1,0,0,{port},1883,0,0,0,0,0,1,1,0,0,0,1,{},1,1,0,0,0,1,0,{}",
        at / 60 % 60,
        at % 60,
        ttl % 7,
        60 + ttl,
        20 + ttl,
        u8::from(attack)
    )
}

/// The line of a TCP segment without an MQTT message.
pub fn plain(at: u32) -> String {
    format!(
        "2020-02-14 16:{:02}:{:02}.000001,10.0.0.1,10.0.0.9,TCP,64,52,1,0,0,4000,1883,0,0,0,0,0,1,0,0,0,0,,,,,,,,,,0",
        at / 60 % 60,
        at % 60
    )
}

pub fn write(path: &Path, lines: impl IntoIterator<Item = String>) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, lines.into_iter().map(|line| line + "\n").collect::<String>()).unwrap();
    path.to_owned()
}

/// A folder in MQTT-IoT-IDS2020's layout: `rows` CONNECT packets of each scenario, each scenario in a minute of its own,
/// every third row benign, a plain segment before every fifth.
pub fn published(folder: &Path, scenarios: &[(&str, u32)]) -> PathBuf {
    for (number, (scenario, rows)) in (0..).zip(scenarios) {
        let attack = *scenario != "normal";
        let lines = (0..*rows).flat_map(|i| {
            let at = number * 120 + i % 60;
            let row = connect(at, 30 + (i * 7 + number * 3) % 40, 4000 + i, attack && i % 3 > 0);
            if i % 5 == 0 { vec![plain(at), row] } else { vec![row] }
        });
        write(&folder.join(format!("packet_features/{scenario}.csv")), [header()].into_iter().chain(lines));
    }
    folder.to_owned()
}

pub fn table(folder: &Path, scenarios: &[(&str, u32)]) -> Table {
    load(&[published(folder, scenarios)], &LoadOptions::default()).unwrap()
}

/// The committed recording of a name, if present.
pub fn lab(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab").join(name);
    if !path.join("manifest.csv").is_file() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}
