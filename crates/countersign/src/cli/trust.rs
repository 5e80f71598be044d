//! `trust`: puts a server's CA into the stores of this system and of its browsers, and takes it out again. It says of each store what was
//! done, what was there already, and what could not be done.

use super::Session;
use super::errors::{Failure, Outcome};
use super::input;
use super::output::note;
use crate::terminal::{Style, clean_line};
use countersign_core::credential::certificate::Fingerprint;
use countersign_proto::convert;
use countersign_x509::facts;
use countersign_x509::pem::{self, Block};
use serde::Serialize;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `trust`.
#[derive(clap::Args)]
#[command(after_help = "The CA is --ca-cert (COUNTERSIGN_CA_CERT), or that of the profile: countersign --profile dev trust\n\
                        The system's store needs root: sudo countersign --ca-cert FILE trust\n\
                        Stores of Firefox and Chromium need certutil (Debian: libnss3-tools). Start a browser again afterwards.")]
pub struct Args {
    /// Take the CA out again
    #[arg(long)]
    remove: bool,
}

/// A directory of the system for additional CAs, and what makes its changes count.
struct SystemStore {
    directory: PathBuf,
    program: &'static str,
    add: &'static [&'static str],
    remove: &'static [&'static str],
}

/// The stores of a machine.
struct Machine {
    system: Vec<SystemStore>,
    home: Option<PathBuf>,
    /// Whether a browser that reads `~/.pki/nssdb` is installed.
    has_chromium: bool,
}

/// The certificate that is put in.
struct Authority {
    pem: String,
    fingerprint: String,
    subject: String,
}

impl Authority {
    /// Files and entries of ours have this name and no other has it.
    fn name(&self) -> String {
        format!("countersign-{}", self.fingerprint.get(..16).unwrap_or(&self.fingerprint))
    }
}

/// What became of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcomes {
    Added,
    AlreadyThere,
    Removed,
    NotThere,
    Failed,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Done {
    store: String,
    result: Outcomes,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    subject: String,
    fingerprint_sha256: String,
    stores: Vec<Done>,
}

/// Runs it.
pub fn run(session: &Session, args: &Args) -> Outcome {
    let Some(file) = session.global.target()?.ca_cert else {
        return Err(Failure::usage("no CA is named").hint("add --ca-cert FILE, or name a profile: countersign --profile dev trust"));
    };
    let machine = Machine::here();
    let mut failed = false;
    for authority in authorities(&file)? {
        let stores = machine.change(&authority, args.remove);
        failed |= stores.is_empty() || stores.iter().any(|store| store.result == Outcomes::Failed);
        let report = Report { subject: authority.subject.clone(), fingerprint_sha256: authority.fingerprint.clone(), stores };
        session.output.show(&report, || tell(session, &report))?;
    }
    if !args.remove {
        note(&format!(
            "Whoever has the private key of this CA can pose as any site to this machine. Take it out when you are done: countersign --ca-cert {} trust \
             --remove",
            file.display()
        ));
    }
    if failed { Err(Failure::denied()) } else { Ok(()) }
}

fn tell(session: &Session, report: &Report) -> String {
    let mut text = format!("{}\n", clean_line(&report.subject));
    if report.stores.is_empty() {
        text.push_str("no store was found on this machine\n");
    }
    for done in &report.stores {
        let (word, style) = match done.result {
            Outcomes::Added => ("added to", Style::Good),
            Outcomes::AlreadyThere => ("already in", Style::Good),
            Outcomes::Removed => ("removed from", Style::Good),
            Outcomes::NotThere => ("was not in", Style::Faint),
            Outcomes::Failed => ("could not change", Style::Bad),
        };
        let detail = if done.detail.is_empty() { String::new() } else { format!(": {}", clean_line(&done.detail)) };
        text.push_str(&format!("{} {}{detail}\n", session.output.paint(style, word), clean_line(&done.store)));
    }
    text
}

/// The CA certificates of a file; anything else in it is refused.
fn authorities(file: &Path) -> Result<Vec<Authority>, Failure> {
    let blocks = pem::read(&input::read(file)?)?.blocks;
    let mut found = Vec::new();
    for block in blocks {
        let Block::Certificate(der) = block else { continue };
        let facts = facts::of(&der)?;
        if facts.subject != facts.issuer {
            continue;
        }
        found.push(Authority {
            pem: convert::certificate_pem(&der),
            fingerprint: Fingerprint::of(&der).to_string(),
            subject: facts.subject,
        });
    }
    if found.is_empty() {
        return Err(Failure::refused("not_a_certificate", format!("{} holds no root CA certificate", file.display()))
            .hint("name the CA's own certificate, such as ca.pem of the data directory"));
    }
    Ok(found)
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Programs that change the system are kept where a user's PATH may not lead.
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|dir| dir.join(program).is_file())
}

