//! The agent: files that stay fresh, whatever happens around them.

use crate::plane::{Answer, PATIENCE, Plane, binary, eventually};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A running agent and what it says.
struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    fn says(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said().contains(what) {
            assert!(Instant::now() < deadline, "it never said {what:?}: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM, and the exit code.
    fn stop(mut self) -> Option<i32> {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end on SIGTERM");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(plane: &Plane) -> Command {
    let mut command = Command::new(binary());
    command.args(["agent", "--config", "agent.toml"]).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.current_dir(plane.path("")).stdin(Stdio::null());
    command
}

fn start(plane: &Plane) -> Agent {
    let log = plane.path("agent.log");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
    let child = command(plane).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    Agent { child, log }
}

fn once(plane: &Plane, args: &[&str]) -> Answer {
    Answer::of(command(plane).arg("--once").args(args).output().unwrap())
}

/// Settings for the certificate in `<name>.pem` and `<name>.key`.
fn settings(plane: &Plane, name: &str, more: &str) {
    let text = format!(
        "server = \"{}\"\nca_cert = \"{}\"\ndirectory = \"tls\"\ncertificate = \"{name}.pem\"\nkey = \"{name}.key\"\n{more}",
        plane.var("COUNTERSIGN_SERVER"),
        plane.var("COUNTERSIGN_CA_CERT")
    );
    std::fs::write(plane.path("agent.toml"), text).unwrap();
}

fn read(plane: &Plane, name: &str) -> Vec<u8> {
    std::fs::read(plane.path(name)).unwrap_or_default()
}

#[test]
fn a_certificate_placed_by_hand_is_taken_up_and_the_hook_is_told() {
    let plane = Plane::start();
    plane.certificates("acme");
    let hook = "hook = 'cat \"$COUNTERSIGN_COMBINED_FILE\" > told.pem; env | grep COUNTERSIGN_ > told.env'\ncheck_every = \"1s\"\n";
    settings(&plane, "acme", hook);
    let agent = start(&plane);
    agent.says("is renewed from");
    assert!(read(&plane, "told.pem").is_empty(), "nothing changed yet");
    plane.leaf("acme", "next", &[]);
    std::fs::rename(plane.path("next.key"), plane.path("acme.key")).unwrap();
    std::fs::rename(plane.path("next.pem"), plane.path("acme.pem")).unwrap();
    agent.says("the hook has run");
    let told = String::from_utf8(read(&plane, "told.pem")).unwrap();
    assert!(told.contains(&String::from_utf8(read(&plane, "acme.pem")).unwrap()) && told.contains("PRIVATE KEY"));
    let env = String::from_utf8(read(&plane, "told.env")).unwrap();
    assert!(env.contains("COUNTERSIGN_KEY_FILE=") && !env.contains("PRIVATE KEY") && !env.contains("csk_"), "{env}");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_hook_that_fails_is_said_and_run_again_and_the_files_stay() {
    let plane = Plane::start();
    plane.certificates("acme");
    settings(&plane, "acme", "hook = [\"sh\", \"-c\", \"test -e may-pass\"]\ncheck_every = \"1s\"\n");
    let agent = start(&plane);
    agent.says("is renewed from");
    plane.leaf("acme", "next", &[]);
    let placed = read(&plane, "next.pem");
    std::fs::rename(plane.path("next.key"), plane.path("acme.key")).unwrap();
    std::fs::rename(plane.path("next.pem"), plane.path("acme.pem")).unwrap();
    agent.says("(code: hook_failed)");
    assert!(read(&plane, "tls/current/certificate.pem").starts_with(placed.trim_ascii_end()));
    std::fs::write(plane.path("may-pass"), "").unwrap();
    agent.says("the hook has run");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_hook_that_hangs_is_killed_with_all_it_started() {
    let plane = Plane::start();
    plane.certificates("acme");
    settings(&plane, "acme", "");
    assert_eq!(once(&plane, &[]).code, 0);
    settings(&plane, "acme", "hook = \"sleep 1000 & echo $! > pid; wait\"\nhook_timeout = \"1s\"\n");
    plane.leaf("acme", "acme", &[]);
    let answer = once(&plane, &[]);
    assert!(answer.code == 1 && answer.stderr.contains("hook_failed"), "{answer:?}");
    let pid = String::from_utf8(read(&plane, "pid")).unwrap();
    eventually("the hook's child is gone", || {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    });
}

#[test]
fn once_says_by_its_exit_code_what_became_of_it() {
    let mut plane = Plane::start();
    plane.certificates("acme");
    plane.leaf("acme", "acme", &["--organization-unit", "ops"]);
    settings(&plane, "acme", "");
    let rests = once(&plane, &[]);
    assert!(rests.code == 0 && rests.stdout.is_empty() && rests.stderr.contains("is renewed from"), "{rests:?}");
    once(&plane, &["--now"]).refused("code:");
    plane.stop();
    let away = once(&plane, &["--now"]);
    assert!(away.code == 3 && away.stderr.contains("not_reachable"), "{away:?}");
    settings(&plane, "acme", "renew_befor = \"3d\"\n");
    let wrong = once(&plane, &[]);
    assert!(wrong.code == 2 && wrong.stderr.contains("`renew_before`") && wrong.stderr.lines().count() == 1, "{wrong:?}");
    settings(&plane, "absent", "");
    std::fs::remove_dir_all(plane.path("tls")).unwrap();
    once(&plane, &[]).refused("no_certificate");
}

#[test]
fn a_second_agent_in_the_same_directory_is_refused() {
    let plane = Plane::start();
    plane.certificates("acme");
    settings(&plane, "acme", "");
    let agent = start(&plane);
    agent.says("is renewed from");
    once(&plane, &[]).refused("agent_running");
    assert_eq!(agent.stop(), Some(0));
}

/// A certificate that was issued here, in `<name>.pem` and `<name>.key`.
fn first(plane: &Plane, name: &str, more: &[&str]) {
    let mut all = vec!["certificate", "create", "--generate-key", "--alias", name];
    all.extend(more);
    plane.cli(&all).ok();
}

fn serial(plane: &Plane, file: &str) -> String {
    let words = ["x509", "-noout", "-serial", "-in", file];
    let output = Command::new("openssl").args(words).current_dir(plane.path("")).output().unwrap();
    Answer::of(output).ok().stdout
}

#[test]
fn the_agent_keeps_a_clients_files_fresh_and_not_one_request_fails() {
    let plane = Plane::start();
    first(&plane, "billing", &["--duration", "24s"]);
    settings(&plane, "billing", "check_every = \"1s\"\nchain = \"billing.ca.pem\"\nhook = \"echo run >> hooks\"\n");
    let begun = serial(&plane, "billing.pem");
    let agent = start(&plane);
    agent.says("is renewed from");
    // As fast as curl starts, each request with whatever is in force at that moment, until two renewals are through.
    let deadline = Instant::now() + 4 * PATIENCE;
    let (mut requests, mut seen) = (0, vec![begun]);
    while seen.len() < 3 {
        assert!(Instant::now() < deadline, "{seen:?} {}", agent.said());
        let (status, body) = plane.curl(&["--cert", "tls/current/combined.pem", &plane.url("/")]);
        assert_eq!(status, 200, "request {requests}: {body} {}", agent.said());
        requests += 1;
        let now = serial(&plane, "tls/current/certificate.pem");
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert!(requests > 20, "{requests}");
    eventually("the hook has run for each", || read(&plane, "hooks").len() >= "run\n".len() * 2);
    // The plain copies are of the set in force, and openssl builds the path from them.
    eventually("the copies follow", || serial(&plane, "billing.pem") == serial(&plane, "tls/current/certificate.pem"));
    let words = ["verify", "-purpose", "sslclient", "-CAfile", "tls/current/chain.pem", "tls/current/certificate.pem"];
    Answer::of(Command::new("openssl").args(words).current_dir(plane.path("")).output().unwrap()).ok();
    assert_eq!(agent.stop(), Some(0));
    let listed = plane.cli(&["audit", "list"]).ok().stdout;
    assert!(listed.contains("RotateCertificate") && !listed.contains("PRIVATE KEY"));
}

/// An address that stays, in front of a control plane whose port changes with each start.
struct Relay {
    port: u16,
    behind: Arc<Mutex<String>>,
}

impl Relay {
    fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, behind) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(address.to_owned())));
        let target = Arc::clone(&behind);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let address = target.lock().unwrap().clone();
                // With nobody behind, the connection is closed at once.
                let Ok(server) = TcpStream::connect(address) else { continue };
                for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { port, behind }
    }
}

#[test]
fn the_control_plane_goes_away_and_comes_back_and_the_certificate_is_renewed_once() {
    let mut plane = Plane::start();
    let address = |plane: &Plane| plane.var("COUNTERSIGN_SERVER").replace("localhost", "127.0.0.1");
    first(&plane, "billing", &["--duration", "30s"]);
    let relay = Relay::to(&address(&plane));
    settings(&plane, "billing", "check_every = \"1s\"\nrenew_before = \"50%\"\n");
    let text = String::from_utf8(read(&plane, "agent.toml")).unwrap();
    let text = text.replace(plane.var("COUNTERSIGN_SERVER"), &format!("localhost:{}", relay.port));
    std::fs::write(plane.path("agent.toml"), text).unwrap();
    plane.kill_nine();
    let agent = start(&plane);
    agent.says("(code: not_reachable)");
    assert_eq!(serial(&plane, "billing.pem"), serial(&plane, "tls/current/certificate.pem"), "the files stay");
    plane.restart();
    *relay.behind.lock().unwrap() = address(&plane);
    agent.says("renewed: ");
    let (status, body) = plane.curl(&["--cert", "tls/current/combined.pem", &plane.url("/")]);
    assert_eq!(status, 200, "{body}");
    let said = agent.said();
    assert_eq!(said.matches("renewed: ").count(), 1, "{said}");
    assert!(said.lines().zip(said.lines().skip(1)).all(|(one, next)| one != next), "nothing is said twice in a row: {said}");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn an_agent_killed_in_the_middle_of_a_renewal_ends_with_one_successor() {
    let plane = Plane::start();
    first(&plane, "billing", &[]);
    settings(&plane, "billing", "");
    assert_eq!(once(&plane, &[]).code, 0);
    for delay in [10, 30, 50, 80] {
        let mut child = command(&plane).args(["--once", "--now"]).stderr(Stdio::null()).spawn().unwrap();
        // Not a wait for something: wherever it is by then, it is killed.
        std::thread::sleep(Duration::from_millis(delay));
        let done = child.try_wait().unwrap().is_some();
        let _ = child.kill();
        child.wait().unwrap();
        let (status, body) = plane.curl(&["--cert", "tls/current/combined.pem", &plane.url("/")]);
        assert_eq!(status, 200, "after {delay} ms: {body}");
        if done {
            break;
        }
    }
    // Had one of them made a successor that is not here, this one would be refused: the old certificate would have one already.
    let answer = once(&plane, &["--now"]);
    assert!(answer.code == 0 && answer.stderr.contains("renewed: "), "{answer:?}");
    let (status, body) = plane.curl(&["--cert", "billing.pem", "--key", "billing.key", &plane.url("/")]);
    assert_eq!(status, 200, "{body}");
}

#[test]
fn a_control_plane_killed_in_the_middle_of_a_renewal_leaves_a_way_on() {
    let mut plane = Plane::start();
    first(&plane, "billing", &[]);
    settings(&plane, "billing", "");
    assert_eq!(once(&plane, &[]).code, 0);
    for delay in [10, 25, 40, 70] {
        let mut agent = command(&plane).args(["--once", "--now"]).stderr(Stdio::null()).spawn().unwrap();
        // Not a wait for something: wherever the two are by then, one of them is killed.
        std::thread::sleep(Duration::from_millis(delay));
        plane.kill_nine();
        let code = agent.wait().unwrap().code();
        assert!([Some(0), Some(3)].contains(&code), "after {delay} ms: {code:?}");
        plane.restart();
        settings(&plane, "billing", "");
        let answer = once(&plane, &["--now"]);
        assert!(answer.code == 0 && answer.stderr.contains("renewed: "), "after {delay} ms: {answer:?}");
        let (status, body) = plane.curl(&["--cert", "tls/current/combined.pem", &plane.url("/")]);
        assert_eq!(status, 200, "after {delay} ms: {body}");
    }
    plane.cli(&["audit", "verify"]).ok();
}

#[test]
fn a_keystore_goes_with_each_set_and_opens_with_its_password() {
    let plane = Plane::start();
    first(&plane, "billing", &[]);
    std::fs::write(plane.path("password"), "sesame-open\n").unwrap();
    settings(&plane, "billing", "keystore = \"billing.p12\"\nkeystore_password = \"file:password\"\nmode = \"0640\"\n");
    assert_eq!(once(&plane, &[]).code, 0);
    let before = read(&plane, "billing.p12");
    assert_eq!(once(&plane, &["--now"]).code, 0);
    assert!(!before.is_empty() && before != read(&plane, "billing.p12"), "the copy follows");
    let words = ["pkcs12", "-in", "billing.p12", "-passin", "file:password", "-nodes", "-out", "opened.pem"];
    Answer::of(Command::new("openssl").args(words).current_dir(plane.path("")).output().unwrap()).ok();
    assert_eq!(serial(&plane, "opened.pem"), serial(&plane, "tls/current/certificate.pem"));
    let (status, body) = plane.curl(&["--cert", "opened.pem", &plane.url("/")]);
    assert_eq!(status, 200, "{body}");
    use std::os::unix::fs::PermissionsExt as _;
    for file in ["billing.p12", "billing.key", "tls/current/combined.pem"] {
        assert_eq!(std::fs::metadata(plane.path(file)).unwrap().permissions().mode() & 0o777, 0o640, "{file}");
    }
}

#[test]
fn a_revoked_certificate_is_refused_once_and_its_files_stay() {
    let plane = Plane::start();
    first(&plane, "billing", &["--duration", "3s"]);
    settings(&plane, "billing", "check_every = \"1s\"\n");
    plane.cli(&["--auto-confirm", "certificate", "revoke", "--alias", "billing"]).ok();
    let answer = once(&plane, &["--now"]);
    assert!(answer.code == 1 && answer.stderr.contains("certificate_revoked"), "{answer:?}");
    assert!(!read(&plane, "tls/current/key.pem").is_empty() && !read(&plane, "billing.key").is_empty());
}

#[test]
fn an_emptied_copy_is_made_whole_and_the_set_in_force_is_renewed() {
    let plane = Plane::start();
    plane.cli(&["certificate", "create", "--generate-key", "--alias", "app", "--out-dir", "."]).ok();
    settings(&plane, "app", "");
    assert_eq!(once(&plane, &[]).code, 0);
    let before = read(&plane, "app.pem");
    std::fs::write(plane.path("app.pem"), "").unwrap();
    let healed = once(&plane, &[]);
    assert!(healed.code == 0 && healed.stderr.contains("app.pem is a copy of the set in force again"), "{healed:?}");
    assert_eq!(read(&plane, "app.pem"), before);
    std::fs::write(plane.path("app.pem"), "").unwrap();
    let renewed = once(&plane, &["--now"]);
    assert!(renewed.code == 0 && renewed.stderr.contains("renewed: "), "{renewed:?}");
    assert!(!read(&plane, "app.pem").is_empty() && read(&plane, "app.pem") != before);
    // A certificate without its key is left to a person, and that is no reason not to renew: the exit code says that something is wrong.
    let now = read(&plane, "tls/current/certificate.pem");
    plane.certificates("stranger");
    std::fs::copy(plane.path("stranger.pem"), plane.path("app.pem")).unwrap();
    let wrong = once(&plane, &["--now"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("key_mismatch") && wrong.stderr.contains("renewed: "), "{wrong:?}");
    assert_ne!(read(&plane, "tls/current/certificate.pem"), now);
    assert_eq!(read(&plane, "app.pem"), read(&plane, "stranger.pem"));
}
