//! Prints the schema tables in Markdown, for docs/schema.md.

use citronella_sensor::feature::schema::{Level, markdown};

fn main() {
    for level in [Level::Packet, Level::UniflowExtended, Level::BiflowExtended, Level::Sequence] {
        println!("## {}\n\n{}", level.name(), markdown(level));
    }
}