fn run_program(program: &str, args: &[&OsStr]) -> Result<(), String> {
    let given = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::env::split_paths(&given).chain(["/usr/sbin".into(), "/sbin".into()])).unwrap_or(given);
    let output = Command::new(program).args(args).env("PATH", path).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().to_owned();
            Err(format!("{program} failed: {said}"))
        }
        Err(error) => Err(format!("{program} cannot be run: {}", super::errors::plain(&error))),
    }
}

impl Machine {
    fn here() -> Self {
        let stores: [(&str, &'static str, &'static [&'static str], &'static [&'static str]); 4] = [
            // Debian, Ubuntu, Alpine
            ("/usr/local/share/ca-certificates", "update-ca-certificates", &[], &["--fresh"]),
            // SUSE
            ("/etc/pki/trust/anchors", "update-ca-certificates", &[], &[]),
            // Fedora, RHEL and their relatives
            ("/etc/pki/ca-trust/source/anchors", "update-ca-trust", &["extract"], &["extract"]),
            // Arch
            ("/etc/ca-certificates/trust-source/anchors", "update-ca-trust", &["extract"], &["extract"]),
        ];
        let system = stores.into_iter().filter(|(directory, program, ..)| Path::new(directory).is_dir() && is_on_path(program)).take(1);
        let browsers =
            ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "brave-browser", "microsoft-edge", "vivaldi"];
        Self {
            system: system
                .map(|(directory, program, add, remove)| SystemStore { directory: directory.into(), program, add, remove })
                .collect(),
            home: std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
            has_chromium: browsers.into_iter().any(is_on_path),
        }
    }

    fn change(&self, authority: &Authority, remove: bool) -> Vec<Done> {
        let mut done: Vec<Done> = self.system.iter().map(|store| store.change(authority, remove)).collect();
        let stores = self.browser_stores(!remove);
        if !stores.is_empty() && !is_on_path("certutil") {
            done.push(Done {
                store: "the stores of Firefox and Chromium".to_owned(),
                result: Outcomes::Failed,
                detail: "certutil is not installed (Debian: sudo apt-get install libnss3-tools)".to_owned(),
            });
            return done;
        }
        done.extend(stores.iter().map(|(browser, directory)| in_browser(browser, directory, authority, remove)));
        done
    }

    /// The databases of browsers in the home directory. That of Chromium is made where Chromium is installed and never ran.
    fn browser_stores(&self, make: bool) -> Vec<(&'static str, PathBuf)> {
        let Some(home) = &self.home else { return Vec::new() };
        let mut found = Vec::new();
        let chromium = home.join(".pki/nssdb");
        if make
            && self.has_chromium
            && !chromium.join("cert9.db").exists()
            && is_on_path("certutil")
            && fs::create_dir_all(&chromium).is_ok()
        {
            // What comes of it is seen when the certificate is put in.
            let _ = run_program("certutil", &["-N".as_ref(), "-d".as_ref(), database(&chromium).as_ref(), "--empty-password".as_ref()]);
        }
        for directory in [chromium, home.join("snap/chromium/current/.pki/nssdb")] {
            if directory.join("cert9.db").exists() {
                found.push(("Chromium", directory));
            }
        }
        for profiles in [
            ".mozilla/firefox",
            ".config/mozilla/firefox",
            "snap/firefox/common/.mozilla/firefox",
            ".var/app/org.mozilla.firefox/.mozilla/firefox",
        ] {
            let Ok(entries) = fs::read_dir(home.join(profiles)) else { continue };
            let mut databases: Vec<PathBuf> =
                entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.join("cert9.db").exists()).collect();
            databases.sort();
            found.extend(databases.into_iter().map(|path| ("Firefox", path)));
        }
        found
    }
}

impl SystemStore {
    fn change(&self, authority: &Authority, remove: bool) -> Done {
        let path = self.directory.join(format!("{}.crt", authority.name()));
        let done = |result, detail: String| Done { store: format!("the system's store ({})", self.directory.display()), result, detail };
        let denied = |error: &std::io::Error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "it needs root: run it again with sudo".to_owned(),
            _ => super::errors::plain(error),
        };
        let there = fs::read_to_string(&path).is_ok_and(|text| text == authority.pem);
        let (changed, arguments, result) = if remove {
            if fs::symlink_metadata(&path).is_err() {
                return done(Outcomes::NotThere, String::new());
            }
            (fs::remove_file(&path), self.remove, Outcomes::Removed)
        } else {
            if there {
                return done(Outcomes::AlreadyThere, String::new());
            }
            (fs::write(&path, &authority.pem), self.add, Outcomes::Added)
        };
        if let Err(error) = changed {
            return done(Outcomes::Failed, denied(&error));
        }
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        match run_program(self.program, &arguments) {
            Ok(()) => done(result, String::new()),
            Err(why) => {
                if !remove {
                    // A file that nobody has read yet is taken back, so that the next try begins afresh.
                    let _ = fs::remove_file(&path);
                }
                done(Outcomes::Failed, why)
            }
        }
    }
}

fn database(directory: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from("sql:");
    text.push(directory);
    text
}

