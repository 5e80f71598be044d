//! A running `countersign dev` in a directory of its own, and the clients that try it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest any single step may take before a test calls it broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Plane {
    child: Child,
    pub env: BTreeMap<String, String>,
    directory: TempDir,
    log: PathBuf,
}

/// What a command answered.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The JSON on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Refused with this code on stderr, exit code 1, nothing on stdout.
    #[track_caller]
    pub fn refused(&self, code: &str) {
        assert_eq!(self.code, 1, "{self:?}");
        assert!(self.stderr.contains(code), "{code} is not in {self:?}");
        assert!(self.stdout.is_empty(), "{self:?}");
    }
}

pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_countersign")
}

/// Starts `dev` over a directory and waits for its word that it is ready.
fn spawn(data: &Path, log: &Path) -> (Child, Duration) {
    spawn_command(Command::new(binary()), data, log)
}

fn spawn_command(mut command: Command, data: &Path, log: &Path) -> (Child, Duration) {
    let begun = Instant::now();
    let stderr = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut child = command
        .args(["dev", "--control", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("Countersign is ready") {
        line.clear();
        if lines.read_line(&mut line).unwrap() == 0 {
            panic!("dev ended before it was ready: {}", std::fs::read_to_string(log).unwrap_or_default());
        }
    }
    let took = begun.elapsed();
    // What else it prints is kept, so that the pipe never fills and a test can search it.
    let log = log.to_owned();
    std::thread::spawn(move || {
        let mut file = std::fs::OpenOptions::new().append(true).open(log).unwrap();
        let mut rest = lines;
        let _ = std::io::copy(&mut rest, &mut file);
    });
    (child, took)
}

impl Plane {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (data, log) = (directory.path().join("data"), directory.path().join("log"));
        let (child, _) = spawn(&data, &log);
        let env = read_env(&data);
        Self { child, env, directory, log }
    }

    /// The same in a process that may open so many files.
    pub fn start_with_open_files(files: usize) -> Self {
        Self::start_after(&format!("ulimit -n {files}"))
    }

    /// The same in a process that a shell prepared by this line.
    pub fn start_after(line: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (data, log) = (directory.path().join("data"), directory.path().join("log"));
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("{line}; exec \"$0\" \"$@\""), binary()]);
        let (child, _) = spawn_command(limited, &data, &log);
        let env = read_env(&data);
        Self { child, env, directory, log }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Everything the process printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn kill_nine(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn stop(&mut self) -> i32 {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it does not end on SIGTERM");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts again over the same directory; says how long it took.
    pub fn restart(&mut self) -> Duration {
        let (child, took) = spawn(&self.data(), &self.log);
        self.child = child;
        self.env = read_env(&self.data());
        took
    }

    /// The same with these flags.
    pub fn restart_with(&mut self, args: &[&str]) {
        let mut command = Command::new("sh");
        command.args(["-c", "extra=\"$1\"; shift; exec \"$0\" \"$@\" $extra", binary(), &args.join(" ")]);
        let (child, _) = spawn_command(command, &self.data(), &self.log);
        self.child = child;
        self.env = read_env(&self.data());
    }

    pub fn var(&self, name: &str) -> &str {
        self.env.get(name).unwrap_or_else(|| panic!("dev.env has no {name}"))
    }

    pub fn namespace(&self) -> &str {
        self.var("COUNTERSIGN_NAMESPACE")
    }

    /// `https://<demo host>:<port><path>`.
    pub fn url(&self, path: &str) -> String {
        self.url_of(self.namespace(), path)
    }

    pub fn url_of(&self, namespace: &str, path: &str) -> String {
        format!("https://{namespace}.localhost:{}{path}", self.gateway_port())
    }

    pub fn gateway_port(&self) -> &str {
        self.var("COUNTERSIGN_GATEWAY").rsplit(':').next().unwrap()
    }

    /// The client, with `dev.env` in its environment.
    pub fn cli(&self, args: &[&str]) -> Answer {
        self.cli_with(args, &[], "")
    }

    /// The client with more environment and something typed.
    pub fn cli_with(&self, args: &[&str], env: &[(&str, &str)], typed: &str) -> Answer {
        let mut child = Command::new(binary())
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.directory.path())
            .envs(&self.env)
            .envs(env.iter().copied())
            .current_dir(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
        Answer::of(child.wait_with_output().unwrap())
    }

    /// curl with our CA, silent, with the status behind the body on a line of its own.
    pub fn curl(&self, args: &[&str]) -> (u16, String) {
        let output = self.curl_command(args).arg("-w").arg("\n%{http_code}").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap_or(0), body.to_owned())
    }

    pub fn curl_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--max-time", "20", "--cacert", self.var("COUNTERSIGN_CA_CERT")])
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A GET on the demo namespace with this key.
    pub fn get(&self, key: &str, path: &str) -> (u16, String) {
        self.curl(&["-H", &format!("Authorization: Bearer {key}"), &self.url(path)])
    }

    /// A new key of the owner's: id and secret.
    #[track_caller]
    pub fn key(&self, args: &[&str]) -> (String, String) {
        let mut all = vec!["apikey", "create", "--name", "test"];
        all.extend(args);
        let made = self.cli(&all).ok().json();
        (text(&made, "id"), text(&made, "secretKey"))
    }

    /// A CA and a leaf of it, made by the client itself; files `<name>-ca.pem`, `<name>.pem`, `<name>.key`.
    #[track_caller]
    pub fn certificates(&self, name: &str) {
        let (ca, ca_key) = (format!("{name}-ca.pem"), format!("{name}-ca.key"));
        self.cli(&[
            "--auto-confirm",
            "generate-certificates",
            "certificate-authority-certificate",
            "--organization",
            name,
            "--validity-period",
            "90d",
            "--ca-certificate-file",
            &ca,
            "--ca-key-file",
            &ca_key,
        ])
        .ok();
        self.leaf(name, name, &[]);
    }

    /// One more leaf of `ca`.
    #[track_caller]
    pub fn leaf(&self, ca: &str, name: &str, args: &[&str]) {
        let files = [format!("{ca}-ca.pem"), format!("{ca}-ca.key"), format!("{name}.pem"), format!("{name}.key")];
        let mut all = vec![
            "--auto-confirm",
            "generate-certificates",
            "end-entity-certificate",
            "--organization",
            name,
            "--common-name",
            name,
            "--ca-certificate-file",
            &files[0],
            "--ca-key-file",
            &files[1],
            "--certificate-file",
            &files[2],
            "--key-file",
            &files[3],
        ];
        all.extend(args);
        self.cli(&all).ok();
    }

    /// A GET on the demo namespace with the leaf `name`.
    pub fn get_with(&self, name: &str, path: &str) -> (u16, String) {
        self.curl(&["--cert", &format!("{name}.pem"), "--key", &format!("{name}.key"), &self.url(path)])
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_env(data: &Path) -> BTreeMap<String, String> {
    std::fs::read_to_string(data.join("dev.env"))
        .unwrap()
        .lines()
        .filter_map(|l| l.split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

/// A member of an object as text.
#[track_caller]
pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

/// The code of a gateway's refusal.
pub fn refusal(body: &str) -> String {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    json["error"]["code"].as_str().unwrap_or(body).to_owned()
}

/// Asks until it is so, or patience ends.
#[track_caller]
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
