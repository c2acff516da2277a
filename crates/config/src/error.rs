//! What can be wrong with a configuration.

use std::{io, path::PathBuf};

use citronella_sensor::capture::expression::ExpressionError;

/// Why a configuration file or a combination of arguments is rejected.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read", path.display())]
    Read {
        /// The configuration file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not TOML, or has an unknown key or a value of a wrong type.
    #[error("{}{}: {problem}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Parse {
        /// The configuration file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: Option<usize>,
        /// What is wrong, with the known keys and the most similar one.
        problem: String,
    },
    /// A value in the file is out of range.
    #[error("{}: {key}: {problem}", path.display())]
    Value {
        /// The configuration file.
        path: PathBuf,
        /// Section and key.
        key: &'static str,
        /// The permitted values.
        problem: String,
    },
    /// A command-line value is out of range.
    #[error("{flag}: {problem}")]
    Argument {
        /// The flag.
        flag: &'static str,
        /// The permitted values.
        problem: String,
    },
    /// The packet filter expression does not compile.
    #[error("{origin}")]
    Filter {
        /// `--filter`, or the file and its key.
        origin: String,
        /// What libpcap reported.
        source: ExpressionError,
    },
    /// A class name is neither a class of the model nor a rule.
    #[error("{}: {key}: {name:?} is not one of {known}{suggestion}", path.display())]
    UnknownClass {
        /// The configuration file.
        path: PathBuf,
        /// Section and key.
        key: &'static str,
        /// The unknown name.
        name: String,
        /// The known names.
        known: String,
        /// The most similar known name, as a clause; may be empty.
        suggestion: String,
    },
    /// Two outputs go to stdout.
    #[error("{first} and {second} both write to stdout; give {flag} a file, or leave one of them out")]
    StdoutTwice {
        /// The first flag with its value.
        first: &'static str,
        /// The second flag with its value.
        second: &'static str,
        /// The flag that can take a file instead.
        flag: &'static str,
    },
    /// Both recordings and interfaces are given.
    #[error("-r and -i exclude each other; leave one of them out")]
    TwoSources,
    /// Neither recordings nor interfaces are given.
    #[error("nothing to read: give -r CAPTURE, -i INTERFACE, or interfaces in the configuration")]
    NoSource,
}
