//! What is really linked: the resolved graph, as cargo prints it. The manifests say what was asked for; this says what came.

use crate::tree::{Finding, root};
use std::process::Command;

/// Packages that must not be in a build of the workspace, and why.
const NEVER: &[(&str, &str)] = &[
    ("ring", "aws-lc-rs is the one crypto library"),
    ("openssl", "aws-lc-rs is the one crypto library"),
    ("openssl-sys", "aws-lc-rs is the one crypto library"),
    ("native-tls", "rustls is the one TLS library"),
    ("zstd-sys", "nothing here compresses with it"),
    ("rustls-pemfile", "it is archived; rustls-pki-types reads PEM"),
    ("temporalio-protos", "its .proto files are in crates/proto/protos/vendor"),
];

/// What no build of one crate may contain, however deep.
const NEVER_BELOW: &[(&str, &[&str])] = &[
    ("countersign-core", &["tokio", "rusqlite", "rustls", "hyper", "axum", "reqwest", "http"]),
    ("countersign-gateway", &["rusqlite", "axum", "reqwest", "countersign-store", "countersign-server"]),
    ("countersign-store", &["rustls", "hyper", "axum", "reqwest"]),
];

/// Asks cargo, which needs a registry only where packages of the lock file were never fetched.
pub fn check() -> Vec<Finding> {
    let mut findings =
        read(&["--workspace"]).map_or_else(|finding| vec![finding], |graph| banned(&graph, "the workspace", NEVER.iter().copied()));
    for (package, never) in NEVER_BELOW {
        match read(&["--package", package]) {
            Ok(graph) => findings.extend(banned(&graph, package, never.iter().map(|name| (*name, "see the rule of direction")))),
            Err(finding) => findings.push(finding),
        }
    }
    findings
}

fn read(selection: &[&str]) -> Result<String, Finding> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .args(selection)
        .current_dir(root())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => Err(Finding::new("Cargo.lock", 0, format!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim()))),
        Err(error) => Err(Finding::new("Cargo.lock", 0, format!("cargo cannot be run: {error}"))),
    }
}

/// The lines of `graph` that name one of `never`.
fn banned<'a>(graph: &str, of: &str, never: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Finding> {
    never
        .filter(|(name, _)| graph.lines().any(|line| line.split(' ').next() == Some(*name)))
        .map(|(name, why)| {
            Finding::new("Cargo.lock", 0, format!("{of} links {name}: {why}; `cargo tree --invert {name}` shows through whom"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_crypto_library_is_found() {
        let graph = "countersign v0.1.0\nrustls v0.23.46\nring v0.17.14\nopenssl-probe v0.2.0\n";
        let found = banned(graph, "the workspace", NEVER.iter().copied());
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("ring"));
    }

    #[test]
    fn what_is_linked_is_what_may_be() {
        let findings = check();
        assert!(findings.is_empty(), "{findings:?}");
    }
}
