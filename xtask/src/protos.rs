//! Temporal's `.proto` files, copied from the package `temporalio-protos` into `crates/proto/protos/vendor`, so that a build needs neither
//! that package nor cargo to find it. `protos write` copies them anew, `protos check` compares them with what the registry holds; both
//! ask cargo for the package in a project of their own, and so need a registry. [`check`] needs nothing but the tree.

use crate::tree::{Finding, Tree, VENDORED, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package, its one version, and the checksum that its registry publishes for it.
const SOURCE: (&str, &str, &str) = ("temporalio-protos", "0.10.2", "1c2f5c0bb300fe505b4bb50a29b08aa6d6c18166a287ad7d8b95a43e9015f4bf");
/// The services that are compiled; everything they import comes with them.
const ROOTS: &[&str] = &["temporal/api/cloud/cloudservice/v1/service.proto", "temporal/api/workflowservice/v1/service.proto"];
/// Folders of the package that imports are looked for in, in this order.
const INCLUDES: &[&str] = &["api_cloud_upstream", "api_upstream", ""];
/// Compilers bring these themselves.
const BUILT_IN: &str = "google/protobuf/";
/// Licences that come along: where the package has them, and their name here.
const LICENCES: &[(&str, &str)] =
    &[("api_upstream/LICENSE", "LICENSE-temporal-api"), ("api_cloud_upstream/LICENSE", "LICENSE-temporal-cloud-api")];
/// Written here: where the files come from, and the notices of those whose licence the package leaves out.
const NOTICES: &str = "README.md";

/// Every import of a vendored file is vendored, and nothing else is.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let found = closure(|path| tree.text(&format!("{VENDORED}{path}")).map(ToOwned::to_owned));
    let files = match found {
        Ok(files) => files,
        Err(missing) => {
            return vec![Finding::new(
                &format!("{VENDORED}{missing}"),
                0,
                "imported and missing; run cargo run -q -p xtask -- protos write",
            )];
        }
    };
    for (path, _) in tree.all() {
        let Some(path) = path.strip_prefix(VENDORED) else { continue };
        let known = files.contains_key(path) || path == NOTICES || LICENCES.iter().any(|(_, name)| *name == path);
        if !known {
            findings.push(Finding::new(&format!("{VENDORED}{path}"), 0, "no vendored file imports this one; remove it"));
        }
    }
    findings
}

/// Compares the tree with the package.
///
/// # Errors
/// What cargo or the file system said when the package could not be had.
pub fn compare(tree: &Tree) -> Result<Vec<Finding>, String> {
    let mut findings = check(tree);
    for (path, text) in wanted()? {
        let here = format!("{VENDORED}{path}");
        if tree.text(&here) != Some(text.as_str()) {
            findings.push(Finding::new(
                &here,
                0,
                format!("differs from {} {}; run cargo run -q -p xtask -- protos write", SOURCE.0, SOURCE.1),
            ));
        }
    }
    Ok(findings)
}

/// Copies the files of the package over those of the tree, and removes what is no longer imported.
///
/// # Errors
/// As [`compare`].
pub fn write(tree: &Tree) -> Result<(), String> {
    let wanted = wanted()?;
    let folder = root().join(VENDORED);
    for path in tree.all().filter_map(|(path, _)| path.strip_prefix(VENDORED)) {
        if !wanted.contains_key(path) && path != NOTICES {
            fs::remove_file(folder.join(path)).map_err(|error| format!("{path}: {error}"))?;
        }
    }
    for (path, text) in wanted {
        let file = folder.join(&path);
        let parent = file.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).and_then(|()| fs::write(&file, text)).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

/// What has to be in the folder, by path below it.
fn wanted() -> Result<BTreeMap<String, String>, String> {
    let package = package()?.join("protos");
    let read = |path: &str| fs::read_to_string(package.join(path));
    let mut files = closure(|path| INCLUDES.iter().find_map(|include| read(format!("{include}/{path}").trim_start_matches('/')).ok()))
        .map_err(|missing| format!("{} {} has no {missing}", SOURCE.0, SOURCE.1))?;
    for (from, name) in LICENCES {
        files.insert((*name).to_owned(), read(from).map_err(|error| format!("{from}: {error}"))?);
    }
    Ok(files)
}

/// The roots and everything that they import, or the path of an import that `read` does not have.
fn closure(read: impl Fn(&str) -> Option<String>) -> Result<BTreeMap<String, String>, String> {
    let mut files = BTreeMap::new();
    let mut open: BTreeSet<String> = ROOTS.iter().map(|path| (*path).to_owned()).collect();
    while let Some(path) = open.pop_first() {
        let text = read(&path).ok_or_else(|| path.clone())?;
        open.extend(imports(&text).filter(|import| *import != path && !files.contains_key(*import)).map(ToOwned::to_owned));
        files.insert(path, text);
    }
    Ok(files)
}

/// The paths that a `.proto` file imports, without those that every compiler has.
fn imports(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix("import ")?.split('"').nth(1)).filter(|path| !path.starts_with(BUILT_IN))
}

