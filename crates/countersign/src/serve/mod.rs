//! `countersign serve`: the control plane with a gateway in the same process, from one settings file.

mod reference;
mod settings;

use crate::plane::{self, Plane};
use clap::Args as ClapArgs;
use settings::Settings;
pub use settings::pin;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// For requests under way at the end.
const GRACE: Duration = Duration::from_secs(30);
/// How long the gateway goes on after SIGTERM while no following process has come.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(2);
/// How long a process waits for the one that holds the data directory to stop.
const PRECEDED_WITHIN: Duration = Duration::from_secs(30);
/// Where the settings are looked for when nobody names them.
const PLACE: &str = "/etc/countersign/countersign.toml";

/// Flags of `serve`.
#[derive(ClapArgs, Debug)]
pub struct Args {
    /// The settings, a TOML file [default: COUNTERSIGN_CONFIG, else /etc/countersign/countersign.toml where that is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Prints the settings in force and where each comes from, then ends
    #[arg(long)]
    pub print_config: bool,
    /// Also prints a one-time address at which an Account Owner sets a new password, for getting back in
    #[arg(long)]
    pub login_link: bool,
    /// Starts with a database that lost its last changes, lists what it lets in again and records that in the audit trail
    #[arg(long)]
    pub accept_older_database: bool,
}

/// Runs until asked to stop.
pub async fn run(args: Args) -> ExitCode {
    let (config, found) = find(args.config.clone(), std::env::var_os("COUNTERSIGN_CONFIG").map(PathBuf::from), Path::new(PLACE));
    let settings = match Settings::load(config.as_deref(), |name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => return fail(&error.to_string(), error.code(), 2),
    };
    if args.print_config {
        // A closed stdout is the reader's own wish.
        let _ = std::io::stdout().lock().write_all(format!("# {found}\n{}", settings.print()).as_bytes());
        return ExitCode::SUCCESS;
    }
    if let Err(error) = plane::log::start(settings.log_filter()) {
        return fail(&format!("setting `log.filter`: {error}"), "setting_invalid", 2);
    }
    let accept_older_database = args.accept_older_database;
    let layout = plane::Layout { handover: Some(PRECEDED_WITHIN), accept_older_database, ..settings.layout() };
    let first_key = layout.data_dir.join("first-owner.env");
    let file = first_key.clone();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let always = args.login_link;
    let plane = Plane::start(layout, async move |app: Arc<countersign_server::App>| {
        // The first owner's key goes to a file of mode 0600 and nowhere else, once.
        if let Some(owner) = countersign_server::bootstrap::first_owner(&app).await? {
            let line = format!("COUNTERSIGN_API_KEY={}\n", owner.expose());
            plane::write_file(&file, line.as_bytes(), 0o600).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        }
        // The receiver is in this very function.
        let _ = sender.send(countersign_server::bootstrap::owner_invitation(&app, always).await?);
        Ok(())
    })
    .await;
    let plane = match plane {
        Ok(plane) => plane,
        Err(error) => return fail(&error.to_string(), error.code(), 1),
    };
    let mut text = format!(
        "Countersign serves: control plane {}, gateway {}, metrics http://{}/metrics\nCA of both ports: {}\n{found}\n",
        plane.control,
        plane.gateway,
        plane.metrics,
        plane.ca_file.display()
    );
    if first_key.exists() {
        text.push_str(&format!(
            "The first owner's API key is in {}; make your own with `countersign apikey create`, then delete that file and its key.\n",
            first_key.display()
        ));
    }
    if let Ok(Some(address)) = receiver.await {
        // Shown once, to whoever starts the server; it is good once and for seven days.
        text.push_str(&format!("To log in as an owner, set the password, once and within 7 days, at\n  {}\n", address.expose()));
    }
    plane.reopen_on_hangup();
    let asked_to_stop = plane::asked_to_stop();
    // A closed stdout keeps nobody from using the plane.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    // A process that follows is given a moment to come; whoever types Ctrl-C waits for none.
    let wait = if asked_to_stop.await == plane::Asked::Terminate { FOLLOWED_WITHIN } else { Duration::ZERO };
    plane.shutdown(GRACE, wait).await;
    ExitCode::SUCCESS
}

/// The settings file, and a sentence about where it was looked for.
fn find(flag: Option<PathBuf>, variable: Option<PathBuf>, place: &Path) -> (Option<PathBuf>, String) {
    let variable = variable.filter(|path| !path.as_os_str().is_empty());
    let found = flag.or(variable).or_else(|| place.is_file().then(|| place.to_owned()));
    let said = match &found {
        Some(path) => format!("Settings: {}, and COUNTERSIGN_… variables", path.display()),
        None => format!(
            "Settings: no file (there is no --config, no COUNTERSIGN_CONFIG and no {}); defaults and COUNTERSIGN_… variables hold",
            place.display()
        ),
    };
    (found, said)
}

fn fail(message: &str, word: &str, code: u8) -> ExitCode {
    // Nothing is left to do when stderr is closed.
    let _ = writeln!(std::io::stderr().lock(), "countersign serve: {message} (code: {word})");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serve_says_where_it_looked_for_its_settings() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = dir.path().join("countersign.toml");
        let (none, said) = find(None, Some(PathBuf::new()), &place);
        assert_eq!(none, None);
        assert!(said.contains("--config") && said.contains("COUNTERSIGN_CONFIG") && said.contains("countersign.toml"), "{said}");
        std::fs::write(&place, "").expect("a file");
        assert_eq!(find(None, None, &place).0.as_ref(), Some(&place));
        assert_eq!(find(None, Some("/b".into()), &place).0, Some(PathBuf::from("/b")));
        let (found, said) = find(Some("/a".into()), Some("/b".into()), &place);
        assert_eq!((found, said.contains("/a")), (Some(PathBuf::from("/a")), true));
    }
}
