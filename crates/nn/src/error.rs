//! What can be wrong with a network's shape, weights or data.

/// Why a network could not be built, trained or run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A size that no network can have.
    #[error("network: {0}")]
    Spec(String),
    /// A tensor is missing from a model.
    #[error("the model has no tensor `{name}`: it does not fit the network that its metadata describes")]
    MissingTensor {
        /// The tensor's name.
        name: String,
    },
    /// A tensor has another shape than the network asks for.
    #[error("the model's tensor `{name}` has shape {found:?}, the network needs {wanted:?}")]
    TensorShape {
        /// The tensor's name.
        name: String,
        /// What the model has.
        found: Vec<usize>,
        /// What the network asks for.
        wanted: Vec<usize>,
    },
    /// An input has another length than its rows, steps and columns say.
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
    #[error("row {row} has class {class}, but the network knows {classes} classes")]
    Class {
        /// The row, counted from 0.
        row: usize,
        /// Its label.
        class: u32,
        /// How many classes there are.
        classes: u32,
    },
    /// A setting that cannot work.
    #[error("{0}")]
    Config(String),
}

/// `found` must be `wanted`.
pub(crate) fn check_length(what: &'static str, found: usize, wanted: usize) -> Result<(), Error> {
    if found == wanted { Ok(()) } else { Err(Error::Length { what, found, wanted }) }
}
