//! Why rows cannot be prepared.

/// Why rows cannot be prepared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// No row is left once rows with an empty field are gone.
    #[error("no row is left to learn from: {dropped}; packet presets read MQTT CONNECT packets only")]
    NoRows {
        /// What was dropped and why.
        dropped: String,
    },
    /// Only one class is left.
    #[error("all {rows} usable rows are of class {class}; add files of another scenario")]
    OneClass {
        /// The class.
        class: String,
        /// How many rows.
        rows: usize,
    },
    /// A split left a part without rows.
    #[error("the split by {by} leaves no {part} rows; {hint}")]
    EmptyPart {
        /// How it was split.
        by: &'static str,
        /// Which part is empty.
        part: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A recording to leave out that is not in the data.
    #[error("there is no recording {name} to leave out; the data has {known}")]
    NoSuchRecording {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A share outside 0 to 1.
    #[error("a share of {share} for {part} is not between 0 and 1")]
    Share {
        /// The share.
        share: String,
        /// Which part.
        part: &'static str,
    },
    /// A name that is no column of the level.
    #[error("{column} is no column of the {level} level")]
    NoSuchColumn {
        /// The column.
        column: String,
        /// The level.
        level: &'static str,
    },
}
