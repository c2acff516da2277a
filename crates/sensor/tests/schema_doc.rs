//! docs/schema.md contains every level's table, as generated from the program.

use citronella_sensor::feature::schema::{Level, markdown};

#[test]
fn the_schema_document_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema.md");
    let document = std::fs::read_to_string(path).unwrap();
    for level in [Level::Packet, Level::UniflowExtended, Level::BiflowExtended, Level::Sequence] {
        let table = markdown(level);
        assert!(document.contains(&table), "docs/schema.md lacks the table of {}:\n{table}", level.name());
    }
}
