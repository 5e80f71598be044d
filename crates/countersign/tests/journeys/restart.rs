//! `serve` is restarted under load: the following process takes the sockets over, and nobody notices.

use crate::plane::{Answer, PATIENCE, binary, eventually};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// An upstream that answers `ok`, and for `/slow` a piece at a time until it is let go on.
struct Upstream {
    address: SocketAddr,
    go_on: Arc<AtomicBool>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, go_on) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let over = Arc::clone(&go_on);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let over = Arc::clone(&over);
                std::thread::spawn(move || serve(&stream, &over));
            }
        });
        Self { address, go_on }
    }
}

fn serve(mut stream: &TcpStream, over: &AtomicBool) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream);
    loop {
        let (mut first, mut line) = (String::new(), String::new());
        lines.read_line(&mut first)?;
        while line != "\r\n" {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
        }
        if !first.contains(" /slow") {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
            continue;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        while !over.load(Relaxed) {
            stream.write_all(b"1\r\nx\r\n")?;
            std::thread::sleep(Duration::from_millis(20));
        }
        stream.write_all(b"3\r\nend\r\n0\r\n\r\n")?;
    }
}

struct Served {
    child: Child,
    control: String,
    gateway: SocketAddr,
    /// From the start of the process until it served.
    took: Duration,
}

impl Served {
    fn begin(dir: &Path) -> Child {
        let file = dir.join("serve.toml");
        let settings = format!(
            "storage = \"sqlite:{}\"\ncontrol.listen = \"127.0.0.1:0\"\ngateway.listen = \"127.0.0.1:0\"\nmetrics.listen = \"127.0.0.1:0\"\ngateway.local_upstreams = \"true\"\n",
            dir.join("data").display()
        );
        std::fs::write(&file, settings).unwrap();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
        let mut command = Command::new(binary());
        command.args(["serve", "--config"]).arg(&file).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command.spawn().unwrap()
    }

