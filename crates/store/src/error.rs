//! Why the store did not do what was asked: one enum, one sentence each. It must not learn of HTTP, of roles or of limits.

use crate::fence::OlderDatabase;
use std::fmt;
use std::path::{Path, PathBuf};

/// What may exist once only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clash {
    /// A user's mail address.
    UserEmail,
    /// A service account's name.
    ServiceAccountName,
    /// A user group's name.
    UserGroupName,
    /// An application's name.
    ApplicationName,
    /// An issuer's name.
    IssuerName,
    /// A custom role's name.
    CustomRoleName,
    /// An audit sink's name.
    AuditSinkName,
    /// A person at the company's provider, who is one user here already.
    OidcSubject,
    /// A host name of a namespace, its own or an additional one.
    Hostname,
    /// A registered certificate, by the SHA-256 of its DER; also once it is revoked.
    CertificateFingerprint,
    /// The digest of an API key.
    KeyDigest,
    /// The object was changed since it was read: what is put must carry the resource version that follows the stored one.
    ResourceVersion,
    /// Anything else, an id above all.
    Id,
}

impl Clash {
    /// A stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserEmail => "user_email",
            Self::ServiceAccountName => "service_account_name",
            Self::UserGroupName => "user_group_name",
            Self::ApplicationName => "application_name",
            Self::IssuerName => "issuer_name",
            Self::CustomRoleName => "custom_role_name",
            Self::AuditSinkName => "audit_sink_name",
            Self::OidcSubject => "oidc_subject",
            Self::Hostname => "hostname",
            Self::CertificateFingerprint => "certificate_fingerprint",
            Self::KeyDigest => "key_digest",
            Self::ResourceVersion => "resource_version",
            Self::Id => "id",
        }
    }

    /// From what an engine says of a broken UNIQUE rule: SQLite names table and column, PostgreSQL the constraint.
    fn read(message: &str) -> Self {
        const WORDS: [(&str, &str, Clash); 11] = [
            ("user_account.email", "user_account_email", Clash::UserEmail),
            ("service_account.name", "service_account_name", Clash::ServiceAccountName),
            ("user_group.name", "user_group_name", Clash::UserGroupName),
            ("application.name", "application_name", Clash::ApplicationName),
            ("issuer.name", "issuer_name", Clash::IssuerName),
            ("custom_role.name", "custom_role_name", Clash::CustomRoleName),
            ("audit_sink.name", "audit_sink_pkey", Clash::AuditSinkName),
            ("user_login.oidc_issuer", "user_login_oidc", Clash::OidcSubject),
            ("namespace_hostname.hostname", "namespace_hostname_pkey", Clash::Hostname),
            ("certificate.fingerprint", "certificate_fingerprint", Clash::CertificateFingerprint),
            ("api_key.digest", "api_key_digest", Clash::KeyDigest),
        ];
        WORDS.iter().find(|(a, b, _)| message.contains(a) || message.contains(b)).map_or(Self::Id, |(_, _, clash)| *clash)
    }
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserEmail => "a user with this mail address exists already",
            Self::ServiceAccountName => "a service account of this name exists already",
            Self::UserGroupName => "a user group of this name exists already",
            Self::ApplicationName => "an application of this name exists already",
            Self::IssuerName => "an issuer of this name exists already",
            Self::CustomRoleName => "a custom role of this name exists already",
            Self::AuditSinkName => "an audit sink of this name exists already",
            Self::OidcSubject => "this login of the identity provider belongs to another user already",
            Self::Hostname => "a namespace is reached at this host name already",
            Self::CertificateFingerprint => "this certificate was registered before",
            Self::KeyDigest => "an API key with this digest exists already",
            Self::ResourceVersion => "the object was changed meanwhile; read it again and repeat the change",
            Self::Id => "an object of this id exists already",
        })
    }
}

