//! Applications: what a portal developer builds, with two environments that share nothing (seed 001).

use crate::access::Access;
use crate::id::{ApplicationId, EnvironmentId, UserId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// For trying.
    Sandbox,
    /// For real.
    Production,
}

impl Environment {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sandbox, Self::Production];

    /// The word in JSON and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }

    /// Reads the word, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|environment| environment.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An application in one environment: an identity of its own, with rights of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationEnvironment {
    /// What its credentials belong to.
    pub id: EnvironmentId,
    /// Rights: always the role `metrics_read`, which reads nothing here but itself, and permissions by namespace.
    pub access: Access,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The id.
    pub id: ApplicationId,
    /// The name, unique among applications.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The developer it belongs to; without one only admins manage it.
    pub owner: Option<UserId>,
    /// For trying.
    pub sandbox: ApplicationEnvironment,
    /// For real.
    pub production: ApplicationEnvironment,
    /// Rises by one with each change; a stale one is refused.
    pub resource_version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

impl Application {
    /// One of the two.
    pub const fn environment(&self, environment: Environment) -> &ApplicationEnvironment {
        match environment {
            Environment::Sandbox => &self.sandbox,
            Environment::Production => &self.production,
        }
    }

    /// Which of the two this id is of.
    pub fn environment_of(&self, id: &EnvironmentId) -> Option<Environment> {
        Environment::ALL.into_iter().find(|environment| self.environment(*environment).id == *id)
    }
}
