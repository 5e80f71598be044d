//! Sessions and invitations.

use super::RequestStatus;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A login of a person. Its tokens are nowhere in it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionBody {
    /// The id.
    pub id: String,
    /// Whose.
    pub user_id: String,
    /// `browser` or `tool`.
    pub kind: String,
    /// The program, as it calls itself.
    pub program: String,
    /// The address of the login, or of the last renewal.
    pub source: String,
    /// Of the login.
    pub created_time: String,
    /// Of the last request, to the minute.
    pub last_seen_time: String,
    /// When it ends if it is not used or renewed.
    pub expiry_time: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// `GET /sessions`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
pub struct SessionQuery {
    /// Only this user's.
    pub user_id: Option<String>,
    /// Entries a page, 1 to 1000; 100 unless given.
    pub page_size: Option<u32>,
    /// From the answer before.
    pub page_token: Option<String>,
}

/// The answer to `POST /users`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvitedUser {
    /// The new user's id.
    pub id: String,
    /// The address at which the user sets a password, good once and for seven days. Shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation_url: Option<String>,
    /// The operation.
    pub request_status: RequestStatus,
}

/// The answer to `POST /users/{id}/invitation`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvitationBody {
    /// The address at which the user sets a password, good once. Shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation_url: Option<String>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_time: Option<String>,
    /// The operation.
    pub request_status: RequestStatus,
}
