//! Nothing of the machine it was written on: no absolute paths of one checkout, no registry's address. Those break for
//! everybody else, and tell what is nobody's business.

use crate::tree::{Finding, Tree};

/// Folders of one machine, behind anything but a letter. In two halves, so that this file does not find itself.
const FOLDERS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/fa", "rm/")];
/// Hosts and folders that are somebody's infrastructure.
const ANYWHERE: &[&str] = &[
    concat!(".lib", "rary/"),
    concat!("registry.", "npmjs"),
    concat!("pypi.", "org"),
    concat!("static.", "crates"),
    concat!("proxy.", "golang"),
];

/// See the module. `Cargo.lock` names its registry by rule.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.all().filter(|(path, _)| *path != "Cargo.lock") {
        for (index, line) in text.lines().enumerate() {
            let folder = FOLDERS.iter().any(|folder| {
                line.match_indices(folder).any(|(at, _)| {
                    !line
                        .get(..at)
                        .and_then(|before| before.chars().next_back())
                        .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
                })
            });
            if folder || ANYWHERE.iter().any(|host| line.contains(host)) {
                findings.push(Finding::new(path, index + 1, "a path or host of one machine; use a relative path, or leave it out"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_found() {
        for text in [format!("see {}main/x", FOLDERS[0]), format!("\"{}.cargo\"", FOLDERS[1]), format!("https://{}/x", ANYWHERE[2])] {
            assert_eq!(check(&Tree::of(&[("docs/a.md", &text)])).len(), 1, "{text}");
        }
        assert!(check(&Tree::of(&[("a.md", "bench/work/run and target/debug"), ("Cargo.lock", ANYWHERE[3])])).is_empty());
    }
}