/// Puts the certificate into a database of NSS, or takes it out.
fn in_browser(browser: &str, directory: &Path, authority: &Authority, remove: bool) -> Done {
    let done = |result, detail: String| Done { store: format!("{browser} ({})", directory.display()), result, detail };
    let (database, name) = (database(directory), authority.name());
    let common = [OsStr::new("-d"), database.as_ref(), OsStr::new("-n"), name.as_ref()];
    let is_there = run_program("certutil", &[&[OsStr::new("-L")][..], &common[..]].concat()).is_ok();
    match (remove, is_there) {
        (true, false) => done(Outcomes::NotThere, String::new()),
        (false, true) => done(Outcomes::AlreadyThere, String::new()),
        (true, true) => match run_program("certutil", &[&[OsStr::new("-D")][..], &common[..]].concat()) {
            Ok(()) => done(Outcomes::Removed, String::new()),
            Err(why) => done(Outcomes::Failed, why),
        },
        (false, false) => {
            let file = std::env::temp_dir().join(format!("{name}-{}.pem", std::process::id()));
            let written = super::issuance::write_new(&file, authority.pem.as_bytes(), 0o600);
            let added = written.map_err(|failure| failure.message).and_then(|()| {
                // Trusted to vouch for servers, and for nothing else.
                let trust = [OsStr::new("-A"), OsStr::new("-t"), OsStr::new("C,,"), OsStr::new("-i"), file.as_os_str()];
                run_program("certutil", &[&trust[..], &common[..]].concat())
            });
            let _ = fs::remove_file(&file);
            match added {
                Ok(()) => done(Outcomes::Added, String::new()),
                Err(why) => done(Outcomes::Failed, why),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(root: &Path, program: &'static str) -> Machine {
        fs::create_dir_all(root.join("anchors")).unwrap();
        let store = SystemStore { directory: root.join("anchors"), program, add: &[], remove: &[] };
        Machine { system: vec![store], home: Some(root.join("home")), has_chromium: false }
    }

    fn authority(root: &Path) -> Authority {
        let file = root.join("ca.pem");
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=trust me",
                "-keyout",
            ])
            .arg(root.join("ca.key"))
            .arg("-out")
            .arg(&file)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        authorities(&file).unwrap().remove(0)
    }

    #[test]
    fn the_ca_goes_into_the_systems_store_once_and_comes_out_again() {
        let root = tempfile::tempdir().unwrap();
        let (machine, authority) = (machine(root.path(), "true"), authority(root.path()));
        let results = |remove| machine.change(&authority, remove).into_iter().map(|done| done.result).collect::<Vec<_>>();
        assert_eq!(results(true), [Outcomes::NotThere]);
        assert_eq!(results(false), [Outcomes::Added]);
        assert_eq!(results(false), [Outcomes::AlreadyThere]);
        assert_eq!(results(true), [Outcomes::Removed]);
        assert_eq!(fs::read_dir(root.path().join("anchors")).unwrap().count(), 0);
    }

    #[test]
    fn a_store_that_could_not_be_changed_is_said_and_left_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let (machine, authority) = (machine(root.path(), "false"), authority(root.path()));
        let done = machine.change(&authority, false);
        assert_eq!((done[0].result, done[0].detail.as_str()), (Outcomes::Failed, "false failed: "));
        assert_eq!(fs::read_dir(root.path().join("anchors")).unwrap().count(), 0);
    }

    #[test]
    fn the_ca_goes_into_the_browsers_stores_and_comes_out_again() {
        if !is_on_path("certutil") {
            countersign_testkit::skipped("certutil is not here");
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let authority = authority(root.path());
        let firefox = root.path().join("home/.mozilla/firefox/x.default");
        fs::create_dir_all(&firefox).unwrap();
        run_program("certutil", &["-N".as_ref(), "-d".as_ref(), database(&firefox).as_ref(), "--empty-password".as_ref()]).unwrap();
        let machine = Machine { has_chromium: true, ..machine(root.path(), "true") };
        let results = |remove| machine.change(&authority, remove).into_iter().skip(1).map(|done| done.result).collect::<Vec<_>>();
        assert_eq!(results(false), [Outcomes::Added, Outcomes::Added], "Chromium's database is made, Firefox's is there");
        assert_eq!(results(false), [Outcomes::AlreadyThere, Outcomes::AlreadyThere]);
        let listed = Command::new("certutil").args(["-L", "-d"]).arg(database(&firefox)).output().unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.contains(&authority.name()) && listed.contains("C,,"), "{listed}");
        assert_eq!(results(true), [Outcomes::Removed, Outcomes::Removed]);
        assert_eq!(results(true), [Outcomes::NotThere, Outcomes::NotThere]);
    }

    #[test]
    fn a_certificate_that_is_no_root_is_never_trusted() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("none.pem"), "no certificate").unwrap();
        assert!(authorities(&root.path().join("none.pem")).is_err());
    }
}
