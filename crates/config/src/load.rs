//! Reads and parses the TOML file; errors name the line and the most similar known key.

use std::{fs, path::Path};

use crate::{check, error::ConfigError, file::ConfigFile, suggest::did_you_mean};

impl ConfigFile {
    /// Reads and checks a file. Class names and the filter expression are checked when the plan is resolved.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, has an unknown key, or a value that is not permitted.
    pub fn load(path: &Path) -> Result<ConfigFile, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let file: ConfigFile = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            ConfigError::Parse {
                path: path.to_owned(),
                line: before.map(|before| before.matches('\n').count() + 1),
                problem: explain(error.message()),
            }
        })?;
        check::file(path, &file)?;
        Ok(file)
    }
}

/// Rewrites serde's "unknown field" and "unknown variant" with the most similar known name; returns other messages
/// as they are.
fn explain(message: &str) -> String {
    let message = message.trim();
    let Some(rest) =
        message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))
    else {
        return message.to_owned();
    };
    let quoted: Vec<&str> = rest.split('`').step_by(2).collect();
    let Some((name, known)) = quoted.split_first() else { return message.to_owned() };
    let known: Vec<&str> = known.iter().copied().filter(|name| !name.is_empty()).collect();
    let what = if message.starts_with("unknown field") { "key" } else { "value" };
    format!("unknown {what} `{name}`{}; known here: {}", did_you_mean(name, &known), known.join(", "))
}
