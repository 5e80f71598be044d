//! `countersign dev`: control plane, gateway and echo upstream in one process, ready in under a second.
//!
//! For trying things on one machine. It makes everything on the first start and finds it again on the next.

use crate::cli::Failure;
use crate::cli::profile::{Profile, Profiles};
use crate::echo;
use crate::plane::{self, Layout, Plane, StartError};
use crate::terminal::{Style, Terminal, clean};
use clap::Args as ClapArgs;
use countersign_core::Secret;
use countersign_core::name::Hostname;
use countersign_core::namespace::Upstream;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The client's profile that this plane is known by.
const PROFILE: &str = "dev";

/// Flags of `dev`.
#[derive(ClapArgs, Debug)]
pub struct Args {
    /// Where the database, the CA and dev.env are kept
    #[arg(long, value_name = "DIR", default_value = "countersign-data", env = "COUNTERSIGN_DATA_DIR")]
    pub data_dir: PathBuf,
    /// Address of the control plane; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    pub control: SocketAddr,
    /// Address of the gateway; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7233")]
    pub gateway: SocketAddr,
    /// Address of metrics and health; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9464")]
    pub metrics: SocketAddr,
    /// Address of what issuers publish, in clear: CRLs, OCSP, CA certificates [default: 127.0.0.1:8480, or a free port where that is taken]
    #[arg(long, value_name = "ADDR")]
    pub pki: Option<SocketAddr>,
    /// A PKCS#11 library in which issuers may have their keys
    #[arg(long, value_name = "FILE", env = "COUNTERSIGN_PKCS11_MODULE")]
    pub pkcs11_module: Option<PathBuf>,
    /// The PIN of its tokens: file:PATH or env:NAME
    #[arg(long, value_name = "PLACE", env = "COUNTERSIGN_PKCS11_PIN", requires = "pkcs11_module")]
    pub pkcs11_pin: Option<String>,
    /// Where namespaces go that are made without an upstream, as Temporal's tools make them [default: the echo service]
    #[arg(long, value_name = "URL", value_parser = Upstream::parse)]
    pub temporal_upstream: Option<Upstream>,
    /// The regions there are, with commas between
    #[arg(long, value_name = "IDS", value_delimiter = ',', default_value = "local,aws-us-east-1")]
    pub regions: Vec<String>,
    /// Starts with a database that lost its last changes, lists what it lets in again and records that in the audit trail
    #[arg(long)]
    pub accept_older_database: bool,
}

/// Runs until asked to stop.
///
/// `profiles` is the client's configuration directory, where the profile `dev` is written; without one there is none.
pub async fn run(args: Args, profiles: Option<PathBuf>) -> ExitCode {
    let begun = Instant::now();
    let filter = std::env::var("COUNTERSIGN_LOG_FILTER").unwrap_or_else(|_| "warn".to_owned());
    if let Err(error) = plane::log::start(&filter) {
        // Nothing is left to do when stderr is closed.
        let _ =
            writeln!(std::io::stderr().lock(), "countersign dev: COUNTERSIGN_LOG_FILTER is `{filter}`: {error} (code: setting_invalid)");
        return ExitCode::from(2);
    }
    let (plane, access) = match start(&args, profiles.as_deref()).await {
        Ok(started) => started,
        Err(error) => {
            let mut stderr = std::io::stderr().lock();
            // Nothing is left to do when stderr is closed.
            let _ = writeln!(stderr, "countersign dev: {error} (code: {})", error.code());
            return ExitCode::from(1);
        }
    };
    let asked_to_stop = plane::asked_to_stop();
    announce(&args.data_dir, &plane, &access, begun.elapsed());
    asked_to_stop.await;
    plane.shutdown(Duration::from_secs(5), Duration::ZERO).await;
    ExitCode::SUCCESS
}

/// What one needs to try it.
struct Access {
    namespace: String,
    environment: PathBuf,
    /// The address at which its owner logs in, once.
    login: Secret,
    /// Whether the client knows it as the profile `dev`.
    has_profile: bool,
}

