//! People log in at the built binary: `countersign login` by a browser that is played with curl, the first owner of `serve` by the
//! printed address, and a login without which every command says how to get one.

use crate::plane::{Answer, PATIENCE, Plane, binary, eventually, text};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The client without an API key, with its own place for tokens.
fn person(plane: &Plane, args: &[&str]) -> Answer {
    let key = plane.var("COUNTERSIGN_API_KEY");
    assert!(!args.contains(&key));
    Answer::of(command(plane, args).output().unwrap())
}

fn command(plane: &Plane, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", plane.path(""))
        .env("COUNTERSIGN_SERVER", plane.var("COUNTERSIGN_SERVER"))
        .env("COUNTERSIGN_CA_CERT", plane.var("COUNTERSIGN_CA_CERT"))
        .current_dir(plane.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A form of the control plane's pages, sent as a browser does.
fn form(plane: &Plane, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let origin = format!("Origin: https://{}", plane.var("COUNTERSIGN_SERVER"));
    let url = format!("https://{}{path}", plane.var("COUNTERSIGN_SERVER"));
    let mut args = vec!["-b".to_owned(), "jar".to_owned(), "-c".to_owned(), "jar".to_owned(), "-H".to_owned(), origin];
    for (name, value) in fields {
        args.extend(["--data-urlencode".to_owned(), format!("{name}={value}")]);
    }
    args.push(url);
    plane.curl(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Signs the browser in by the one-time address of `dev.env`.
fn sign_in(plane: &Plane) {
    let (_, code) = plane.var("COUNTERSIGN_LOGIN").split_once("code=").unwrap();
    assert_eq!(form(plane, "/login", &[("code", code)]).0, 303);
}

/// Starts a login, and the code it shows.
fn begin(plane: &Plane) -> (Waiting, String) {
    let mut child = command(plane, &["login", "--disable-pop-up"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("must show this code: ") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the login ended before it showed a code");
    }
    let code = line.split_once("this code: ").unwrap().1.split_whitespace().next().unwrap().to_owned();
    let rest = std::thread::spawn(move || {
        let mut text = String::new();
        lines.read_to_string(&mut text).unwrap();
        text
    });
    (Waiting { child, rest }, code)
}

/// A login that waits for its user.
struct Waiting {
    child: Child,
    rest: std::thread::JoinHandle<String>,
}

impl Waiting {
    fn end(self) -> Answer {
        let answer = Answer::of(self.child.wait_with_output().unwrap());
        Answer { stderr: self.rest.join().unwrap(), ..answer }
    }
}

#[test]
fn a_person_logs_in_acts_and_logs_out_again() {
    let plane = Plane::start();
    let said = person(&plane, &["namespace", "list"]);
    said.refused("unauthenticated");
    assert!(said.stderr.contains("request not authenticated") && said.stderr.contains("countersign login"), "{said:?}");

    sign_in(&plane);
    let (waiting, code) = begin(&plane);
    let page = plane.curl(&["-b", "jar", &format!("https://{}/device?user_code={code}", plane.var("COUNTERSIGN_SERVER"))]);
    assert!(page.0 == 200 && page.1.contains(&code) && page.1.contains("countersign (command line)"), "{page:?}");
    assert_eq!(form(&plane, "/device", &[("user_code", &code), ("answer", "yes")]).0, 200);
    waiting.end().ok();

    let tokens = plane.path(".config/countersign/tokens.json");
    assert_eq!(std::fs::metadata(&tokens).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(tokens.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let me = person(&plane, &["whoami"]).ok().json();
    assert_eq!((text(&me, "kind"), text(&me, "name")), ("user".into(), "owner@localhost".into()));
    let made = person(&plane, &["apikey", "create", "--name", "mine"]).ok().json();
    assert_eq!(plane.get(&text(&made, "secretKey"), "/hello").0, 200);

    // A minute before its end a token is renewed: here it is told to be old.
    let kept = std::fs::read_to_string(&tokens).unwrap();
    let mut value: Value = serde_json::from_str(&kept).unwrap();
    value.as_object_mut().unwrap().values_mut().for_each(|one| one["expiry"] = 1.into());
    std::fs::write(&tokens, value.to_string()).unwrap();
    let both: Vec<Child> = (0..4).map(|_| command(&plane, &["whoami"]).spawn().unwrap()).collect();
    for child in both {
        Answer::of(child.wait_with_output().unwrap()).ok();
    }
    assert_ne!(std::fs::read_to_string(&tokens).unwrap(), kept, "renewed once, by one of four");

    let sessions = person(&plane, &["session", "list"]).ok().json();
    let sessions = sessions["items"].as_array().cloned().unwrap_or_default();
    assert!(sessions.iter().any(|s| s["current"] == true && s["kind"] == "tool"), "{sessions:?}");
    person(&plane, &["logout"]).ok();
    assert!(!tokens.exists());
    person(&plane, &["whoami"]).refused("unauthenticated");
    let old: Value = serde_json::from_str(&kept).unwrap();
    let access = old.as_object().unwrap().values().next().unwrap()["access_token"].as_str().unwrap();
    let url = format!("https://{}/api/v1/account", plane.var("COUNTERSIGN_SERVER"));
    assert_eq!(plane.curl(&["-H", &format!("Authorization: Bearer {access}"), &url]).0, 401);
    for secret in [access, "csr_", "csb_"] {
        assert!(!plane.log().contains(secret), "{secret} is in the log");
    }
}

#[test]
fn a_session_that_an_admin_ends_is_over_for_its_tool() {
    let plane = Plane::start();
    sign_in(&plane);
    let (waiting, code) = begin(&plane);
    form(&plane, "/device", &[("user_code", &code), ("answer", "yes")]);
    waiting.end().ok();
    let sessions = plane.cli(&["session", "list"]).ok().json();
    let tool = sessions["items"].as_array().unwrap().iter().find(|s| s["kind"] == "tool").unwrap().clone();
    plane.cli(&["session", "end", "--id", &text(&tool, "id"), "--auto-confirm"]).ok();
    let said = person(&plane, &["whoami"]);
    said.refused("unauthenticated");
    assert!(said.stderr.contains("the login has ended"), "{said:?}");
}

#[test]
fn a_refused_login_says_so() {
    let plane = Plane::start();
    sign_in(&plane);
    let (waiting, code) = begin(&plane);
    assert_eq!(form(&plane, "/device", &[("user_code", &code), ("answer", "no")]).0, 200);
    waiting.end().refused("login_denied");
}

/// `serve` in a directory, until it is killed.
pub struct Served {
    child: Child,
    /// `host:port` of the control plane.
    pub control: String,
    /// What it printed until it was ready.
    pub said: String,
}

impl Served {
    pub fn start(dir: &Path, settings: &str, args: &[&str]) -> Self {
        Self::start_at(dir, 0, settings, args)
    }

    pub fn start_at(dir: &Path, port: u16, settings: &str, args: &[&str]) -> Self {
        let file = dir.join("serve.toml");
        let common = format!(
            "storage = \"sqlite:{}\"\ncontrol.listen = \"127.0.0.1:{port}\"\ngateway.listen = \"127.0.0.1:0\"\nmetrics.listen = \"127.0.0.1:0\"\n{settings}",
            dir.join("data").display()
        );
        std::fs::write(&file, common).unwrap();
        let mut child = Command::new(binary())
            .args(["serve", "--config"])
            .arg(&file)
            .args(args)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // All of it is written at once when it is ready.
        let mut out = child.stdout.take().unwrap();
        let mut said = String::new();
        let deadline = std::time::Instant::now() + PATIENCE;
        let mut bytes = [0_u8; 4096];
        while !said.contains("CA of both ports") {
            assert!(std::time::Instant::now() < deadline, "serve is not ready: {said}");
            let n = out.read(&mut bytes).unwrap();
            assert!(n > 0, "serve ended: {said}");
            said.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
        let control = said.split_once("control plane 127.0.0.1:").unwrap().1.split_once(',').unwrap().0;
        Self { control: format!("localhost:{control}"), said, child }
    }

    /// The status, and the body, of a request by curl with a jar of cookies.
    pub fn curl(&self, dir: &Path, args: &[&str], path: &str) -> (u16, String) {
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "20", "-b", "jar", "-c", "jar", "-w", "\n%{http_code}", "--cacert", "data/ca.pem"])
            .args(["-H", &format!("Origin: https://{}", self.control)])
            .args(args)
            .arg(format!("https://{}{path}", self.control))
            .current_dir(dir)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap_or(0), body.to_owned())
    }

    /// The address at which an owner sets his password, if one was printed.
    pub fn invitation(&self) -> Option<&str> {
        Some(self.said.split_once("/invitation?code=")?.1.split_whitespace().next().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_owner_of_serve_sets_a_password_at_the_printed_address() {
    let dir = tempfile::tempdir().unwrap();
    let settings = "login.require_second_factor = \"none\"\n";
    let served = Served::start(dir.path(), settings, &[]);
    let code = served.invitation().expect("an address is printed").to_owned();
    let page = served.curl(dir.path(), &[], &format!("/invitation?code={code}"));
    assert!(page.0 == 200 && page.1.contains("owner@localhost"), "{page:?}");
    let password = "correct horse battery";
    let fields = [format!("code={code}"), format!("password={password}"), format!("again={password}")];
    let args: Vec<&str> = fields.iter().flat_map(|field| ["--data-urlencode", field]).collect();
    assert_eq!(served.curl(dir.path(), &args, "/invitation").0, 303);
    assert!(served.curl(dir.path(), &[], "/security").1.contains("owner@localhost"));
    let key = dir.path().join("data/master.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    drop(served);
    // Once an owner can log in, no address is printed unasked; the session outlives the restart.
    let lock = dir.path().join("data/lock");
    eventually("the directory is free", || !lock.exists() || std::fs::File::open(&lock).is_ok());
    let again = Served::start(dir.path(), settings, &[]);
    assert!(again.invitation().is_none(), "{}", again.said);
    drop(again);
    let asked = Served::start(dir.path(), settings, &["--login-link"]);
    assert!(asked.invitation().is_some(), "{}", asked.said);
}
