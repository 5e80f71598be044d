//! Expiry notices.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A notice: a credential that ends soon, or a revocation list that is stale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoticeBody {
    /// The credential's id; `<namespace>/<SHA-1>` for an accepted client CA, `<namespace>/<SHA-1>/crl/<time>` for its revocation list.
    pub credential: String,
    /// `api_key`, `certificate`, `issuer`, `accepted_client_ca` or `revocation_list`.
    pub kind: String,
    /// Its name or alias; a CA's subject.
    pub name: String,
    /// Whose it is; empty for an accepted client CA.
    #[serde(default)]
    pub owner_id: String,
    /// The namespace whose admins are told too, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// When it ends; for when the next revocation list was promised.
    pub end_time: String,
    /// Which of the days before the end this notice is of: 60, 30, 14, 7, 3 or 1 (in proportion for a short life); 0 when it is over.
    pub days: i64,
    /// Since when it is due.
    pub due_time: String,
    /// Whether it was used within the last 30 days: who uses it will notice.
    pub in_use: bool,
    /// When it was used last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_time: Option<String>,
    /// Whose it is, by name; empty for an accepted client CA.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner_name: String,
    /// From which address it was used last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_source: String,
    /// Requests it let in so far.
    #[serde(default)]
    pub uses: i64,
    /// What to do.
    pub advice: String,
    /// The command that does it, or its first step.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// How it went out.
    #[serde(default)]
    pub deliveries: Vec<DeliveryBody>,
}

/// One way a notice goes out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryBody {
    /// `inbox`, `webhook:<id>`, or `mail`: with `:<address>` for those who say where notices go.
    pub channel: String,
    /// When it was delivered; null while it is tried again.
    pub sent_time: Option<String>,
    /// How often it was tried.
    pub attempts: i64,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failure: String,
}

/// `GET` and `PUT /notices/settings`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoticeSettingsBody {
    /// Whether notices go out by mail; the mail server itself is a setting of the process.
    pub mail: bool,
    /// Further addresses that get every notice.
    #[serde(default)]
    pub recipients: Vec<String>,
}

/// `POST /notices/test-mail`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestMail {
    /// One address.
    pub to: String,
}

/// What became of a test mail.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestedMail {
    /// Whether the mail server took it.
    pub accepted: bool,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failure: String,
}

/// `POST /notices/webhooks`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateWebhook {
    /// Where to: `https`, or `http` to this machine's own loopback.
    pub url: String,
}

/// A webhook.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookBody {
    /// The id.
    pub id: String,
    /// Where to.
    pub url: String,
    /// When it was made.
    pub created_time: String,
}

/// The answer of its making: the one time the secret is shown.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedWebhook {
    /// The id.
    pub id: String,
    /// Signs every message (Standard Webhooks): `whsec_` and base64.
    pub secret: String,
}

/// `POST /notices/calendar`: the one time the address is shown.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalendarBody {
    /// Give it to a calendar. Whoever has it sees the names and ends of credentials; making a new one ends it.
    pub url: String,
}
