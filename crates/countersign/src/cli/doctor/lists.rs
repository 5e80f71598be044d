//! The revocation lists of a door's accepted CAs, as the control plane has them: a stale one lets nobody in, or lets in whom its CA has
//! revoked since. Asked only where there is a credential for the control plane; what may not be seen is not spoken of.

use super::super::client::{Client, NO_QUERY};
use super::super::errors::Failure;
use super::report::{Mark, Report};
use countersign_proto::rest::{ForeignCrlBody, GatewayBody, NamespaceBody, Page};

const STEP: &str = "revocation lists";
/// Namespaces that are looked through for the one of this host.
const NAMESPACES: &str = "1000";

/// Notes what the control plane cannot read of its database; nothing where that is nothing, or may not be seen.
pub async fn look_at_database(report: &mut Report, client: &Client) {
    let Ok(page) = client.get::<Page<GatewayBody>>(&["gateways"], NO_QUERY).await else { return };
    let Some(unreadable) = page.items.into_iter().map(|gateway| gateway.unreadable).find(|rows| !rows.is_empty()) else { return };
    report.note(
        "database",
        Mark::Warning,
        format!("cannot be read, and is closed: {}", unreadable.join(", ")),
        "restore a backup of the database; the server's log has the reason",
    );
}

/// Notes each list that is stale, or that none is; nothing where the door has no list.
pub async fn look(report: &mut Report, client: &Client, host: &str) {
    match found(client, host).await {
        Ok(lists) if lists.is_empty() => {}
        Ok(lists) => say(report, &lists),
        // The way of a request does not lead through the control plane: that it does not answer is no fault of this way.
        Err(failure) => report.note(STEP, Mark::Skipped, format!("the control plane could not be asked: {}", failure.message), ""),
    }
}

/// One list: whose, in which namespace, and how it stands.
struct List {
    namespace: String,
    ca: String,
    fingerprint: String,
    state: ForeignCrlBody,
}

async fn found(client: &Client, host: &str) -> Result<Vec<List>, Failure> {
    let query = [("page_size", Some(NAMESPACES.to_owned()))];
    let page: Page<NamespaceBody> = client.get(&["namespaces"], &query).await?;
    let is_it = |one: &&NamespaceBody| one.hostname == host || one.extra_hostnames.iter().any(|other| other == host);
    let Some(namespace) = page.items.iter().find(is_it) else { return Ok(Vec::new()) };
    let mut lists = Vec::new();
    for ca in &namespace.accepted_client_cas {
        let path = ["namespaces", &namespace.namespace, "accepted-client-cas", &ca.fingerprint_sha256, "crl"];
        match client.get::<ForeignCrlBody>(&path, NO_QUERY).await {
            Ok(state) => lists.push(List {
                namespace: namespace.namespace.clone(),
                ca: ca.subject.clone(),
                fingerprint: ca.fingerprint_sha256.clone(),
                state,
            }),
            // Of most CAs none was ever set.
            Err(failure) if failure.code == "not_found" => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(lists)
}

fn say(report: &mut Report, lists: &[List]) {
    let stale: Vec<&List> = lists.iter().filter(|list| list.state.is_stale).collect();
    for list in &stale {
        let what = if list.state.stale == "refuse" { "nobody of this CA is let in" } else { "whom it revoked since then is still let in" };
        report.note(
            STEP,
            Mark::Warning,
            format!("that of {} is stale since {}: {what} (rule E4)", list.ca, list.state.next_update),
            format!(
                "countersign namespace accepted-client-ca crl set --namespace {} --ca-certificate-fingerprint {} --crl-file NEW.crl",
                list.namespace, list.fingerprint
            ),
        );
    }
    if stale.is_empty() {
        report.note(STEP, Mark::Ok, format!("{} set, none is stale", lists.len()), "");
    }
}
