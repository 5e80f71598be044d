//! How people prove who they are: ways to log in, invitations, sessions. Only digests and sealed bytes are kept here, and nothing
//! of it is part of what gateways are told, so none of it raises the revision.

use crate::error::StoreError;
use crate::page::Page;
use crate::row;
use crate::session::{Reader, Write};
use crate::sql::{Row, query};
use countersign_core::Timestamp;
use countersign_core::id::{ApiKeyId, SessionId, UserId};
use countersign_core::identity::IdentityId;

macro_rules! login {
    ($tail:literal) => {
        concat!(
            "SELECT user_id, password, totp, totp_last_step, oidc_issuer, oidc_subject, failures, blocked_until, modified_at ",
            "FROM user_login ",
            $tail
        )
    };
}

macro_rules! session {
    ($tail:literal) => {
        concat!(
            "SELECT id, user_id, kind, digest, refresh_digest, refresh_key, client, epoch, created_at, last_seen_at, access_until, ",
            "expires_at, source, agent FROM session ",
            // A session of an earlier epoch is not there any more, whoever asks.
            "WHERE epoch = (SELECT login_epoch FROM user_account WHERE user_account.id = session.user_id) AND ",
            $tail
        )
    };
}

crate::statements::statements! {
    LOGIN = login!("WHERE user_id = $1");
    LOGIN_BY_SUBJECT = login!("WHERE oidc_issuer = $1 AND oidc_subject = $2");
    PUT_LOGIN = "INSERT INTO user_login (user_id, password, totp, totp_last_step, oidc_issuer, oidc_subject, failures, blocked_until, \
        modified_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (user_id) DO UPDATE SET password = excluded.password, totp = excluded.totp, \
        totp_last_step = excluded.totp_last_step, oidc_issuer = excluded.oidc_issuer, oidc_subject = excluded.oidc_subject, \
        failures = excluded.failures, blocked_until = excluded.blocked_until, modified_at = excluded.modified_at";
    USED_STEP = "UPDATE user_login SET totp_last_step = $2 WHERE user_id = $1 AND totp_last_step < $2";
    OWNERS_WITH_LOGIN = "SELECT COUNT(*) AS owners FROM user_login JOIN user_account ON user_account.id = user_login.user_id \
        WHERE user_account.account_role = 'owner' AND (user_login.password IS NOT NULL OR user_login.oidc_subject IS NOT NULL)";
    SEALED = "SELECT COUNT(*) AS sealed FROM user_login WHERE totp IS NOT NULL";
    EPOCH = "SELECT login_epoch FROM user_account WHERE id = $1";
    LAST_EPOCH = "SELECT last FROM login_epoch WHERE one = 1";
    NEXT_EPOCH = "UPDATE login_epoch SET last = last + 1 WHERE one = 1";
    RAISE_EPOCH = "UPDATE user_account SET login_epoch = (SELECT last FROM login_epoch WHERE one = 1) WHERE id = $1";
    CARRY_SESSIONS = "UPDATE session SET epoch = $2 WHERE user_id = $1 AND epoch = $3";
    CARRY_SESSION = "UPDATE session SET epoch = $3 WHERE user_id = $1 AND id = $2 AND epoch = $4";
    CARRY_INVITATIONS = "UPDATE invitation SET epoch = $2 WHERE user_id = $1 AND epoch = $3";
    INVITATION = "SELECT user_id, made_by, made_with, expires_at FROM invitation WHERE digest = $1 \
        AND epoch = (SELECT login_epoch FROM user_account WHERE user_account.id = invitation.user_id)";
    PUT_INVITATION = "INSERT INTO invitation (digest, user_id, made_by, made_with, created_at, expires_at, epoch) \
        VALUES ($1, $2, $3, $4, $5, $6, (SELECT login_epoch FROM user_account WHERE id = $2))";
    END_INVITATIONS = "DELETE FROM invitation WHERE user_id = $1";
    SESSION = session!("id = $1");
    SESSION_BY_DIGEST = session!("digest = $1");
    SESSIONS = session!("id > $1 AND expires_at > $2 AND (kind = 'tool' OR last_seen_at > $3) ORDER BY id LIMIT $4");
    SESSIONS_OF =
        session!("user_id = $1 AND id > $2 AND expires_at > $3 AND (kind = 'tool' OR last_seen_at > $4) ORDER BY id LIMIT $5");
    PUT_SESSION = "INSERT INTO session (id, user_id, kind, digest, refresh_digest, created_at, last_seen_at, access_until, expires_at, \
        source, agent, refresh_key, client, epoch) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    RENEW_SESSION = "UPDATE session SET digest = $2, refresh_digest = $3, access_until = $4, expires_at = $5, last_seen_at = $6, \
        source = $7, refresh_key = $8 WHERE id = $1";
    SEEN = "UPDATE session SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2";
    END_SESSION = "DELETE FROM session WHERE id = $1";
    END_SESSIONS_BUT = "DELETE FROM session WHERE user_id = $1 AND id <> $2";
    SWEEP_SESSIONS = "DELETE FROM session WHERE expires_at <= $1 \
        OR epoch <> (SELECT login_epoch FROM user_account WHERE user_account.id = session.user_id)";
    SWEEP_INVITATIONS = "DELETE FROM invitation WHERE expires_at <= $1 \
        OR epoch <> (SELECT login_epoch FROM user_account WHERE user_account.id = invitation.user_id)";
}

