//! Errors of architecture, weights and data.

/// Why a network could not be built, trained or run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// An invalid architecture.
    #[error("network: {0}")]
    Spec(String),
    /// A tensor is missing from a model.
    #[error("the model has no tensor `{name}`: it does not fit the network that its metadata describes")]
    MissingTensor {
        /// The tensor's name.
        name: String,
    },
    /// A tensor has the wrong shape.
    #[error("the model's tensor `{name}` has shape {found:?}, the network needs {wanted:?}")]
    TensorShape {
        /// The tensor's name.
        name: String,
        /// Shape in the model.
        found: Vec<usize>,
        /// Shape that the network needs.
        wanted: Vec<usize>,
    },
    /// An input's length does not match its rows, steps and columns.
    #[error("{what}: {found} values, but {wanted} are needed")]
    Length {
        /// Which input.
        what: &'static str,
        /// Values given.
        found: usize,
        /// Values needed.
        wanted: usize,
    },
    /// A label is not one of the classes.
    #[error("row {row} has class {class}, but the network has {classes} classes")]
    Class {
        /// The row, counted from 0.
        row: usize,
        /// Its label.
        class: u32,
        /// Number of classes.
        classes: u32,
    },
    /// An invalid setting.
    #[error("{0}")]
    Config(String),
}

/// Returns an error if `found` is not `wanted`.
pub(crate) fn check_length(what: &'static str, found: usize, wanted: usize) -> Result<(), Error> {
    if found == wanted { Ok(()) } else { Err(Error::Length { what, found, wanted }) }
}
