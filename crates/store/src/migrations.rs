//! The schema, step by step. A step that was released is never edited: what is to change is a further step, additive for one
//! release, so that two versions can run side by side.
//!
//! The text is one for both engines. Two words stand for what they spell differently: `{BYTES}` (BLOB, BYTEA) and `{KEY}` (a text
//! that lists are ordered by, byte by byte: TEXT, TEXT COLLATE "C").

/// The steps; the schema version is their number.
pub(crate) const STEPS: &[&[&str]] = &[
    &[
        "CREATE TABLE revision (one BIGINT PRIMARY KEY CHECK (one = 1), revision BIGINT NOT NULL CHECK (revision >= 0))",
        "INSERT INTO revision (one, revision) VALUES (1, 0)",
        "CREATE TABLE account (
        one BIGINT PRIMARY KEY CHECK (one = 1),
        id TEXT NOT NULL CHECK (length(id) BETWEEN 5 AND 12),
        api_key_creation_disabled BOOLEAN NOT NULL,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL)",
        "CREATE TABLE user_account (
        id {KEY} PRIMARY KEY CHECK (length(id) = 20 AND substr(id, 1, 1) = 'u'),
        email TEXT NOT NULL CHECK (email <> ''),
        account_role TEXT NOT NULL CHECK (account_role <> ''),
        access TEXT NOT NULL,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL)",
        "CREATE UNIQUE INDEX user_account_email ON user_account (email)",
        "CREATE INDEX user_account_role ON user_account (account_role)",
        "CREATE TABLE service_account (
        id {KEY} PRIMARY KEY CHECK (length(id) = 20 AND substr(id, 1, 1) = 's'),
        name TEXT NOT NULL CHECK (name <> ''),
        description TEXT NOT NULL,
        access TEXT NOT NULL,
        scope TEXT,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL)",
        "CREATE UNIQUE INDEX service_account_name ON service_account (name)",
        "CREATE INDEX service_account_scope ON service_account (scope)",
        "CREATE TABLE namespace (
        id {KEY} PRIMARY KEY CHECK (id <> ''),
        document TEXT NOT NULL,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL)",
        "CREATE TABLE namespace_hostname (
        hostname TEXT PRIMARY KEY CHECK (hostname <> ''),
        namespace_id {KEY} NOT NULL REFERENCES namespace (id))",
        "CREATE INDEX namespace_hostname_namespace ON namespace_hostname (namespace_id)",
        "CREATE TABLE api_key (
        id {KEY} PRIMARY KEY CHECK (length(id) = 20 AND substr(id, 1, 1) = 'k'),
        owner_kind TEXT NOT NULL CHECK (owner_kind IN ('user', 'service_account')),
        owner_id TEXT NOT NULL CHECK (length(owner_id) = 20),
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        digest {BYTES} NOT NULL CHECK (length(digest) = 32),
        disabled BOOLEAN NOT NULL,
        apis TEXT NOT NULL,
        expires_at BIGINT NOT NULL,
        parent TEXT,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL,
        CHECK (substr(owner_id, 1, 1) = substr(owner_kind, 1, 1)))",
        "CREATE UNIQUE INDEX api_key_digest ON api_key (digest)",
        "CREATE INDEX api_key_owner ON api_key (owner_id, id)",
        "CREATE TABLE certificate (
        id {KEY} PRIMARY KEY CHECK (length(id) = 20 AND substr(id, 1, 1) = 'c'),
        fingerprint {BYTES} NOT NULL CHECK (length(fingerprint) = 32),
        der {BYTES} NOT NULL CHECK (length(der) > 0),
        facts TEXT NOT NULL,
        owner_kind TEXT NOT NULL CHECK (owner_kind IN ('user', 'service_account')),
        owner_id TEXT NOT NULL CHECK (length(owner_id) = 20),
        alias TEXT NOT NULL,
        apis TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('active', 'revoked')),
        revoked_at BIGINT,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL,
        CHECK (substr(owner_id, 1, 1) = substr(owner_kind, 1, 1)),
        CHECK ((status = 'revoked') = (revoked_at IS NOT NULL)))",
        "CREATE UNIQUE INDEX certificate_fingerprint ON certificate (fingerprint)",
        "CREATE INDEX certificate_owner ON certificate (owner_id, id)",
        "CREATE TABLE operation (
        id TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 128),
        state TEXT NOT NULL CHECK (state IN ('in_progress', 'fulfilled', 'failed')),
        operation_type TEXT NOT NULL,
        resource_id TEXT NOT NULL,
        resource_type TEXT NOT NULL,
        failure_reason TEXT NOT NULL,
        request_digest {BYTES} NOT NULL CHECK (length(request_digest) = 32),
        started_at BIGINT NOT NULL,
        finished_at BIGINT,
        receipt TEXT,
        CHECK ((state = 'in_progress') = (finished_at IS NULL)))",
        "CREATE INDEX operation_unfinished ON operation (started_at) WHERE state = 'in_progress'",
        "CREATE TABLE audit (
        sequence BIGINT PRIMARY KEY CHECK (sequence > 0),
        happened_at BIGINT NOT NULL,
        actor_kind TEXT NOT NULL,
        actor_id TEXT NOT NULL,
        actor_name TEXT NOT NULL,
        credential TEXT NOT NULL,
        action TEXT NOT NULL,
        object_kind TEXT NOT NULL,
        object_id TEXT NOT NULL,
        result TEXT NOT NULL,
        object_before TEXT NOT NULL,
        object_after TEXT NOT NULL,
        source TEXT NOT NULL,
        request_id TEXT NOT NULL,
        operation_id TEXT NOT NULL,
        previous {BYTES} NOT NULL CHECK (length(previous) = 32),
        hash {BYTES} NOT NULL CHECK (length(hash) = 32))",
        "CREATE INDEX audit_actor ON audit (actor_id, sequence)",
        "CREATE INDEX audit_object ON audit (object_id, sequence)",
        "CREATE TABLE audit_head (
        one BIGINT PRIMARY KEY CHECK (one = 1),
        sequence BIGINT NOT NULL CHECK (sequence >= 0),
        hash {BYTES} NOT NULL CHECK (length(hash) = 32))",
        "CREATE TABLE credential_usage (
        credential TEXT PRIMARY KEY CHECK (credential <> ''),
        kind TEXT NOT NULL,
        count BIGINT NOT NULL CHECK (count >= 0),
        last_used_at BIGINT NOT NULL,
        last_source TEXT NOT NULL)",
    ],
    &[
        "CREATE TABLE user_group (
        id {KEY} PRIMARY KEY CHECK (length(id) = 20 AND substr(id, 1, 1) = 'g'),
        name TEXT NOT NULL CHECK (name <> ''),
        kind TEXT NOT NULL,
        access TEXT NOT NULL,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL)",
        "CREATE UNIQUE INDEX user_group_name ON user_group (name)",
        "CREATE TABLE user_group_member (
        group_id {KEY} NOT NULL REFERENCES user_group (id),
        user_id {KEY} NOT NULL REFERENCES user_account (id),
        created_at BIGINT NOT NULL,
        PRIMARY KEY (group_id, user_id))",
        "CREATE INDEX user_group_member_user ON user_group_member (user_id)",
        "CREATE TABLE custom_role (
        id {KEY} PRIMARY KEY CHECK (length(id) = 20 AND substr(id, 1, 1) = 'l'),
        name TEXT NOT NULL CHECK (name <> ''),
        description TEXT NOT NULL,
        permissions TEXT NOT NULL,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL)",
        "CREATE UNIQUE INDEX custom_role_name ON custom_role (name)",
        // How people prove who they are. Passwords as Argon2id hashes; a TOTP secret sealed by the master key.
        "CREATE TABLE user_login (
        user_id {KEY} PRIMARY KEY REFERENCES user_account (id),
        password TEXT,
        totp {BYTES},
        totp_last_step BIGINT NOT NULL,
        oidc_issuer TEXT,
        oidc_subject TEXT,
        failures BIGINT NOT NULL,
        blocked_until BIGINT NOT NULL,
        modified_at BIGINT NOT NULL,
        CHECK ((oidc_issuer IS NULL) = (oidc_subject IS NULL)))",
        "CREATE UNIQUE INDEX user_login_oidc ON user_login (oidc_issuer, oidc_subject)",
        "CREATE TABLE invitation (
        digest {BYTES} PRIMARY KEY CHECK (length(digest) = 32),
        user_id {KEY} NOT NULL REFERENCES user_account (id),
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL)",
        "CREATE INDEX invitation_user ON invitation (user_id)",
        // A login of a person: of a browser by `digest`, of a tool by an access token's `digest` and a refresh token's.
        "CREATE TABLE session (
        id {KEY} PRIMARY KEY CHECK (length(id) = 20 AND substr(id, 1, 1) = 'n'),
        user_id {KEY} NOT NULL REFERENCES user_account (id),
        kind TEXT NOT NULL CHECK (kind IN ('browser', 'tool')),
        digest {BYTES} NOT NULL CHECK (length(digest) = 32),
        refresh_digest {BYTES},
        created_at BIGINT NOT NULL,
        last_seen_at BIGINT NOT NULL,
        access_until BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        source TEXT NOT NULL,
        agent TEXT NOT NULL)",
        "CREATE UNIQUE INDEX session_digest ON session (digest)",
        "CREATE UNIQUE INDEX session_refresh ON session (refresh_digest)",
        "CREATE INDEX session_of_user ON session (user_id, id)",
        "CREATE TABLE audit_sink (
        name {KEY} PRIMARY KEY CHECK (name <> ''),
        document TEXT NOT NULL,
        sent_to BIGINT NOT NULL,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL)",
    ],
    &[
        // Applications own credentials too, and a certificate knows who signed it, what it replaces and why it ended.
        "CREATE TABLE application (
        id {KEY} PRIMARY KEY CHECK (length(id) = 20 AND substr(id, 1, 1) = 'p'),
        name TEXT NOT NULL CHECK (name <> ''),
        description TEXT NOT NULL,
        owner_id TEXT,
        sandbox_id TEXT NOT NULL CHECK (length(sandbox_id) = 20 AND substr(sandbox_id, 1, 1) = 'e'),
        sandbox_access TEXT NOT NULL,
        production_id TEXT NOT NULL CHECK (length(production_id) = 20 AND substr(production_id, 1, 1) = 'e'),
        production_access TEXT NOT NULL,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL)",
        "CREATE UNIQUE INDEX application_name ON application (name)",
        "CREATE UNIQUE INDEX application_sandbox ON application (sandbox_id)",
        "CREATE UNIQUE INDEX application_production ON application (production_id)",
        "CREATE INDEX application_owner ON application (owner_id, id)",
        "CREATE TABLE issuer (
        id {KEY} PRIMARY KEY CHECK (length(id) = 20 AND substr(id, 1, 1) = 'i'),
        name TEXT NOT NULL CHECK (name <> ''),
        kind TEXT NOT NULL CHECK (kind IN ('root', 'issuing')),
        environment TEXT CHECK (environment IN ('sandbox', 'production')),
        state TEXT NOT NULL CHECK (state IN ('staged', 'active', 'retiring', 'retired')),
        der {BYTES} NOT NULL CHECK (length(der) > 0),
        parent TEXT,
        key_place TEXT NOT NULL,
        policy TEXT NOT NULL,
        crl_number BIGINT NOT NULL CHECK (crl_number >= 0),
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL)",
        "CREATE UNIQUE INDEX issuer_name ON issuer (name)",
        // Written before anything is signed: what is about to be, so that nothing signed is ever unknown.
        "CREATE TABLE issuance (
        issuer_id {KEY} NOT NULL REFERENCES issuer (id),
        serial {KEY} NOT NULL CHECK (serial <> ''),
        certificate_id TEXT NOT NULL,
        to_be_signed {BYTES} NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('intended', 'signed', 'abandoned')),
        created_at BIGINT NOT NULL,
        PRIMARY KEY (issuer_id, serial))",
        "CREATE INDEX issuance_intended ON issuance (created_at) WHERE state = 'intended'",
        "CREATE TABLE certificate_next (
        id {KEY} PRIMARY KEY CHECK (length(id) = 20 AND substr(id, 1, 1) = 'c'),
        fingerprint {BYTES} NOT NULL CHECK (length(fingerprint) = 32),
        der {BYTES} NOT NULL CHECK (length(der) > 0),
        facts TEXT NOT NULL,
        owner_kind TEXT NOT NULL CHECK (owner_kind IN ('user', 'service_account', 'application')),
        owner_id TEXT NOT NULL CHECK (length(owner_id) = 20),
        alias TEXT NOT NULL,
        apis TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('active', 'held', 'revoked')),
        revoked_at BIGINT,
        reason TEXT,
        issuer_id TEXT,
        serial {KEY} NOT NULL,
        key_digest {BYTES},
        name_digest {BYTES},
        not_after BIGINT NOT NULL,
        proven BOOLEAN NOT NULL,
        replaces TEXT,
        replaced_by TEXT,
        retirement TEXT,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL,
        CHECK ((status = 'active') = (revoked_at IS NULL)))",
        // What was registered before counts as proven, and its digests are filled in at the first start.
        "INSERT INTO certificate_next (id, fingerprint, der, facts, owner_kind, owner_id, alias, apis, status, revoked_at, reason, \
        issuer_id, serial, key_digest, name_digest, not_after, proven, replaces, replaced_by, retirement, resource_version, created_at, \
        modified_at) SELECT id, fingerprint, der, facts, owner_kind, owner_id, alias, apis, status, revoked_at, NULL, NULL, '', NULL, NULL, \
        0, TRUE, NULL, NULL, NULL, resource_version, created_at, modified_at FROM certificate",
        "DROP TABLE certificate",
        "ALTER TABLE certificate_next RENAME TO certificate",
        "CREATE UNIQUE INDEX certificate_fingerprint ON certificate (fingerprint)",
        "CREATE INDEX certificate_owner ON certificate (owner_id, id)",
        "CREATE INDEX certificate_issuer ON certificate (issuer_id, serial)",
        "CREATE INDEX certificate_revoked ON certificate (issuer_id, serial) WHERE status <> 'active'",
        "CREATE INDEX certificate_name ON certificate (owner_id, name_digest)",
        "CREATE INDEX certificate_key ON certificate (key_digest)",
        "CREATE INDEX certificate_end ON certificate (not_after, id) WHERE status = 'active'",
        "CREATE TABLE api_key_next (
        id {KEY} PRIMARY KEY CHECK (length(id) = 20 AND substr(id, 1, 1) = 'k'),
        owner_kind TEXT NOT NULL CHECK (owner_kind IN ('user', 'service_account', 'application')),
        owner_id TEXT NOT NULL CHECK (length(owner_id) = 20),
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        digest {BYTES} NOT NULL CHECK (length(digest) = 32),
        disabled BOOLEAN NOT NULL,
        apis TEXT NOT NULL,
        expires_at BIGINT NOT NULL,
        parent TEXT,
        resource_version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        modified_at BIGINT NOT NULL)",
        "INSERT INTO api_key_next SELECT id, owner_kind, owner_id, name, description, digest, disabled, apis, expires_at, parent, \
        resource_version, created_at, modified_at FROM api_key",
        "DROP TABLE api_key",
        "ALTER TABLE api_key_next RENAME TO api_key",
        "CREATE UNIQUE INDEX api_key_digest ON api_key (digest)",
        "CREATE INDEX api_key_owner ON api_key (owner_id, id)",
        "CREATE INDEX api_key_end ON api_key (expires_at, id)",
        "CREATE TABLE blocked_key (
        digest {BYTES} PRIMARY KEY CHECK (length(digest) = 32),
        reason TEXT NOT NULL,
        created_at BIGINT NOT NULL)",
        // Leaves of accepted CAs that are revoked: by an admin here, or by the CA's own CRL.
        "CREATE TABLE blocked_leaf (
        anchor {BYTES} NOT NULL CHECK (length(anchor) = 32),
        issuer TEXT NOT NULL,
        serial TEXT NOT NULL,
        by_crl BOOLEAN NOT NULL,
        reason TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (anchor, issuer, serial, by_crl))",
        "CREATE TABLE foreign_crl (
        anchor {BYTES} NOT NULL CHECK (length(anchor) = 32),
        issuer TEXT NOT NULL,
        number TEXT NOT NULL,
        this_update BIGINT NOT NULL,
        next_update BIGINT NOT NULL,
        taken_at BIGINT NOT NULL,
        PRIMARY KEY (anchor, issuer))",
        // One row a notice that is due or sent; the primary key is why none is sent twice.
        "CREATE TABLE notice (
        credential TEXT NOT NULL,
        days BIGINT NOT NULL,
        channel TEXT NOT NULL,
        document TEXT NOT NULL,
        due_at BIGINT NOT NULL,
        attempts BIGINT NOT NULL,
        next_attempt_at BIGINT NOT NULL,
        sent_at BIGINT,
        failure TEXT NOT NULL,
        PRIMARY KEY (credential, days, channel))",
        "CREATE INDEX notice_open ON notice (next_attempt_at) WHERE sent_at IS NULL",
        "CREATE TABLE setting (
        name TEXT PRIMARY KEY CHECK (name <> ''),
        document TEXT NOT NULL,
        modified_at BIGINT NOT NULL)",
    ],
    &[
        // Which key takes which one's place, and use by the minute of what is being exchanged.
        "CREATE TABLE key_succession (
        predecessor {KEY} PRIMARY KEY CHECK (length(predecessor) = 20),
        successor {KEY} NOT NULL CHECK (length(successor) = 20),
        retirement TEXT,
        created_at BIGINT NOT NULL)",
        "CREATE INDEX key_succession_successor ON key_succession (successor)",
        "CREATE TABLE usage_minute (
        credential TEXT NOT NULL CHECK (credential <> ''),
        minute BIGINT NOT NULL,
        source TEXT NOT NULL,
        count BIGINT NOT NULL CHECK (count >= 0),
        PRIMARY KEY (credential, minute, source))",
        "CREATE INDEX usage_minute_age ON usage_minute (minute)",
    ],
    &[
        // All that admission needs of a certificate, in the order of the ids: a start reads this and not a million certificates.
        "CREATE INDEX certificate_admission ON certificate (id, fingerprint, owner_id, status, issuer_id, apis)",
    ],
    &[
        // What a name looks like, and how many an owner has. Looks of before are filled in beside the service.
        "ALTER TABLE certificate ADD COLUMN look_digest {BYTES}",
        "CREATE INDEX certificate_look ON certificate (owner_id, look_digest)",
        "CREATE INDEX certificate_without_look ON certificate (id) WHERE look_digest IS NULL",
        "CREATE INDEX certificate_active_of ON certificate (owner_id, not_after) WHERE status = 'active'",
    ],
    &[
        // Whose word a registration is. A handshake counted as a proof before, and cannot be told from one: what others signed goes on
        // deciding as it did, but whoever proves to hold its key gets it, and who only registered it does not have that key blocked.
        "ALTER TABLE certificate ADD COLUMN vouched BOOLEAN NOT NULL DEFAULT FALSE",
        "ALTER TABLE certificate ADD COLUMN ended_by_admin BOOLEAN NOT NULL DEFAULT FALSE",
        "UPDATE certificate SET proven = FALSE, vouched = TRUE, ended_by_admin = (status <> 'active') WHERE issuer_id IS NULL AND proven",
        "DROP INDEX certificate_admission",
        "CREATE INDEX certificate_admission ON certificate (id, fingerprint, owner_id, status, issuer_id, apis, proven, vouched, \
        ended_by_admin)",
        // Who had a key blocked without an admin's right, to count them.
        "ALTER TABLE blocked_key ADD COLUMN blocked_by TEXT",
        "CREATE INDEX blocked_key_by ON blocked_key (blocked_by, created_at) WHERE blocked_by IS NOT NULL",
    ],
    &[
        // What came after a certificate whose key is compromised.
        "CREATE INDEX certificate_replaces ON certificate (replaces) WHERE replaces IS NOT NULL",
        // What was made with a credential, also with one that is gone by now: whoever had it may have it still.
        "CREATE INDEX audit_made_by ON audit (credential, sequence) WHERE credential <> '' AND result = 'ok' AND object_before = '' \
        AND action IN ('CreateApiKey', 'CreateCertificate', 'RotateCertificate')",
    ],
    &[
        // All that a CRL says of a certificate: a list of a million reads this and not a million certificates. With `status`, because SQLite
        // looks for it even where the index has no others.
        "DROP INDEX certificate_revoked",
        "CREATE INDEX certificate_revoked ON certificate (issuer_id, serial, status, revoked_at, reason, not_after) WHERE status <> 'active'",
    ],
    &[
        // One epoch for each user: what began under an earlier one (a session, an invitation, half a login) opens nothing. Epochs come
        // from one counter, so that a login whose user is not known yet can be compared too.
        "ALTER TABLE user_account ADD COLUMN login_epoch BIGINT NOT NULL DEFAULT 0",
        "CREATE TABLE login_epoch (one BIGINT PRIMARY KEY CHECK (one = 1), last BIGINT NOT NULL)",
        "INSERT INTO login_epoch (one, last) VALUES (1, 0)",
        "ALTER TABLE session ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0",
        // The client that the tokens were issued to, and what tells an issued refresh token from a made-up one.
        "ALTER TABLE session ADD COLUMN client TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE session ADD COLUMN refresh_key {BYTES}",
        // Who made an invitation, and with which key. Those of before do not say, so they end.
        "DELETE FROM invitation",
        "ALTER TABLE invitation ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE invitation ADD COLUMN made_by TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE invitation ADD COLUMN made_with TEXT NOT NULL DEFAULT ''",
    ],
    &[
        // What the trail is asked for, so that a million entries need not be read for it.
        "CREATE INDEX audit_action ON audit (action, sequence)",
        "CREATE INDEX audit_kind ON audit (object_kind, sequence)",
        "CREATE INDEX audit_refused ON audit (result, sequence) WHERE result <> 'ok'",
        "CREATE INDEX audit_operation ON audit (operation_id, sequence) WHERE operation_id <> ''",
        "CREATE INDEX audit_time ON audit (happened_at, sequence)",
    ],
    &[
        // A revoked leaf of an accepted CA, by what it is and not by the path it came with. `namespace` is empty where it is kept out of all
        // of them; `digest` is what `selector` names: the CA's key for `serial`, the leaf's own content or key else. What stood in
        // `blocked_leaf` is taken over at the start, as far as the CA's key is known; the rest blocks by the issuer's name.
        "CREATE TABLE revoked_leaf (
        namespace TEXT NOT NULL,
        selector TEXT NOT NULL CHECK (selector IN ('content', 'serial', 'key')),
        digest {BYTES} NOT NULL CHECK (length(digest) = 32),
        ca_key {BYTES} NOT NULL CHECK (length(ca_key) = 32),
        ca_name {BYTES} NOT NULL CHECK (length(ca_name) = 32),
        point TEXT NOT NULL,
        issuer TEXT NOT NULL,
        serial TEXT NOT NULL,
        by_crl BOOLEAN NOT NULL,
        reason TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (namespace, selector, digest, ca_name, point, serial, by_crl))",
        "CREATE INDEX revoked_leaf_of ON revoked_leaf (ca_key, by_crl, serial)",
        // A CRL belongs to every CA that has the signing key and the name. `point` names the distribution point whose certificates it
        // covers; it is empty where it covers all.
        "CREATE TABLE applied_crl (
        ca_key {BYTES} NOT NULL CHECK (length(ca_key) = 32),
        ca_name {BYTES} NOT NULL CHECK (length(ca_name) = 32),
        point TEXT NOT NULL,
        issuer TEXT NOT NULL,
        number TEXT NOT NULL,
        this_update BIGINT NOT NULL,
        next_update BIGINT NOT NULL,
        taken_at BIGINT NOT NULL,
        PRIMARY KEY (ca_key, ca_name, point))",
    ],
];

/// The newest schema version known here.
pub(crate) fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

crate::statements::statements! {
    VERSION = "SELECT version FROM schema_version";
    SET_VERSION = "INSERT INTO schema_version (one, version) VALUES (1, $1) \
        ON CONFLICT (one) DO UPDATE SET version = excluded.version";
    FIRST_HEAD = "INSERT INTO audit_head (one, sequence, hash) VALUES (1, 0, $1) ON CONFLICT (one) DO NOTHING";
}

/// The table that holds the version, before any step.
pub(crate) const VERSION_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS schema_version (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL)";

/// A step's text for one engine.
pub(crate) fn spelled(text: &str, bytes: &str, key: &str) -> String {
    text.replace("{BYTES}", bytes).replace("{KEY}", key)
}