/// A user's ways to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRow {
    /// Whose.
    pub user: UserId,
    /// An Argon2id hash in PHC form.
    pub password: Option<String>,
    /// The TOTP secret, sealed by the master key.
    pub totp: Option<Vec<u8>>,
    /// The last step (RFC 6238 section 4.2) whose code was used; 0 for none.
    pub totp_last_step: i64,
    /// Issuer and subject of the provider's account that is bound to this user.
    pub oidc: Option<(String, String)>,
    /// Failed attempts since the last good one.
    pub failures: i64,
    /// Attempts before this moment are refused unread.
    pub blocked_until: Timestamp,
    /// Of the last change.
    pub modified_at: Timestamp,
}

impl LoginRow {
    /// A user who cannot log in yet.
    pub const fn none(user: UserId, now: Timestamp) -> Self {
        Self {
            user,
            password: None,
            totp: None,
            totp_last_step: 0,
            oidc: None,
            failures: 0,
            blocked_until: Timestamp::from_micros(0),
            modified_at: now,
        }
    }
}

/// What a session is used by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// A browser, by a cookie.
    Browser,
    /// A tool, by an access token that it renews.
    Tool,
}

impl SessionKind {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Tool => "tool",
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "browser" => Ok(Self::Browser),
            "tool" => Ok(Self::Tool),
            _ => Err("it is no kind of session"),
        }
    }
}

/// A login of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The id, which is no secret.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// What uses it.
    pub kind: SessionKind,
    /// Of the cookie or the access token.
    pub digest: [u8; 32],
    /// Of the refresh token that is good now.
    pub refresh_digest: Option<[u8; 32]>,
    /// Authenticates the refresh tokens of this session, so that only one that was issued counts as used twice.
    pub refresh_key: Option<[u8; 32]>,
    /// The client id that its tokens were issued to; empty for a browser.
    pub client: String,
    /// The epoch of its user's logins that it began under. Only sessions of the current epoch are ever read.
    pub epoch: i64,
    /// Of the login.
    pub created_at: Timestamp,
    /// Of the last request, to the minute.
    pub last_seen_at: Timestamp,
    /// The end of what `digest` opens.
    pub access_until: Timestamp,
    /// The end of the session.
    pub expires_at: Timestamp,
    /// The address of the login or of the last renewal.
    pub source: String,
    /// The program, as it calls itself.
    pub agent: String,
}

/// An invitation of the current epoch of its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationRow {
    /// Whom it lets in.
    pub user: UserId,
    /// Who made it; `None` for the program itself, at its start.
    pub made_by: Option<IdentityId>,
    /// The API key it was made with, if it was made with one.
    pub made_with: Option<ApiKeyId>,
}

