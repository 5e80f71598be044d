//! The rule of direction: who may depend on whom. ARCHITECTURE.md draws it; this is the version that cannot be wrong.

use crate::tree::{Finding, Tree};

/// What one crate may and may not depend on.
struct Place {
    folder: &'static str,
    /// The only crates of this workspace below it.
    below: &'static [&'static str],
    /// Outside crates it must never hold, in whatever section.
    never: &'static [&'static str],
    /// When not empty: the only outside crates it may ship with.
    only: &'static [&'static str],
}

/// Top to bottom. A crate that is not here is refused until somebody has thought about where it stands.
const PLACES: &[Place] = &[
    Place { folder: "countersign", below: &["core", "x509", "store", "proto", "server", "gateway"], never: &["rusqlite"], only: &[] },
    // It calls out to what an operator or an admin named: the login provider, webhooks, audit sinks.
    Place { folder: "server", below: &["core", "x509", "store", "proto"], never: &["rusqlite", "clap"], only: &[] },
    Place { folder: "gateway", below: &["core", "x509", "proto"], never: &["rusqlite", "axum", "reqwest", "clap", "utoipa"], only: &[] },
    Place { folder: "store", below: &["core"], never: &["rustls", "tokio-rustls", "hyper", "axum", "reqwest", "clap", "tonic"], only: &[] },
    Place {
        folder: "proto",
        below: &["core"],
        never: &["tokio", "rusqlite", "rustls", "tokio-rustls", "hyper", "axum", "reqwest", "clap"],
        only: &[],
    },
    Place {
        folder: "x509",
        below: &["core"],
        never: &["tokio", "rusqlite", "tokio-rustls", "hyper", "axum", "reqwest", "clap", "tonic"],
        only: &[],
    },
    Place {
        folder: "core",
        below: &[],
        never: &["tokio", "rusqlite", "rustls", "hyper", "axum", "reqwest"],
        only: &["regex", "serde", "serde_json", "sha2", "subtle", "thiserror", "zeroize"],
    },
    // Fixtures may reach for anything; what matters is that nothing ships with them.
    Place { folder: "testkit", below: &["core", "x509", "store", "proto", "server", "gateway"], never: &[], only: &[] },
];

/// One line of a manifest's dependencies.
struct Dependency<'a> {
    name: &'a str,
    line: usize,
    for_tests: bool,
}

/// See the module.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in tree.crates() {
        let path = format!("crates/{folder}/Cargo.toml");
        let Some(manifest) = tree.text(&path) else { continue };
        let Some(place) = PLACES.iter().find(|place| place.folder == folder) else {
            findings.push(Finding::new(
                &path,
                0,
                "this crate has no place in the rule of direction; give it one in xtask/src/direction.rs",
            ));
            continue;
        };
        for dependency in dependencies(manifest) {
            if let Some(what) = place.forbids(&dependency) {
                findings.push(Finding::new(&path, dependency.line, what));
            }
        }
    }
    if let Some(manifest) = tree.text("xtask/Cargo.toml") {
        for dependency in dependencies(manifest) {
            findings.push(Finding::new(
                "xtask/Cargo.toml",
                dependency.line,
                format!("xtask depends on nothing, not on {}", dependency.name),
            ));
        }
    }
    findings
}

impl Place {
    fn forbids(&self, dependency: &Dependency<'_>) -> Option<String> {
        let Dependency { name, for_tests, .. } = *dependency;
        let own = name.strip_prefix("countersign-").or((name == "countersign").then_some("countersign"));
        match own {
            Some("testkit") if for_tests => None,
            Some("testkit") => Some("testkit is for tests only; put it under [dev-dependencies]".to_owned()),
            Some(own) if !self.below.contains(&own) => {
                Some(format!("{} must not depend on {own}: it stands beside or above it", self.folder))
            }
            Some(_) => None,
            None if self.never.contains(&name) => Some(format!("{} must never hold {name}", self.folder)),
            None if !for_tests && !self.only.is_empty() && !self.only.contains(&name) => {
                Some(format!("{} is pure and ships with {} only, not with {name}", self.folder, self.only.join(", ")))
            }
            None => None,
        }
    }
}

/// The dependencies of a manifest, in every section that has some (also per target, and as tables of their own).
fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let mut section = "";
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(head) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = head;
            if let Some((before, name)) = head.rsplit_once("dependencies.") {
                found.push(Dependency { name, line: index + 1, for_tests: before.ends_with("dev-") });
            }
            continue;
        }
        if !section.ends_with("dependencies") || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.split(['.', ' ', '=']).next().unwrap_or_default();
        // A renamed crate is the crate it renames.
        let name = line.split_once("package = \"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or(key);
        found.push(Dependency { name, line: index + 1, for_tests: section.ends_with("dev-dependencies") });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the rule says of one crate with this manifest.
    fn said(folder: &str, manifest: &str) -> Vec<String> {
        check(&Tree::of(&[(&format!("crates/{folder}/Cargo.toml"), manifest)])).into_iter().map(|f| f.what).collect()
    }

    #[test]
    fn a_crate_that_looks_up_or_aside_is_refused() {
        for (folder, name) in [
            ("core", "countersign-x509"),
            ("core", "tokio"),
            ("core", "rand"),
            ("gateway", "countersign-store"),
            ("gateway", "countersign-server"),
            ("gateway", "rusqlite"),
            ("gateway", "axum"),
            ("server", "countersign-gateway"),
            ("server", "rusqlite"),
            ("server", "clap"),
            ("store", "countersign"),
            ("x509", "tokio"),
            ("countersign", "countersign-testkit"),
        ] {
            assert_eq!(said(folder, &format!("[dependencies]\n{name}.workspace = true\n")).len(), 1, "{folder} on {name}");
        }
    }

    #[test]
    fn there_is_no_way_around_it() {
        for manifest in [
            "[dependencies.rusqlite]\nversion = \"1\"\n",
            "[target.'cfg(unix)'.dependencies]\nrusqlite = \"1\"\n",
            "[build-dependencies]\nrusqlite = { version = \"1\" }\n",
            "[dependencies]\ndb = { package = \"rusqlite\", version = \"1\" }\n",
            "[dev-dependencies]\nrusqlite = \"1\"\n",
        ] {
            assert_eq!(said("gateway", manifest).len(), 1, "{manifest}");
        }
        assert_eq!(said("another", "[dependencies]\n").len(), 1, "a crate nobody has placed");
        assert_eq!(check(&Tree::of(&[("xtask/Cargo.toml", "[dependencies]\nserde = \"1\"\n")])).len(), 1);
    }

    #[test]
    fn what_is_below_is_allowed() {
        let manifest = "[dependencies]\ncountersign-core.workspace = true\nhyper.workspace = true\n\n[dev-dependencies]\ncountersign-testkit.workspace = true\n";
        assert_eq!(said("gateway", manifest), Vec::<String>::new());
    }
}
