//! docs/model-card.md is the embedded model's card.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use support::{Folder, assert_contains, done, trained};

#[test]
fn the_page_in_docs_is_the_card_of_the_embedded_model() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/model-card.md");
    let (printed, _) = done(citronella!("card"));
    let stored = std::fs::read_to_string(&page).unwrap();
    assert!(printed == stored, "docs/model-card.md is out of date: citronella card > docs/model-card.md");
    let sections = [
        "## Intended use",
        "## Limitations",
        "## Training data",
        "## Training\n",
        "## Evaluation",
        "## Reproduction",
        "## Training files",
    ];
    let positions = sections.map(|section| stored.find(section).unwrap_or_else(|| panic!("no {section}")));
    assert!(positions.is_sorted(), "the hashes of the training files come last: {positions:?}");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/sequence.safetensors");
    let from_file = done(citronella!("card", "--model", &model)).0;
    let body = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(body(&from_file), body(&printed), "the embedded model is the file in models/");
}

#[test]
fn a_model_of_the_paper_has_a_card_too() {
    let folder = Folder::new();
    let model = trained(&folder);
    let page = folder.path("card.md");
    done(citronella!("card", "--model", &model, "-o", &page));
    let text = std::fs::read_to_string(page).unwrap();
    assert_contains(
        &text,
        &[
            "# Model card: model.safetensors",
            "paper-binary",
            "run-2/normal.pcap.zst",
            "not a detector for a network",
        ],
    );
}
