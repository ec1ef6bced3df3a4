//! Secrets: where one comes from. Owns reading it at the time of use, so that a rotated file is picked up; prints
//! nothing of it anywhere.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

/// Where a secret comes from. Its `Debug` shows the place, never the value.
#[derive(Clone)]
pub enum SecretSource {
    /// Written into the configuration itself.
    Inline(SecretString),
    /// A file, read at each use; white space around the value is dropped.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("cannot read the secret file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file or variable is there and empty.
    #[error("the secret in {place} is empty")]
    Empty {
        /// The file or variable.
        place: String,
    },
    /// The variable is not set.
    #[error("the environment variable {name} is not set")]
    Unset {
        /// Its name.
        name: String,
    },
}

impl SecretSource {
    /// Reads the secret as it is now.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        let (text, place) = match self {
            Self::Inline(secret) => return Ok(secret.clone()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| SecretError::Unreadable { path: path.clone(), source })?;
                (text, path.display().to_string())
            }
            Self::Env(name) => {
                let text = std::env::var(name).map_err(|_| SecretError::Unset { name: name.clone() })?;
                (text, name.clone())
            }
        };
        let value = text.trim();
        if value.is_empty() { Err(SecretError::Empty { place }) } else { Ok(SecretString::from(value)) }
    }
}

impl PartialEq for SecretSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline(one), Self::Inline(two)) => one.expose_secret() == two.expose_secret(),
            (Self::File(one), Self::File(two)) => one == two,
            (Self::Env(one), Self::Env(two)) => one == two,
            (Self::Inline(_) | Self::File(_) | Self::Env(_), _) => false,
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("<secret>"),
            Self::File(path) => write!(f, "<secret in {}>", path.display()),
            Self::Env(name) => write!(f, "<secret in ${name}>"),
        }
    }
}
