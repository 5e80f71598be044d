//! Every number of the product, named, with its reason or source.

use crate::time::Lifetime;

/// Non-expired API keys a user may have (seed 002).
pub const API_KEYS_PER_USER_MAX: usize = 10;
/// Non-expired API keys a service account may have (seed 002).
pub const API_KEYS_PER_SERVICE_ACCOUNT_MAX: usize = 20;
/// The longest life of an API key (seed 002: two years).
pub const API_KEY_LIFETIME_MAX: Lifetime = Lifetime::from_days(730);
/// The life of an API key when none is asked for (secure default).
pub const API_KEY_LIFETIME_DEFAULT: Lifetime = Lifetime::from_days(90);
/// Active certificates that one owner may have, unless the operator sets another number. More than any rotation needs; a loop that
/// asks for certificates ends here and not at a full disk.
pub const CERTIFICATES_PER_OWNER_MAX: usize = 1000;
/// Keys that one identity may have blocked for ever within a day without an admin's right. A block is never taken back and every
/// gateway holds it; who has lost more keys than this asks an admin.
pub const KEY_BLOCKS_PER_DAY_MAX: usize = 100;
/// The life of an issued certificate when none is asked for (seed 001: about 13 months).
pub const CERTIFICATE_LIFETIME_DEFAULT: Lifetime = Lifetime::from_days(397);
/// Accepted client CAs in one bundle (Temporal's limits page).
pub const ACCEPTED_CLIENT_CAS_MAX: usize = 16;
/// Bytes of one CA bundle as PEM (Temporal's limits page: 32 KB before base64).
pub const CA_BUNDLE_BYTES_MAX: usize = 32 * 1024;
/// Certificate filters of one namespace (Temporal's certificates page).
pub const CERTIFICATE_FILTERS_MAX: usize = 25;
/// APIs of one namespace. More than any portal read has; keeps routing linear and short.
pub const APIS_PER_NAMESPACE_MAX: usize = 100;
/// Additional host names of one namespace.
pub const HOSTNAMES_PER_NAMESPACE_MAX: usize = 20;
/// Characters of a display name.
pub const DISPLAY_NAME_CHARS_MAX: usize = 128;
/// Characters of a description.
pub const DESCRIPTION_CHARS_MAX: usize = 1024;
/// How far a certificate's `notBefore` may lie ahead, for clocks that differ (research/pki.md E14). None for `notAfter`.
pub const CLOCK_SKEW: Lifetime = Lifetime::from_seconds(60);
/// How long a gateway serves from its last snapshot when it hears nothing (MISSION, bounds).
pub const SNAPSHOT_AGE_MAX: Lifetime = Lifetime::from_seconds(86_400);
/// The longest wait for a connection to an upstream that can be set, in seconds. A client does not wait longer.
pub const UPSTREAM_CONNECT_SECONDS_MAX: i64 = 60;
/// The longest wait for an upstream's response head, and for the next byte after it, in seconds: the longest that a report takes.
pub const UPSTREAM_WAIT_SECONDS_MAX: i64 = 86_400;
/// Entries of a page when none is asked for, and the most that can be.
pub const PAGE_SIZE_DEFAULT: usize = 100;
/// The largest page.
pub const PAGE_SIZE_MAX: usize = 1000;