async fn start(args: &Args, profiles: Option<&Path>) -> Result<(Plane, Access), StartError> {
    let domain = Hostname::parse("localhost").map_err(|e| StartError::Control(e.to_string()))?;
    let environment = args.data_dir.join("dev.env");
    let before = std::fs::read_to_string(&environment).unwrap_or_default();
    let old_key = value_of(&before, "COUNTERSIGN_API_KEY");
    // The port of the last start where it is free, so that nothing has to be written for it.
    let last = value_of(&before, "COUNTERSIGN_ECHO").and_then(|url| url.rsplit(':').next()?.parse().ok());
    let echo = echo::start(last.unwrap_or(0)).await.map_err(|e| StartError::Control(format!("the echo upstream does not start: {e}")))?;
    let upstream = Upstream::parse(&format!("http://{echo}")).map_err(|e| StartError::Control(e.to_string()))?;

    let layout = Layout {
        data_dir: args.data_dir.clone(),
        control: args.control,
        control_hosts: vec!["localhost".into(), "127.0.0.1".into(), "::1".into()],
        // Namespaces that Temporal's tools make have somewhere to go, too.
        default_upstream: Some(args.temporal_upstream.clone().unwrap_or_else(|| upstream.clone())),
        local_upstreams: true,
        regions: args.regions.clone(),
        gateway: args.gateway,
        domain: domain.clone(),
        gateway_name: "dev".into(),
        connections: None,
        handover: None,
        workers: std::thread::available_parallelism().map_or(1, usize::from),
        heads: None,
        accept_older_database: args.accept_older_database,
        access_log: Some(args.data_dir.join("access.log")),
        metrics: args.metrics,
        pki: match args.pki {
            Some(address) => vec![address],
            None => vec![SocketAddr::from(([127, 0, 0, 1], 8480)), SocketAddr::from(([127, 0, 0, 1], 0))],
        },
        pki_url: String::new(),
        pkcs11: match (&args.pkcs11_module, &args.pkcs11_pin) {
            (Some(module), Some(place)) => {
                let pin = crate::serve::pin(place)
                    .ok_or_else(|| StartError::Control("--pkcs11-pin is file:PATH or env:NAME, and has to be there".to_owned()))?;
                Some(std::sync::Arc::new((module.clone(), pin)))
            }
            (Some(_), None) => return Err(StartError::Control("--pkcs11-module needs --pkcs11-pin".to_owned())),
            (None, _) => None,
        },
        master_key: String::new(),
        certificate_limit: countersign_core::limits::CERTIFICATES_PER_OWNER_MAX,
        issuer_dwell: None,
        weak_keys: countersign_x509::weak_list::WeakList::default(),
        login: countersign_server::login::LoginSettings::default(),
        mail: None,
    };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let plane = Plane::start(layout, async move |app: Arc<countersign_server::App>| {
        let made = countersign_server::bootstrap::dev_setup(&app, upstream, vec![domain], old_key).await?;
        let code = countersign_server::bootstrap::one_time_login(&app).await?;
        // The receiver is in this very function.
        let _ = sender.send((made, code));
        Ok(())
    })
    .await?;
    let (made, code) = receiver.await.map_err(|_| StartError::Control("the demo was not set up".into()))?;
    let mut lines = lines(&plane, &made.account, &made.namespace, made.owner_key.expose(), code.expose());
    lines.push_str(&format!("COUNTERSIGN_ECHO=http://{echo}\n"));
    write_environment(&environment, lines.as_bytes()).map_err(|e| StartError::File { path: environment.clone(), reason: e.to_string() })?;
    // The address is shown to whoever started this: it is good once and for a few minutes.
    let login = Secret::new(format!("https://localhost:{}/login?code={}", plane.control.port(), code.expose()));
    let has_profile = match profiles.map(|dir| keep_profile(dir, &plane, &made.owner_key, &made.namespace)) {
        Some(Ok(())) => true,
        Some(Err(failure)) => {
            // The plane runs without: dev.env has all that the profile would have.
            let _ =
                writeln!(std::io::stderr().lock(), "countersign dev: the profile `{PROFILE}` is not written: {}", clean(&failure.message));
            false
        }
        None => false,
    };
    Ok((plane, Access { namespace: made.namespace, environment, login, has_profile }))
}

/// Lets `countersign --profile dev` find this plane; which profile is in use stays as it is.
fn keep_profile(dir: &Path, plane: &Plane, key: &Secret, namespace: &str) -> Result<(), Failure> {
    let server = format!("localhost:{}", plane.control.port());
    let mut profile = Profile::new(&server, Some(&plane.ca_file), Some(key));
    profile.namespace = Some(namespace.to_owned());
    Profiles::change(dir, |all| {
        all.profiles.insert(PROFILE.to_owned(), profile);
        Ok(())
    })
}

/// Writes `dev.env`; on a full disk in its own place, which needs no space as long as it is not longer than before.
fn write_environment(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match plane::write_file(path, bytes, 0o600) {
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
            file.write_all(bytes)?;
            file.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
        }
        written => written,
    }
}