fn read_login(row: &Row) -> Result<LoginRow, StoreError> {
    let totp = row::optional_bytes(row, "totp")?;
    Ok(LoginRow {
        user: row::parsed(row, "user_id", UserId::parse)?,
        password: row::optional_text(row, "password")?,
        totp,
        totp_last_step: row::integer(row, "totp_last_step")?,
        oidc: row::optional_text(row, "oidc_issuer")?.zip(row::optional_text(row, "oidc_subject")?),
        failures: row::integer(row, "failures")?,
        blocked_until: row::moment(row, "blocked_until")?,
        modified_at: row::moment(row, "modified_at")?,
    })
}

fn read_session(row: &Row) -> Result<SessionRow, StoreError> {
    let optional = |name: &'static str| {
        let bytes = row::optional_bytes(row, name)?;
        bytes.map(|bytes| bytes.try_into().map_err(|_| StoreError::unreadable(name, "it has not 32 bytes"))).transpose()
    };
    let refresh_digest: Option<[u8; 32]> = optional("refresh_digest")?;
    let refresh_key: Option<[u8; 32]> = optional("refresh_key")?;
    Ok(SessionRow {
        id: row::parsed(row, "id", SessionId::parse)?,
        user: row::parsed(row, "user_id", UserId::parse)?,
        kind: row::parsed(row, "kind", SessionKind::parse)?,
        digest: row::digest(row, "digest")?,
        refresh_digest,
        refresh_key,
        client: row::text(row, "client")?,
        epoch: row::integer(row, "epoch")?,
        created_at: row::moment(row, "created_at")?,
        last_seen_at: row::moment(row, "last_seen_at")?,
        access_until: row::moment(row, "access_until")?,
        expires_at: row::moment(row, "expires_at")?,
        source: row::text(row, "source")?,
        agent: row::text(row, "agent")?,
    })
}

impl Reader {
    /// A user's ways to log in; `None` when there never was one.
    ///
    /// # Errors
    /// When the database does not answer or is damaged.
    pub async fn login(&mut self, user: &UserId) -> Result<Option<LoginRow>, StoreError> {
        self.one(query(LOGIN).bind(user.as_str().to_owned())).await?.as_ref().map(read_login).transpose()
    }

    /// The login that a provider's account is bound to.
    ///
    /// # Errors
    /// As [`Reader::login`].
    pub async fn login_by_subject(&mut self, issuer: &str, subject: &str) -> Result<Option<LoginRow>, StoreError> {
        self.one(query(LOGIN_BY_SUBJECT).bind(issuer.to_owned()).bind(subject.to_owned())).await?.as_ref().map(read_login).transpose()
    }

    /// How many Account Owners have a way to log in.
    ///
    /// # Errors
    /// As [`Reader::login`].
    pub async fn owners_with_login_count(&mut self) -> Result<usize, StoreError> {
        let row = self.one(query(OWNERS_WITH_LOGIN)).await?;
        row::count(&row::required(row, "the number of owners")?, "owners")
    }

    /// How many second factors are sealed by the master key.
    ///
    /// # Errors
    /// As [`Reader::login`].
    pub async fn sealed_logins_count(&mut self) -> Result<usize, StoreError> {
        let row = self.one(query(SEALED)).await?;
        row::count(&row::required(row, "the number of sealed secrets")?, "sealed")
    }

    /// The invitation with this digest, when it is good at `now`: not over, and of the current epoch of its user.
    ///
    /// # Errors
    /// As [`Reader::login`].
    pub async fn invitation(&mut self, digest: &[u8; 32], now: Timestamp) -> Result<Option<InvitationRow>, StoreError> {
        let Some(row) = self.one(query(INVITATION).bind(digest.to_vec())).await? else { return Ok(None) };
        if now >= row::moment(&row, "expires_at")? {
            return Ok(None);
        }
        let given = |name: &'static str| row::text(&row, name).map(|text| (!text.is_empty()).then_some(text));
        let made_by = given("made_by")?
            .map(|text| IdentityId::parse(&text).ok_or_else(|| StoreError::unreadable("made_by", "it is no id of an identity")))
            .transpose()?;
        let made_with = given("made_with")?
            .map(|text| ApiKeyId::parse(&text).map_err(|_| StoreError::unreadable("made_with", "it is no id of an API key")))
            .transpose()?;
        Ok(Some(InvitationRow { user: row::parsed(&row, "user_id", UserId::parse)?, made_by, made_with }))
    }

