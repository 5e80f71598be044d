//! What every change has in common: its flags, waiting for its end, and telling its end.

use super::Session;
use super::client::{NO_QUERY, Query};
use super::errors::{Failure, Outcome};
use super::output::{self, note};
use countersign_proto::rest::{Changed, RequestStatus};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long `--wait` sleeps between two looks when the server does not say.
const PAUSE_DEFAULT: Duration = Duration::from_secs(1);

/// The flags of every change.
#[derive(clap::Args, Clone, Default)]
pub struct ChangeFlags {
    /// An id of your own for the request: repeated, it is the same request
    #[arg(long, short = 'r', value_name = "ID")]
    pub request_id: Option<String>,

    /// Wait until the request has ended
    #[arg(long)]
    pub wait: bool,
}

/// The flag of changes that can be refused when somebody else was faster.
#[derive(clap::Args, Clone, Default)]
pub struct VersionFlag {
    /// Refuse the change unless this is still the current resource version
    #[arg(long, short = 'v', value_name = "VERSION")]
    pub resource_version: Option<String>,
}

impl VersionFlag {
    /// As a query, for requests without a body.
    pub fn query(&self) -> [(&'static str, Option<String>); 1] {
        [("resource_version", self.resource_version.clone())]
    }
}

impl Session {
    /// Sends a change whose answer is nothing but its progress, and tells its end.
    pub async fn change<B: Serialize>(&self, flags: &ChangeFlags, method: Method, path: &[&str], body: Option<&B>) -> Outcome {
        self.change_with(flags, method, path, NO_QUERY, body).await
    }

    /// The same with a query.
    pub async fn change_with<B: Serialize>(
        &self,
        flags: &ChangeFlags,
        method: Method,
        path: &[&str],
        query: Query<'_>,
        body: Option<&B>,
    ) -> Outcome {
        let sent = self.client()?.change::<B, Changed>(method, path, query, body, flags.request_id.as_deref()).await;
        let Some(changed) = self.accept(sent)? else { return Ok(()) };
        let status = self.settle(flags, changed.request_status).await?;
        self.output.show(&Changed { request_status: status.clone() }, || self.told(&status))
    }

    /// Sends a change whose answer says more than its progress. `None`: it was so already, and `--idempotent` counts that as done.
    pub async fn make<B: Serialize, T: DeserializeOwned>(
        &self,
        flags: &ChangeFlags,
        method: Method,
        path: &[&str],
        body: &B,
    ) -> Result<Option<T>, Failure> {
        let sent = self.client()?.change::<B, T>(method, path, NO_QUERY, Some(body), flags.request_id.as_deref()).await;
        self.accept(sent)
    }

    /// `--idempotent`: what was so already is done.
    pub fn accept<T>(&self, sent: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match sent {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if self.idempotent && failure.is_already_so() => {
                note(&format!("already so: {} ({})", failure.message, failure.code));
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// With `--wait`, looks until the request has ended; a failed one is a failure here.
    pub async fn settle(&self, flags: &ChangeFlags, mut status: RequestStatus) -> Result<RequestStatus, Failure> {
        while flags.wait && status.state == "InProgress" {
            tokio::time::sleep(pause(&status.check_duration)).await;
            status = self.operation(&status.request_id).await?;
        }
        if status.state == "Failed" {
            return Err(Failure::refused("request_failed", format!("request {} failed: {}", status.request_id, status.failure_reason)));
        }
        Ok(status)
    }

    /// How a request stands.
    pub async fn operation(&self, id: &str) -> Result<RequestStatus, Failure> {
        self.client()?.get(&["operations", id], NO_QUERY).await
    }

    /// A request's progress for a person.
    pub fn told(&self, status: &RequestStatus) -> String {
        let state = self.output.verdict(&status.state, status.state != "Failed");
        let mut text = format!("{} {} {}: {state}\n", status.operation_type, status.resource_type.replace('_', " "), status.resource_id);
        match &status.receipt {
            Some(receipt) => text.push_str(&format!("{}\n", output::receipt(receipt, !status.operation_type.starts_with("Create")))),
            None if status.state == "InProgress" => {
                text.push_str(&format!("look again with: countersign request get --request-id {}\n", status.request_id));
            }
            None => {}
        }
        if !status.failure_reason.is_empty() {
            text.push_str(&format!("reason: {}\n", status.failure_reason));
        }
        text
    }
}

/// The server's word for when to look again, within reason.
fn pause(text: &str) -> Duration {
    let said = countersign_core::Lifetime::parse(text).ok().and_then(|l| u64::try_from(l.micros()).ok());
    said.map_or(PAUSE_DEFAULT, |micros| Duration::from_micros(micros).clamp(Duration::from_millis(50), Duration::from_secs(10)))
}