    fn ready(mut child: Child, begun: Instant) -> Self {
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !said.contains("CA of both ports") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "serve ended: {said}");
        }
        let of = |name: &str| said.split_once(name).unwrap().1.split_once(',').unwrap().0.parse::<SocketAddr>().unwrap();
        let (control, gateway) = (of("control plane "), of("gateway "));
        Self { child, control: format!("localhost:{}", control.port()), gateway, took: begun.elapsed() }
    }

    fn start(dir: &Path) -> Self {
        let begun = Instant::now();
        Self::ready(Self::begin(dir), begun)
    }

    fn terminate(&self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// How it ends, within patience.
    fn ends(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn cli(&self, dir: &Path, args: &[&str]) -> Answer {
        let key = std::fs::read_to_string(dir.join("data/first-owner.env")).unwrap();
        let mut command = Command::new(binary());
        command
            .args(args)
            .env_clear()
            .env("HOME", dir)
            .env("COUNTERSIGN_SERVER", &self.control)
            .env("COUNTERSIGN_CA_CERT", dir.join("data/ca.pem"))
            .env("COUNTERSIGN_API_KEY", key.trim().split_once('=').unwrap().1)
            .stdin(Stdio::null());
        Answer::of(command.output().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A namespace that takes keys, its host, and a key for it.
fn set_up(served: &Served, dir: &Path, upstream: &Upstream) -> (String, String, String) {
    let made = served
        .cli(
            dir,
            &[
                "namespace",
                "create",
                "--namespace",
                "app",
                "--upstream",
                &format!("http://{}", upstream.address),
                "--auth-method",
                "api_key",
            ],
        )
        .ok();
    drop(made);
    let namespaces = served.cli(dir, &["-o", "json", "namespace", "list"]).ok().stdout;
    let host = namespaces.split('"').find(|text| text.starts_with("app.") && text.ends_with(".localhost")).expect(&namespaces).to_owned();
    let key = served.cli(dir, &["-o", "json", "apikey", "create", "--name", "k", "--duration", "1d"]).ok().json();
    (host, key["id"].as_str().unwrap().to_owned(), key["secretKey"].as_str().unwrap().to_owned())
}

fn client(dir: &Path, host: &str, gateway: SocketAddr, idle: usize, h1: bool) -> reqwest::Client {
    let ca = std::fs::read(dir.join("data/ca.pem")).unwrap();
    let builder = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
        .resolve(host, gateway)
        .timeout(10 * PATIENCE)
        .pool_max_idle_per_host(idle);
    if h1 { builder.http1_only() } else { builder }.build().unwrap()
}

/// Requests that begin at their time whatever became of those before: how many, and what went wrong.
async fn load(clients: Vec<reqwest::Client>, url: String, key: String, over: Arc<AtomicBool>, done: Arc<AtomicUsize>) -> Vec<String> {
    // An interval that is late makes up for it: the rate holds.
    let mut beat = tokio::time::interval(Duration::from_millis(5));
    let mut asked = tokio::task::JoinSet::new();
    let mut n = 0;
    while !over.load(Relaxed) {
        beat.tick().await;
        let (request, done) = (clients[n % clients.len()].get(&url).bearer_auth(&key), Arc::clone(&done));
        n += 1;
        asked.spawn(async move {
            let answer = async { request.send().await?.error_for_status()?.text().await };
            let answer = answer.await;
            done.fetch_add(1, Relaxed);
            match answer {
                Ok(text) if text == "ok" => None,
                Ok(text) => Some(text),
                Err(error) => Some(format!("{error:?}")),
            }
        });
    }
    asked.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_serve_refuses_no_request_and_cuts_no_download() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let upstream = Upstream::start();
    let mut old = Served::start(dir);
    let (host, key_id, key) = set_up(&old, dir, &upstream);
    let url = |path: &str| format!("https://{host}:{}{path}", old.gateway.port());
    let kept = client(dir, &host, old.gateway, 8, true);
    let mut slow = kept.get(url("/slow")).bearer_auth(&key).send().await.unwrap();
    assert_eq!(slow.chunk().await.unwrap().unwrap(), "x");

    // New connections for each request, kept ones, and HTTP/2.
    let clients = vec![client(dir, &host, old.gateway, 0, true), kept, client(dir, &host, old.gateway, 8, false)];
    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load = tokio::spawn(load(clients, url("/"), key.clone(), Arc::clone(&over), Arc::clone(&done)));
    let passed = |more: usize| {
        let until = done.load(Relaxed) + more;
        eventually("requests pass", || done.load(Relaxed) >= until);
    };
    passed(100);
    let begun = Instant::now();
    old.terminate();
    let new = tokio::task::block_in_place(|| Served::ready(Served::begin(dir), begun));
    assert_eq!((new.gateway, &new.control), (old.gateway, &old.control), "the sockets are the same");
    tokio::task::block_in_place(|| passed(100));
    assert!(old.child.try_wait().unwrap().is_none(), "the old process goes on with its download, {:?} after the new one", new.took);
    assert_eq!(slow.chunk().await.unwrap().unwrap(), "x");

    // What the new process revokes ends in the old one too, and the answer waits for that.
    let other = tokio::task::block_in_place(|| new.cli(dir, &["namespace", "list"]).ok());
    drop(other);
    upstream.go_on.store(true, Relaxed);
    let mut rest = String::new();
    while let Some(piece) = slow.chunk().await.unwrap() {
        rest.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(rest.ends_with("end"), "{rest}");
    assert!(tokio::task::block_in_place(|| old.ends()).success());
    tokio::task::block_in_place(|| passed(100));
    over.store(true, Relaxed);
    let failed = load.await.unwrap();
    assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), done.load(Relaxed), failed.first());
    let answer = tokio::task::block_in_place(|| new.cli(dir, &["--auto-confirm", "apikey", "delete", "--id", &key_id]));
    drop(answer.ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_after_a_restart_ends_what_the_old_process_still_sends() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let upstream = Upstream::start();
    let mut old = Served::start(dir);
    let (host, key_id, key) = set_up(&old, dir, &upstream);
    let kept = client(dir, &host, old.gateway, 8, true);
    let mut slow = kept.get(format!("https://{host}:{}/slow", old.gateway.port())).bearer_auth(&key).send().await.unwrap();
    assert!(slow.chunk().await.unwrap().is_some());
    old.terminate();
    let new = tokio::task::block_in_place(|| Served::start(dir));
    assert!(slow.chunk().await.unwrap().is_some());
    let answer =
        tokio::task::block_in_place(|| new.cli(dir, &["--auto-confirm", "-o", "json", "apikey", "delete", "--id", &key_id])).ok().json();
    let receipt = &answer["requestStatus"]["receipt"];
    assert_eq!(receipt["inEffect"], true, "{answer}");
    assert_eq!(receipt["gateways"].as_array().map(Vec::len), Some(2), "{answer}");
    let ended = loop {
        match slow.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(ended, "it did not go on to its end");
    assert!(tokio::task::block_in_place(|| old.ends()).success());
}

#[test]
fn a_following_process_waits_for_the_one_before_it_and_takes_its_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let mut old = Served::start(dir.path());
    let (begun, next) = (Instant::now(), Served::begin(dir.path()));
    eventually("the following process says what it waits for", || {
        std::fs::read_to_string(dir.path().join("log")).unwrap_or_default().contains("is held by process")
    });
    old.terminate();
    let new = Served::ready(next, begun);
    assert_eq!(new.gateway, old.gateway);
    assert!(old.ends().success());
    assert!(new.cli(dir.path(), &["whoami"]).code == 0);
}

#[test]
fn a_server_that_nobody_follows_ends_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::start(dir.path());
    let mut idle = TcpStream::connect(served.gateway).unwrap();
    served.terminate();
    assert!(served.ends().success());
    let mut bytes = [0; 1];
    assert!(matches!(idle.read(&mut bytes), Ok(0) | Err(_)));
    // And a next one finds everything free.
    drop(served);
    Served::start(dir.path());
}