/// The unpacked package. A project that depends on it alone makes cargo fetch it, by whatever registry this machine is set up with.
fn package() -> Result<PathBuf, String> {
    let (name, version, checksum) = SOURCE;
    let project = root().join("target/protos");
    let said = |error: std::io::Error| format!("{}: {error}", project.display());
    fs::create_dir_all(project.join("src")).map_err(said)?;
    fs::write(project.join("src/lib.rs"), "").map_err(said)?;
    let manifest = format!(
        "[workspace]\n[package]\nname = \"protos\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n{name} = {{ version = \"={version}\", default-features = false }}\n"
    );
    fs::write(project.join("Cargo.toml"), manifest).map_err(said)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--filter-platform", &host()?])
        .current_dir(&project)
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name} {version} could not be fetched: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let locked = fs::read_to_string(project.join("Cargo.lock")).map_err(said)?;
    if locked_checksum(&locked, name) != Some(checksum) {
        return Err(format!("{name} {version} has another checksum than {checksum}; see SOURCE in xtask/src/protos.rs"));
    }
    let document = String::from_utf8_lossy(&output.stdout);
    let folder = format!("/{name}-{version}/Cargo.toml\"");
    let end = document.find(&folder).ok_or_else(|| format!("cargo metadata does not name {name} {version}"))?;
    let begin = document.get(..end).and_then(|before| before.rfind('"')).ok_or("cargo metadata has a path that does not begin")?;
    let path = document.get(begin + 1..end + folder.len() - "/Cargo.toml\"".len()).unwrap_or_default();
    Ok(Path::new(path).to_path_buf())
}

/// The platform of this machine, as rustc names it.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(ToOwned::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

/// The checksum that a lock file has for a package.
fn locked_checksum<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let block = lock.split("[[package]]").find(|block| block.lines().any(|line| line == format!("name = \"{name}\"")))?;
    block.lines().find_map(|line| line.strip_prefix("checksum = \""))?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "import \"google/protobuf/any.proto\";\nimport public \"a.proto\";\n";

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files: Vec<(String, &str)> = files.iter().map(|(path, text)| (format!("{VENDORED}{path}"), *text)).collect();
        Tree::of(&files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>())
    }

    #[test]
    fn a_vendored_file_whose_import_is_missing_is_found() {
        assert_eq!(check(&tree(&[(ROOTS[0], SERVICE), (ROOTS[1], "")])).len(), 1);
        assert!(check(&tree(&[(ROOTS[0], SERVICE), (ROOTS[1], ""), ("a.proto", "")])).is_empty());
    }

    #[test]
    fn a_vendored_file_that_nothing_imports_is_found() {
        assert_eq!(check(&tree(&[(ROOTS[0], ""), (ROOTS[1], ""), ("a.proto", "")])).len(), 1);
        assert!(check(&tree(&[(ROOTS[0], ""), (ROOTS[1], ""), (NOTICES, ""), (LICENCES[0].1, "")])).is_empty());
    }

    #[test]
    fn the_checksum_of_a_package_is_read_from_a_lock_file() {
        let lock = "[[package]]\nname = \"b\"\nchecksum = \"1\"\n\n[[package]]\nname = \"a\"\nversion = \"1\"\nchecksum = \"2\"\n";
        assert_eq!(locked_checksum(lock, "a"), Some("2"));
        assert_eq!(locked_checksum(lock, "c"), None);
    }
}
