//! Every statement of the product in one list, so that a test can prepare each of them on every engine.

/// Names statements and lists them for [`all`]. Each is one text that SQLite and PostgreSQL both take.
macro_rules! statements {
    ($($name:ident = $sql:expr;)*) => {
        $(pub(crate) const $name: &str = $sql;)*
        #[cfg(test)]
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use statements;

/// Every statement: noun, name and text.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    use crate::noun::{
        account, api_key, application, audit, audit_sink, blocked, certificate, custom_role, issuer, login, namespace, notice, operation,
        service_account, setting, snapshot, succession, usage, user, user_group,
    };
    [
        ("session", crate::session::STATEMENTS),
        ("migrations", crate::migrations::STATEMENTS),
        ("account", account::STATEMENTS),
        ("user", user::STATEMENTS),
        ("login", login::STATEMENTS),
        ("user_group", user_group::STATEMENTS),
        ("custom_role", custom_role::STATEMENTS),
        ("service_account", service_account::STATEMENTS),
        ("namespace", namespace::STATEMENTS),
        ("api_key", api_key::STATEMENTS),
        ("certificate", certificate::STATEMENTS),
        ("application", application::STATEMENTS),
        ("issuer", issuer::STATEMENTS),
        ("blocked", blocked::STATEMENTS),
        ("operation", operation::STATEMENTS),
        ("audit", audit::STATEMENTS),
        ("audit_sink", audit_sink::STATEMENTS),
        ("succession", succession::STATEMENTS),
        ("usage", usage::STATEMENTS),
        ("notice", notice::STATEMENTS),
        ("setting", setting::STATEMENTS),
        ("snapshot", snapshot::STATEMENTS),
    ]
    .into_iter()
    .flat_map(|(noun, list)| list.iter().map(move |(name, sql)| (noun, *name, *sql)))
}