/// Why the store refused. After any of them nothing of the transaction is kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the data directory.
    #[error("the data directory {directory} is in use by another countersign{}; stop that one or choose another directory", holder(*.process))]
    Busy {
        /// The directory.
        directory: PathBuf,
        /// Its process id, where it left one.
        process: Option<u32>,
    },
    /// Something that may exist once only exists already, or an object was changed meanwhile.
    #[error("{what}")]
    Conflict {
        /// What.
        what: Clash,
    },
    /// No room on the device.
    #[error("the disk of the data directory is full: nothing was changed; free some space and try again")]
    Full,
    /// The database is damaged, or is none.
    #[error("the database is damaged ({detail}); restore a backup, nothing was changed")]
    Inconsistent {
        /// What was found.
        detail: String,
    },
    /// The database lost changes that were acknowledged, or it cannot be told that it did not.
    #[error("{}", older_sentence(.directory, .older))]
    Older {
        /// The data directory.
        directory: PathBuf,
        /// What is known.
        older: Box<OlderDatabase>,
    },
    /// A newer Countersign wrote the database.
    #[error(
        "the database has schema version {found}, this countersign knows up to {known}; run the newer version again, or restore the backup from before the upgrade"
    )]
    Newer {
        /// The version found.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The database cannot be reached now; the same request may work later.
    #[error("the database does not answer ({detail}); nothing was changed, try again")]
    Unavailable {
        /// What the engine said.
        detail: String,
    },
    /// Another process holds the write lock of the database; the same request may work as soon as it lets go.
    #[error("another process holds the write lock of the database; nothing was changed, try again")]
    Locked,
    /// A file or directory has the wrong mode, or cannot be written.
    #[error("{path}: {reason}; {remedy}")]
    Permission {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// What to do, as a command where one does it.
        remedy: String,
    },
    /// A row breaks a rule that the schema repeats. The domain should have refused it before: a defect of this program.
    #[error("the store refused a row that breaks a rule of the schema ({rule}); nothing was changed, please report this")]
    Rule {
        /// The rule, as the engine names it.
        rule: String,
    },
}

fn holder(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}

fn older_sentence(directory: &Path, older: &OlderDatabase) -> String {
    let revision = |revision: Option<i64>| revision.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
    let known = match older.let_in_again.len() {
        0 => String::new(),
        1 => format!(" (at least 1 thing: {})", older.let_in_again.join(", ")),
        many => {
            format!(" (at least {many} things, the latest: {})", older.let_in_again.iter().take(3).cloned().collect::<Vec<_>>().join(", "))
        }
    };
    format!(
        "the database in {} is not the last one: {}. Revision of the database: {}; revision in {}: {}. It would let in again what was revoked \
         since{known}. Put the missing files back (countersign.db together with countersign.db-wal) or restore the newest backup; to go on \
         with this database all the same, start once with --accept-older-database, which lists what is let in again and records it in the \
         audit trail",
        directory.display(),
        older.reason,
        revision(older.revision),
        crate::fence::path(directory).display(),
        revision(older.fence_revision),
    )
}

impl StoreError {
    /// The stable word.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "store_busy",
            Self::Conflict { .. } => "conflict",
            Self::Full => "store_full",
            Self::Inconsistent { .. } => "store_inconsistent",
            Self::Older { .. } => "store_older",
            Self::Newer { .. } => "store_newer",
            Self::Unavailable { .. } => "store_unavailable",
            Self::Locked => "store_locked",
            Self::Permission { .. } => "store_permission",
            Self::Rule { .. } => "store_rule",
        }
    }

    /// Whether another process holds a lock.
    pub(crate) fn is_lock(error: &rusqlite::Error) -> bool {
        matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
    }

    /// A row that cannot be read back.
    pub(crate) fn unreadable(what: &str, error: impl fmt::Display) -> Self {
        Self::Inconsistent { detail: format!("{what} cannot be read: {error}") }
    }

    /// Whether the transaction may be in an unknown state, so that its connection is given up.
    pub(crate) const fn is_fatal(&self) -> bool {
        !matches!(self, Self::Conflict { .. } | Self::Rule { .. })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, message) = error else {
            return Self::unreadable("a row", error);
        };
        let detail = message.unwrap_or_else(|| failure.to_string());
        // Extended result codes of broken rules, then the primary code, their low byte (sqlite.org/rescode.html).
        match failure.extended_code {
            // PRIMARYKEY, UNIQUE, ROWID.
            1555 | 2067 | 2579 => return Self::Conflict { what: Clash::read(&detail) },
            // CHECK, FOREIGNKEY, NOTNULL.
            275 | 787 | 1299 => return Self::Rule { rule: detail },
            _ => {}
        }
        match failure.extended_code & 0xff {
            13 => Self::Full,
            // BUSY, LOCKED.
            5 | 6 => Self::Locked,
            11 | 26 => Self::Inconsistent { detail },
            3 | 8 | 14 | 23 => Self::Permission {
                path: PathBuf::from(crate::files::DATABASE),
                reason: detail,
                remedy: "let the user that runs countersign read and write the data directory".to_owned(),
            },
            _ => Self::Unavailable { detail },
        }
    }
}