    /// The epoch of a user's logins; `None` when there is no such user.
    ///
    /// # Errors
    /// As [`Reader::login`].
    pub async fn login_epoch(&mut self, user: &UserId) -> Result<Option<i64>, StoreError> {
        let row = self.one(query(EPOCH).bind(user.as_str().to_owned())).await?;
        row.as_ref().map(|row| row::integer(row, "login_epoch")).transpose()
    }

    /// The highest epoch that any user's logins have had. A user whose epoch is above it had logins ended since.
    ///
    /// # Errors
    /// As [`Reader::login`].
    pub async fn last_login_epoch(&mut self) -> Result<i64, StoreError> {
        let row = self.one(query(LAST_EPOCH)).await?;
        row::integer(&row::required(row, "the last epoch of logins")?, "last")
    }

    /// One session, ended by age or not.
    ///
    /// # Errors
    /// As [`Reader::login`].
    pub async fn session(&mut self, id: &SessionId) -> Result<Option<SessionRow>, StoreError> {
        self.one(query(SESSION).bind(id.as_str().to_owned())).await?.as_ref().map(read_session).transpose()
    }

    /// The session whose cookie or access token has this digest.
    ///
    /// # Errors
    /// As [`Reader::login`].
    pub async fn session_by_digest(&mut self, digest: &[u8; 32]) -> Result<Option<SessionRow>, StoreError> {
        self.one(query(SESSION_BY_DIGEST).bind(digest.to_vec())).await?.as_ref().map(read_session).transpose()
    }

    /// Sessions that have not ended at `now`, of one user or of all, ascending by id; browsers' only when they were seen after `idle`.
    ///
    /// # Errors
    /// As [`Reader::login`].
    pub async fn sessions(
        &mut self,
        user: Option<&UserId>,
        now: Timestamp,
        idle: Timestamp,
        page: &Page,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let statement = match user {
            Some(user) => query(SESSIONS_OF).bind(user.as_str().to_owned()),
            None => query(SESSIONS),
        };
        let statement = statement.bind(page.after()).bind(now.micros()).bind(idle.micros()).bind(page.limit());
        self.all(statement).await?.iter().map(read_session).collect()
    }
}

