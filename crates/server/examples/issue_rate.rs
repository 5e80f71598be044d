//! Certificates issued a second, each durable and in the audit trail, beside what the processor could sign: `issue_rate DIRECTORY SECONDS`.
//! Requests go through the router of a whole control plane on a store in DIRECTORY, so that everything counts but the network.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use axum::body::Body;
use axum::http::Request;
use countersign_core::Timestamp;
use countersign_core::name::Hostname;
use countersign_core::namespace::Upstream;
use countersign_server::{App, Clock, Sealer, Settings, bootstrap};
use countersign_store::Store;
use countersign_testkit::{Chance, real_now};
use countersign_x509::private_key::{KeyKind, LocalKey};
use countersign_x509::request;
use countersign_x509::subject::Subject;
use http_body_util::BodyExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tower::ServiceExt as _;

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        real_now()
    }
}

/// Signatures a second by the issuer's kind of key, on every core at once.
fn signing_limit(cores: usize) -> f64 {
    let counts: Vec<_> = (0..cores)
        .map(|_| {
            std::thread::spawn(|| {
                let key = LocalKey::generate(KeyKind::P256).unwrap();
                let subject = Subject::parse("/O=Bench/CN=limit").unwrap();
                let begun = Instant::now();
                let mut signed = 0_u32;
                // A request is a signature and little else.
                while begun.elapsed() < Duration::from_secs(2) {
                    request::build_pem(&key, &subject, &[]).unwrap();
                    signed += 1;
                }
                f64::from(signed) / begun.elapsed().as_secs_f64()
            })
        })
        .collect();
    counts.into_iter().map(|thread| thread.join().unwrap()).sum()
}

/// Durable writes of one page a second: the floor of every transaction.
fn sync_limit(directory: &std::path::Path) -> f64 {
    use std::io::{Seek as _, Write as _};
    let mut file = std::fs::File::create(directory.join("sync")).unwrap();
    let begun = Instant::now();
    let mut count = 0_u32;
    while begun.elapsed() < Duration::from_secs(1) {
        file.rewind().unwrap();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}

/// Seconds of processor this process has had, which other work on the machine does not change much.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit(')').next().unwrap();
    // utime and stime, in ticks of which there are a hundred a second (proc(5)).
    after.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [directory, seconds] = words.as_slice() else { return println!("issue_rate DIRECTORY SECONDS") };
    let seconds = Duration::from_secs(seconds.parse().unwrap());
    let directory = std::path::Path::new(directory);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let store = Store::open(&directory.join("store")).await.unwrap();
    let settings = Settings {
        gateway_domain: Hostname::parse("gw.test").unwrap(),
        gateway_address: "127.0.0.1:7233".to_owned(),
        gateway_port: 7233,
        control_hosts: vec!["localhost".to_owned()],
        default_upstream: None,
        server_ca: String::new(),
        upstreams: countersign_core::upstream_policy::UpstreamPolicy { local: true, ..Default::default() },
        regions: vec![countersign_server::app::regions::region("local")],
    };
    let app = App::start(store, Arc::new(Now), Arc::new(Chance), settings).await.unwrap();
    app.use_master_key(Sealer::new([7; 32], Arc::new(Chance))).await.unwrap();
    let upstream = Upstream::parse("http://127.0.0.1:1").unwrap();
    let made = bootstrap::dev_setup(&app, upstream, vec![Hostname::parse("gw.test").unwrap()], None).await.unwrap();
    app.ensure_issuers().await.unwrap();
    // One owner makes them all here, which a limit would end.
    app.use_certificate_limit(0);
    let owner: Arc<str> = made.owner_key.expose().into();
    let router = app.router();

    let limit = signing_limit(cores);
    let synced = sync_limit(directory);
    println!("{cores} cores: {limit:.0} signatures/s by P-256; {synced:.0} durable writes/s");
    let number = Arc::new(AtomicUsize::new(0));
    for at_once in [1, 8, 64] {
        let requests: Vec<String> = {
            let mut made = Vec::new();
            // Made before the clock runs: clients pay for their own keys.
            for _ in 0..(seconds.as_secs() as usize * 3000).min(20_000) {
                let name = format!("/O=Bench/CN=c{}", number.fetch_add(1, Ordering::Relaxed));
                let key = LocalKey::generate(KeyKind::P256).unwrap();
                let pem = request::build_pem(&key, &Subject::parse(&name).unwrap(), &[]).unwrap();
                made.push(serde_json::json!({"csr": pem}).to_string());
            }
            made
        };
        let requests = Arc::new(requests);
        let next = Arc::new(AtomicUsize::new(0));
        let done = Arc::new(AtomicUsize::new(0));
        let used = processor();
        let begun = Instant::now();
        let tasks: Vec<_> = (0..at_once)
            .map(|_| {
                let (router, owner, requests, next, done) =
                    (router.clone(), Arc::clone(&owner), Arc::clone(&requests), Arc::clone(&next), Arc::clone(&done));
                tokio::spawn(async move {
                    while begun.elapsed() < seconds {
                        let Some(body) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                        let request = Request::post("/api/v1/certificates")
                            .header("host", "localhost")
                            .header("authorization", format!("Bearer {owner}"))
                            .header("content-type", "application/json")
                            .body(Body::from(body.clone()))
                            .unwrap();
                        let response = router.clone().oneshot(request).await.unwrap();
                        let status = response.status();
                        let bytes = response.into_body().collect().await.unwrap().to_bytes();
                        assert!(status.is_success(), "{status} {}", String::from_utf8_lossy(&bytes));
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let used = 1e3 * (processor() - used) / done.load(Ordering::Relaxed) as f64;
        let rate = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
        println!(
            "{at_once:>3} at once: {rate:.0} certificates/s, {:.1} % of the signing limit, {:.0} % of the durable writes, {used:.2} ms of processor each",
            100.0 * rate / limit,
            100.0 * rate / synced
        );
    }
}
