//! Why rows cannot be prepared.

/// Why rows cannot be prepared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// All rows have an empty field.
    #[error("no row is left to learn from: {dropped}; packet presets read MQTT CONNECT packets only")]
    NoRows {
        /// What was dropped, and why.
        dropped: String,
    },
    /// Only one class is left.
    #[error("all {rows} usable rows are of class {class}; add files of another scenario")]
    OneClass {
        /// The class.
        class: String,
        /// Usable rows.
        rows: usize,
    },
    /// A part of a split has no rows.
    #[error("the split by {by} leaves no {part} rows; {hint}")]
    EmptyPart {
        /// The kind of split.
        by: &'static str,
        /// The empty part.
        part: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A recording to leave out is not in the data.
    #[error("there is no recording {name} to leave out; the data has {known}")]
    NoSuchRecording {
        /// The requested name.
        name: String,
        /// The recordings of the data.
        known: String,
    },
    /// A share is outside 0 to 1.
    #[error("a share of {share} for {part} is not between 0 and 1")]
    Share {
        /// The share.
        share: String,
        /// The part.
        part: &'static str,
    },
    /// A name is not a column of the level.
    #[error("{column} is not a column of the {level} level")]
    NoSuchColumn {
        /// The column.
        column: String,
        /// The level.
        level: &'static str,
    },
}
