//! Why a model file cannot be used, and what to do.

use std::io;

use super::card::FORMAT;
use crate::output::OutputError;

/// Why a model file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file could not be read.
    #[error("{file}: {source}; check the path and the permission to read it")]
    Read {
        /// The file.
        file: String,
        /// The system's error.
        source: io::Error,
    },
    /// Not a safetensors file, or one that is cut short.
    #[error("{file}: not a complete safetensors file ({problem}); train the model or copy the file again")]
    NotSafetensors {
        /// The file.
        file: String,
        /// The reader's error.
        problem: String,
    },
    /// A safetensors file of another program.
    #[error(
        "{file}: its metadata has no entry \"citronella\": not a model of this program; write one with `citronella train`"
    )]
    NotOurs {
        /// The file.
        file: String,
    },
    /// A model of another format version.
    #[error(
        "{file}: format version {found} (written by citronella {program}), this program reads version {FORMAT}; train \
         the model again with this program, or use the one that wrote it"
    )]
    Version {
        /// The file.
        file: String,
        /// The file's version.
        found: u64,
        /// The version of the program that wrote it.
        program: String,
    },
    /// Metadata that contradicts itself or lacks something.
    #[error("{file}: its description cannot be used: {problem}; train the model again")]
    Card {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// Weights that do not fit the network that the file describes.
    #[error("{file}: {problem}; the file is damaged or was edited, train the model again")]
    Weights {
        /// The file.
        file: String,
        /// Which tensor, what was expected, what was found.
        problem: String,
    },
    /// A model that does not score packets.
    #[error(
        "{file}: not a model for detection: {problem}; train one with `citronella train --preset sequence`, or leave \
         --model out for the embedded one"
    )]
    NotADetector {
        /// The file.
        file: String,
        /// Why it does not.
        problem: String,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] OutputError),
}
