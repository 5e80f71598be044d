//! Login by the company's provider, against a real one: the npm package `oidc-provider`, installed below `target/`. Where it cannot
//! be had, the test says so and is skipped.

use crate::login::Served;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

struct Provider {
    child: Child,
    issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The package, or why it is not here.
fn package() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oidc-provider");
    std::fs::create_dir_all(&place).map_err(|e| e.to_string())?;
    if !place.join("node_modules/oidc-provider/package.json").exists() {
        let installed = Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(&place)
            .arg("oidc-provider@9")
            .output()
            .map_err(|e| format!("npm: {e}"))?;
        if !installed.status.success() {
            return Err(format!("npm install oidc-provider@9 fails: {}", String::from_utf8_lossy(&installed.stderr)));
        }
    }
    let script = place.join("provider.mjs");
    std::fs::write(&script, include_str!("provider/provider.mjs")).map_err(|e| e.to_string())?;
    Ok(script)
}

fn start(script: &Path, redirect: &str, mode: &str) -> Provider {
    let mut child = Command::new("node").arg(script).args([redirect, mode]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut issuer = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut issuer).unwrap();
    // It goes on printing, and ends when nobody takes it.
    std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    Provider { child, issuer: issuer.trim().to_owned() }
}

/// A browser at the provider: follows redirects there, and stops at the one that leads back to us.
fn at_provider(dir: &Path, args: &[&str], url: &str) -> (String, String) {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "20", "-b", "idp", "-c", "idp", "-o", "page", "-w", "%{redirect_url}\n%{url}"])
        .args(args)
        .arg(url)
        .current_dir(dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (next, here) = text.split_once('\n').unwrap();
    if next.starts_with("http://") { at_provider(dir, &[], next) } else { (next.to_owned(), here.to_owned()) }
}

/// Logs in at the provider as `who`: the path of ours that it leads back to.
fn log_in(served: &Served, dir: &Path, who: &str) -> String {
    for jar in ["idp", "jar"] {
        let _ = std::fs::remove_file(dir.join(jar));
    }
    let (status, body) = served.curl(dir, &["-w", "\n%{redirect_url}\n303"], "/login/provider?next=/security");
    let place = body.trim().lines().last().unwrap().to_owned();
    assert!(status == 303 && place.starts_with("http://127.0.0.1:") && place.contains("code_challenge_method=S256"), "{body}");
    let (mut back, mut here) = at_provider(dir, &[], &place);
    for fields in [vec!["-d", "prompt=login", "-d", "password=x", "--data-urlencode"], vec!["-d", "prompt=consent"]] {
        if back.is_empty() {
            let login = format!("login={who}");
            let mut args = fields.clone();
            if args.last() == Some(&"--data-urlencode") {
                args.push(&login);
            }
            (back, here) = at_provider(dir, &args, &here);
        }
    }
    back.strip_prefix(&format!("https://{}", served.control))
        .unwrap_or_else(|| panic!("{who}: {back} {here} {}", std::fs::read_to_string(dir.join("page")).unwrap_or_default()))
        .to_owned()
}

#[test]
fn the_companys_provider_lets_its_people_in_and_nobody_else() {
    let script = match package() {
        Ok(script) => script,
        Err(why) => return countersign_testkit::skipped(&format!("there is no oidc-provider to log in at: {why}")),
    };
    for mode in ["", "in-token"] {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let provider = start(&script, &format!("https://localhost:{port}/login/provider/answer"), mode);
        let settings = format!(
            "[login.oidc]\nissuer = \"{}\"\nclient_id = \"countersign\"\nclient_secret = \"a secret: with+signs&\"\nname = \"Acme\"\n\
             provision = \"domain\"\nallowed_domains = \"acme.test\"\n",
            provider.issuer
        );
        let served = Served::start_at(dir.path(), port, &settings, &[]);
        let page = served.curl(dir.path(), &[], "/login").1;
        assert!(page.contains("Continue with <bdi>Acme</bdi>"), "{page}");

        let back = log_in(&served, dir.path(), "ann@acme.test");
        std::fs::rename(dir.path().join("jar"), dir.path().join("hers")).unwrap();
        let stolen = served.curl(dir.path(), &[], &back);
        assert!(stolen.0 == 403, "another browser has no use of the answer: {stolen:?}");
        let back = log_in(&served, dir.path(), "ann@acme.test");
        let done = served.curl(dir.path(), &[], &back);
        assert!(done.0 == 200 && done.1.contains("You are signed in"), "{done:?}");
        assert!(served.curl(dir.path(), &[], "/security").1.contains("ann@acme.test"));
        assert_eq!(served.curl(dir.path(), &[], &back).0, 403, "an answer is good once");

        for stranger in ["unverified-ben@acme.test", "eve@other.test", "not-a-mail-address"] {
            let back = log_in(&served, dir.path(), stranger);
            let refused = served.curl(dir.path(), &[], &back);
            assert!(refused.0 == 403 && refused.1.contains("no user here"), "{stranger}: {refused:?}");
            assert_eq!(served.curl(dir.path(), &[], "/security").0, 303, "{stranger}");
        }
    }
}
