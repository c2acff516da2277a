//! The packet filter arguments, compiled into the sensor's filter.

use std::path::Path;

use citronella_sensor::capture::{expression::Expression, filter::Filter};
use ipnet::IpNet;

use crate::{error::ConfigError, file::ConfigFile};

/// The packet filter arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterArgs {
    /// `--port`: TCP or UDP ports.
    pub ports: Vec<u16>,
    /// `--net`.
    pub networks: Vec<IpNet>,
    /// `--filter`: an expression in tcpdump's syntax.
    pub expression: Option<String>,
}

impl FilterArgs {
    /// The filter that these arguments alone make.
    ///
    /// # Errors
    /// As of [`FilterArgs::compile`].
    pub fn resolve(&self) -> Result<Filter, ConfigError> {
        Ok(Filter { ports: self.ports.clone(), networks: self.networks.clone(), expression: self.compile()? })
    }

    /// Compiles the expression; host names in it are looked up now.
    ///
    /// # Errors
    /// The expression is wrong, or the program was built without libpcap.
    pub fn compile(&self) -> Result<Option<Expression>, ConfigError> {
        compile(self.expression.as_deref(), || "--filter".to_owned())
    }
}

impl ConfigFile {
    /// Compiles `capture.filter`; host names in it are looked up now. `path` is the file's, for the error.
    ///
    /// # Errors
    /// As of [`FilterArgs::compile`].
    pub fn compile_filter(&self, path: &Path) -> Result<Option<Expression>, ConfigError> {
        compile(self.capture.filter.as_deref(), || format!("{}: capture.filter", path.display()))
    }
}

fn compile(text: Option<&str>, origin: impl FnOnce() -> String) -> Result<Option<Expression>, ConfigError> {
    let expression = text.map(Expression::new).transpose();
    expression.map_err(|source| ConfigError::Filter { origin: origin(), source })
}