/// The lines of `dev.env` (CONTRACT section 1). Key and login code are shown here once, to their owner, in a file of mode 0600.
fn lines(plane: &Plane, account: &str, namespace: &str, key: &str, code: &str) -> String {
    let ca = std::path::absolute(&plane.ca_file).unwrap_or_else(|_| plane.ca_file.clone());
    let ca = shell_word(&ca.to_string_lossy());
    let port = plane.control.port();
    format!(
        "COUNTERSIGN_SERVER=localhost:{port}\n\
         COUNTERSIGN_CA_CERT={ca}\n\
         COUNTERSIGN_API_KEY={key}\n\
         COUNTERSIGN_ACCOUNT={account}\n\
         COUNTERSIGN_NAMESPACE={namespace}\n\
         COUNTERSIGN_GATEWAY={}\n\
         COUNTERSIGN_GATEWAY_HOST={namespace}.localhost\n\
         COUNTERSIGN_GATEWAY_URL=https://{namespace}.localhost:{}\n\
         COUNTERSIGN_CONSOLE=https://localhost:{port}/\n\
         COUNTERSIGN_LOGIN=https://localhost:{port}/login?code={code}\n\
         COUNTERSIGN_METRICS=http://{}/metrics\n\
         COUNTERSIGN_PKI={}\n",
        plane.gateway,
        plane.gateway.port(),
        plane.metrics,
        plane.pki.map(|address| format!("http://{address}/pki")).unwrap_or_default()
    )
}

/// Quotes a value only where a shell would take it apart.
fn shell_word(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+:@%".contains(&b));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn value_of(lines: &str, name: &str) -> Option<String> {
    lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=').map(ToOwned::to_owned)).filter(|v| !v.is_empty())
}

fn announce(data_dir: &Path, plane: &Plane, access: &Access, took: Duration) {
    let terminal = Terminal::stdout();
    let strong = |text: &str| terminal.paint(Style::Strong, text);
    let faint = |text: &str| terminal.paint(Style::Faint, text);
    let env = access.environment.display();
    let host = format!("{}.localhost:{}", access.namespace, plane.gateway.port());
    let program = program(std::env::var_os("PATH").unwrap_or_default(), &std::env::current_dir().unwrap_or_default());
    let (client, prepare) = match access.has_profile {
        true => (format!("{program} --profile {PROFILE}"), String::new()),
        false => (program.clone(), format!("set -a; . {env}; set +a\n")),
    };
    let text = format!(
        "{} {}\n\
         \n\
         control plane  {}\n\
         gateway        https://{host}\n\
         namespace      {}\n\
         metrics        http://{}/metrics\n\
         data           {}\n\
         \n\
         {}\n\
         {}\n\
         \n\
         {}\n\
         {prepare}{client} whoami\n\
         {client} apikey create --name first --duration 30d\n\
         {client} trust\n\
         set -a; . {env}; set +a\n\
         curl --cacert \"$COUNTERSIGN_CA_CERT\" -H \"Authorization: Bearer $COUNTERSIGN_API_KEY\" https://{host}/hello\n\
         \n\
         {}\n",
        strong("Countersign is ready"),
        faint(&format!("after {} ms", took.as_millis())),
        terminal.link(&format!("https://localhost:{}/", plane.control.port())),
        access.namespace,
        plane.metrics,
        data_dir.display(),
        strong("Log in, once and within 15 minutes:"),
        terminal.link(access.login.expose()),
        strong("Try, in another terminal:"),
        faint("`trust` lets browsers and curl know its CA. Ctrl-C ends it; everything is kept for the next start."),
    );
    let mut stdout = std::io::stdout().lock();
    // A closed stdout keeps nobody from using the plane.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// How this program is called from here: by its name where the PATH leads to it, else by its place.
fn program(path: std::ffi::OsString, here: &Path) -> String {
    let Ok(exe) = std::env::current_exe() else { return "countersign".to_owned() };
    if std::env::split_paths(&path).any(|dir| dir.join("countersign") == exe) {
        return "countersign".to_owned();
    }
    shell_word(&exe.strip_prefix(here).unwrap_or(&exe).to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_env_can_be_sourced_and_read_back() {
        assert_eq!(shell_word("/a/b-c.pem"), "/a/b-c.pem");
        assert_eq!(shell_word("/a b/it's"), "'/a b/it'\\''s'");
        assert_eq!(value_of("A=1\nCOUNTERSIGN_API_KEY=csk_x\n", "COUNTERSIGN_API_KEY"), Some("csk_x".into()));
        assert_eq!(value_of("COUNTERSIGN_API_KEY=\n", "COUNTERSIGN_API_KEY"), None);
    }
}