impl Write<'_> {
    /// Makes or replaces a user's ways to log in.
    ///
    /// # Errors
    /// When the database does not answer, or the provider's account is bound to another user.
    pub async fn put_login(&mut self, login: &LoginRow) -> Result<(), StoreError> {
        let (issuer, subject) = login.oidc.clone().unzip();
        let statement = query(PUT_LOGIN)
            .bind(login.user.as_str().to_owned())
            .bind(login.password.clone())
            .bind(login.totp.clone())
            .bind(login.totp_last_step)
            .bind(issuer)
            .bind(subject)
            .bind(login.failures)
            .bind(login.blocked_until.micros())
            .bind(login.modified_at.micros());
        self.run(statement).await.map(|_| ())
    }

    /// Uses a step's code up; `false` when it or a later one was used before.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn use_totp_step(&mut self, user: &UserId, step: i64) -> Result<bool, StoreError> {
        Ok(self.run(query(USED_STEP).bind(user.as_str().to_owned()).bind(step)).await? > 0)
    }

    /// Makes an invitation; earlier ones of the same user end.
    ///
    /// # Errors
    /// When the database does not answer, or there is no such user.
    pub async fn put_invitation(
        &mut self,
        digest: &[u8; 32],
        invitation: &InvitationRow,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        self.end_invitations(&invitation.user).await?;
        let statement = query(PUT_INVITATION)
            .bind(digest.to_vec())
            .bind(invitation.user.as_str().to_owned())
            .bind(invitation.made_by.as_ref().map_or_else(String::new, ToString::to_string))
            .bind(invitation.made_with.as_ref().map_or_else(String::new, ToString::to_string))
            .bind(now.micros())
            .bind(until.micros());
        self.run(statement).await.map(|_| ())
    }

    /// Raises the epoch of a user's logins: every session but `but`, every invitation and every half-finished login that began
    /// before opens nothing any more. Says how many sessions ended. The one way to end what a user logged in by.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_logins(&mut self, user: &UserId, but: Option<&SessionId>) -> Result<u64, StoreError> {
        let Some((old, new)) = self.raise_epoch(user).await? else { return Ok(0) };
        if let Some(but) = but {
            let statement = query(CARRY_SESSION).bind(user.as_str().to_owned()).bind(but.as_str().to_owned()).bind(new).bind(old);
            self.run(statement).await?;
        }
        self.end_invitations(user).await?;
        let but = but.map_or_else(String::new, |id| id.as_str().to_owned());
        self.run(query(END_SESSIONS_BUT).bind(user.as_str().to_owned()).bind(but)).await
    }

    /// Raises the epoch of a user's logins and takes sessions and invitations along: only half-finished logins end.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_pending_logins(&mut self, user: &UserId) -> Result<(), StoreError> {
        let Some((old, new)) = self.raise_epoch(user).await? else { return Ok(()) };
        for statement in [CARRY_SESSIONS, CARRY_INVITATIONS] {
            self.run(query(statement).bind(user.as_str().to_owned()).bind(new).bind(old)).await?;
        }
        Ok(())
    }

    /// The epoch before and after; `None` when there is no such user.
    async fn raise_epoch(&mut self, user: &UserId) -> Result<Option<(i64, i64)>, StoreError> {
        let Some(old) = self.login_epoch(user).await? else { return Ok(None) };
        self.run(query(NEXT_EPOCH)).await?;
        self.run(query(RAISE_EPOCH).bind(user.as_str().to_owned())).await?;
        Ok(Some((old, self.last_login_epoch().await?)))
    }

    /// Ends a user's invitations; `false` when there was none.
    ///
    /// # Errors
    /// When the database does not answer.
    async fn end_invitations(&mut self, user: &UserId) -> Result<bool, StoreError> {
        Ok(self.run(query(END_INVITATIONS).bind(user.as_str().to_owned())).await? > 0)
    }

    /// Begins a session.
    ///
    /// # Errors
    /// When the database does not answer, or there is no such user.
    pub async fn put_session(&mut self, session: &SessionRow) -> Result<(), StoreError> {
        let statement = query(PUT_SESSION)
            .bind(session.id.as_str().to_owned())
            .bind(session.user.as_str().to_owned())
            .bind(session.kind.as_str())
            .bind(session.digest.to_vec())
            .bind(session.refresh_digest.map(|digest| digest.to_vec()))
            .bind(session.created_at.micros())
            .bind(session.last_seen_at.micros())
            .bind(session.access_until.micros())
            .bind(session.expires_at.micros())
            .bind(session.source.clone())
            .bind(session.agent.clone())
            .bind(session.refresh_key.map(|key| key.to_vec()))
            .bind(session.client.clone())
            .bind(session.epoch);
        self.run(statement).await.map(|_| ())
    }

    /// Gives a session new tokens and a new end; the old ones open nothing from here on.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn renew_session(&mut self, session: &SessionRow) -> Result<bool, StoreError> {
        let statement = query(RENEW_SESSION)
            .bind(session.id.as_str().to_owned())
            .bind(session.digest.to_vec())
            .bind(session.refresh_digest.map(|digest| digest.to_vec()))
            .bind(session.access_until.micros())
            .bind(session.expires_at.micros())
            .bind(session.last_seen_at.micros())
            .bind(session.source.clone())
            .bind(session.refresh_key.map(|key| key.to_vec()));
        Ok(self.run(statement).await? > 0)
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session_seen(&mut self, id: &SessionId, at: Timestamp) -> Result<(), StoreError> {
        self.run(query(SEEN).bind(id.as_str().to_owned()).bind(at.micros())).await.map(|_| ())
    }

    /// Ends a session; `false` when there was none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_session(&mut self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.run(query(END_SESSION).bind(id.as_str().to_owned())).await? > 0)
    }

    /// Takes out sessions and invitations that ended by age or by their epoch.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sweep_logins(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let sessions = self.run(query(SWEEP_SESSIONS).bind(now.micros())).await?;
        Ok(sessions + self.run(query(SWEEP_INVITATIONS).bind(now.micros())).await?)
    }
}
