//! The client at a terminal and its profiles: what is copied is whole, questions are asked, a wrong server is recognised.

use crate::plane::{Answer, Plane, binary, text};
use std::process::{Command, Stdio};

/// The client with nothing in its environment but a terminal of 80 columns, when `script` can make one: what it printed.
fn at_80_columns(plane: &Plane, line: &str) -> Option<String> {
    let command = format!("stty cols 80 rows 24; exec {} {line}", binary());
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh")
        .envs(&plane.env)
        .current_dir(plane.path(""))
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).replace('\r', "")),
        Err(_) => {
            countersign_testkit::skipped("there is no program `script` that makes a terminal");
            None
        }
    }
}

/// The client without `dev.env`, with a configuration directory of its own.
fn bare(plane: &Plane, args: &[&str]) -> Answer {
    let output = Command::new(binary())
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("COUNTERSIGN_CONFIG_DIR", plane.path("config"))
        .current_dir(plane.path(""))
        .stdin(Stdio::null())
        .output();
    Answer::of(output.unwrap())
}

#[test]
fn at_80_columns_a_secret_an_id_and_a_command_are_never_broken_or_padded() {
    let plane = Plane::start();
    let Some(made) = at_80_columns(&plane, "apikey create --name billing --duration 30d") else { return };
    let secret = made.lines().find(|line| line.starts_with("csk_")).unwrap_or_else(|| panic!("no line is the secret: {made:?}"));
    assert_eq!(plane.get(secret, "/hello").0, 200, "what is on one line is the whole secret: {made:?}");
    let keys = plane.cli(&["apikey", "list"]).ok().json();
    let listed = at_80_columns(&plane, "apikey list").unwrap();
    for key in keys["items"].as_array().unwrap() {
        let line = listed.lines().find(|line| line.starts_with(&text(key, "id"))).unwrap_or_else(|| panic!("an id is broken: {listed:?}"));
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    assert!(listed.contains("not shown: ") && listed.contains("(--wide)"), "{listed:?}");
    let wide = at_80_columns(&plane, "--wide apikey list").unwrap();
    assert!(wide.contains("OWNER ID") && wide.contains("owner@localhost") && !wide.contains("not shown"), "{wide:?}");
    let invited = at_80_columns(&plane, "user invite --user-email ann@example.com --account-role read").unwrap();
    assert!(
        invited.lines().any(|line| line.starts_with("https://") && !line.contains(' ')),
        "the address is a line of its own: {invited:?}"
    );
}

#[test]
fn colours_are_colours_and_a_warning_is_yellow() {
    let plane = Plane::start();
    plane.certificates("leaf");
    let Some(said) = at_80_columns(&plane, "explain --certificate leaf.pem") else { return };
    assert!(said.contains("\u{1b}[31mrefused") && !said.contains("\\u{1b}") && !said.contains('\u{fffd}'), "{said:?}");
    let made = plane.cli(&["certificate", "create", "--generate-key", "--alias", "app", "--out-dir", "made"]).ok().json();
    plane.cli(&["certificate", "rotate", "--id", &text(&made, "id"), "--generate-key", "--out-dir", "next"]).ok();
    // The question is answered by nobody: what would be revoked is shown once.
    let asked = at_80_columns(&plane, "certificate revoke --certificate made/app.pem").unwrap();
    assert_eq!((asked.matches("ALIAS").count(), asked.matches("\u{1b}[33mwarning:").count()), (1, 1), "{asked:?}");
    assert!(!asked.contains("\\u{1b}"), "{asked:?}");
}

#[test]
fn taking_access_from_an_api_key_asks_and_says_when_it_is_the_key_in_use() {
    let plane = Plane::start();
    let (id, secret) = plane.key(&[]);
    for verb in ["disable", "delete"] {
        let answer = plane.cli(&["apikey", verb, "--id", &id]);
        answer.refused("not_confirmed");
        assert!(answer.stderr.contains(&id) && !answer.stderr.contains("uses this key"), "{answer:?}");
    }
    assert_eq!(plane.get(&secret, "/").0, 200, "nothing happened");
    let own = plane.var("COUNTERSIGN_API_KEY").split('_').nth(1).unwrap().to_owned();
    let answer = plane.cli_with(&["apikey", "disable", "--id", &own], &[], "n\n");
    answer.refused("not_confirmed");
    assert!(answer.stderr.contains("This command itself uses this key"), "{answer:?}");
    plane.cli_with(&["apikey", "disable", "--id", &id], &[], "y\n").ok();
    assert_eq!(plane.get(&secret, "/").0, 401);
}

#[test]
fn dev_writes_a_profile_that_works_without_sourcing_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let plane = Plane::start_after(&format!("export COUNTERSIGN_CONFIG_DIR={}", directory.path().display()));
    let run = |args: &[&str]| {
        let output =
            Command::new(binary()).args(args).env_clear().env("COUNTERSIGN_CONFIG_DIR", directory.path()).stdin(Stdio::null()).output();
        Answer::of(output.unwrap())
    };
    assert_eq!(text(&run(&["--profile", "dev", "whoami"]).ok().json(), "name"), "owner@localhost");
    assert_eq!(text(&run(&["--profile", "dev", "namespace", "get"]).ok().json(), "namespace"), plane.namespace());
    let listed = run(&["profile", "list"]).ok().json();
    assert_eq!((text(&listed["items"][0], "name"), text(&listed["items"][0], "credential")), ("dev".into(), "api_key".into()));
    assert_eq!(listed["items"][0]["current"], false, "which profile is in use is a person's choice");
    assert!(!run(&["profile", "list"]).stdout.contains("csk_"), "the key is shown nowhere");
    assert!(plane.log().contains("/login?code="), "the address to log in at is printed: {}", plane.log());
}

#[test]
fn a_profile_is_added_used_listed_and_removed() {
    let plane = Plane::start();
    let (server, ca) = (plane.var("COUNTERSIGN_SERVER"), plane.var("COUNTERSIGN_CA_CERT"));
    std::fs::write(plane.path("key"), plane.var("COUNTERSIGN_API_KEY")).unwrap();
    bare(&plane, &["--profile", "prod", "whoami"]).refused("profile_not_found");
    bare(&plane, &["profile", "add", "prod", "--server", server, "--ca-cert", ca, "--api-key-file", "key"]).ok();
    bare(&plane, &["profile", "add", "prod", "--server", server]).refused("already_exists");
    bare(&plane, &["whoami"]).ok();
    bare(&plane, &["profile", "add", "other", "--server", "other.example:1"]).ok();
    bare(&plane, &["profile", "use", "other"]).ok();
    assert_eq!(bare(&plane, &["whoami"]).code, 1, "no credential for that one");
    bare(&plane, &["--profile", "prod", "whoami"]).ok();
    bare(&plane, &["profile", "remove", "prod"]).refused("not_confirmed");
    bare(&plane, &["--auto-confirm", "profile", "remove", "prod"]).ok();
    let listed = bare(&plane, &["profile", "list"]).ok().json();
    assert_eq!((listed["items"].as_array().unwrap().len(), text(&listed["items"][0], "name")), (1, "other".into()));
}

#[test]
fn the_key_of_a_profile_goes_to_its_own_server_and_to_no_other() {
    let (plane, other) = (Plane::start(), Plane::start());
    std::fs::write(plane.path("key"), plane.var("COUNTERSIGN_API_KEY")).unwrap();
    let (server, ca) = (plane.var("COUNTERSIGN_SERVER"), plane.var("COUNTERSIGN_CA_CERT"));
    bare(&plane, &["profile", "add", "prod", "--use", "--server", server, "--ca-cert", ca, "--api-key-file", "key"]).ok();
    let elsewhere = ["--server", other.var("COUNTERSIGN_SERVER"), "--ca-cert", other.var("COUNTERSIGN_CA_CERT"), "whoami"];
    bare(&plane, &elsewhere).refused("unauthenticated");
    bare(&plane, &[&["--profile", "prod"][..], &elsewhere].concat()).refused("unauthenticated");
}

#[test]
fn a_gateway_and_a_metrics_port_are_recognised_as_no_control_plane() {
    let plane = Plane::start();
    for (port, what) in [(plane.gateway_port(), "gateway"), (plane.var("COUNTERSIGN_METRICS").split(['/', ':']).nth(4).unwrap(), "metrics")]
    {
        let answer = plane.cli(&["--server", &format!("localhost:{port}"), "whoami"]);
        answer.refused("not_a_control_plane");
        assert!(answer.stderr.contains(what) && answer.stderr.contains("8443"), "{answer:?}");
    }
}

#[test]
fn a_denial_ends_with_1_and_an_admission_with_0() {
    let plane = Plane::start();
    let (id, _) = plane.key(&[]);
    assert_eq!(plane.cli(&["explain", "--api-key-id", &id]).code, 0);
    plane.cli(&["--auto-confirm", "apikey", "disable", "--id", &id]).ok();
    let denied = plane.cli(&["explain", "--api-key-id", &id]);
    assert_eq!((denied.code, denied.json()["admitted"].clone(), denied.stderr.as_str()), (1, false.into(), ""), "{denied:?}");
}

#[test]
fn a_usage_error_lists_only_what_is_missing() {
    let plane = Plane::start();
    let answer = plane.cli(&["apikey", "create", "--duration", "30d"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    let usage = answer.stderr.lines().find(|line| line.starts_with("Usage:")).unwrap_or_default();
    assert_eq!(usage, "Usage: countersign apikey create --name <NAME> [OPTIONS]", "{answer:?}");
    for wrong in ["portal", "config", "prfile"] {
        let said = plane.cli(&[wrong]).stderr;
        assert!(!said.contains("'r'") && !said.contains("'n'"), "{wrong}: {said}");
    }
    assert!(plane.cli(&["prfile"]).stderr.contains("'profile'"));
}

#[test]
fn completions_are_small_and_complete_ids_from_the_server() {
    let plane = Plane::start();
    for shell in ["bash", "zsh", "fish"] {
        assert!(plane.cli(&["completions", shell]).ok().stdout.len() < 100_000, "{shell}");
    }
    assert!(plane.cli(&["completions", "--help"]).ok().stdout.contains("countersign completions bash >"));
    let (id, _) = plane.key(&["--description", "complete me"]);
    let found = plane.cli(&["complete", "--", "apikey", "get", "--id", &id[..3]]).ok().stdout;
    assert!(found.lines().any(|line| line == format!("{id}\ttest")), "{found}");
    let script = plane.cli(&["completions", "bash"]).ok().stdout;
    std::fs::write(plane.path("complete.bash"), script).unwrap();
    let line = format!(
        ". ./complete.bash; COMP_WORDS=({} apikey get --id {}); COMP_CWORD=4; _countersign; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        binary(),
        &id[..3]
    );
    let output = Command::new("bash").args(["-c", &line]).envs(&plane.env).current_dir(plane.path("")).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).lines().any(|line| line == id), "{output:?}");
    // Nothing is said on a line that is being typed, also where no server answers.
    let away = plane.cli(&["complete", "--", "--server", "localhost:1", "apikey", "get", "--id", ""]).ok();
    assert_eq!((away.stdout.as_str(), away.stderr.as_str()), ("", ""));
}

#[test]
fn out_writes_the_certificates_file_and_out_dir_a_folder() {
    let plane = Plane::start();
    let csr = |name: &str| {
        let line =
            format!("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr");
        let made = Command::new("openssl").args(line.split(' ')).current_dir(plane.path("")).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    csr("one");
    let made = plane.cli(&["certificate", "create", "--csr", "one.csr", "--out", "one.pem"]).ok().json();
    assert_eq!(made["files"], serde_json::json!(["one.pem"]));
    assert!(plane.path("one.pem").is_file() && !plane.path("one.ca.pem").exists());
    csr("two");
    plane.cli(&["certificate", "create", "--csr", "two.csr", "--out-dir", "folder"]).ok();
    assert!(plane.path("folder/two.pem").is_file() && plane.path("folder/two.ca.pem").is_file());
    plane.cli(&["certificate", "create", "--generate-key", "--alias", "three", "--out", "sub/three.pem"]).ok();
    assert!(plane.path("sub/three.pem").is_file() && plane.path("sub/three.key").is_file());
    let id = text(&made, "id");
    plane.cli(&["certificate", "rotate", "--id", &id, "--generate-key", "--out", "next.pem"]).ok();
    assert!(plane.path("next.pem").is_file() && plane.path("next.key").is_file());
    let wrong = plane.cli(&["certificate", "create", "--generate-key", "--alias", "four", "--out", "folder"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("--out-dir folder"), "{wrong:?}");
}

#[test]
fn doctor_does_not_warn_about_the_file_that_certificate_create_made() {
    let plane = Plane::start();
    let permission = format!("{}=write", plane.namespace());
    plane.cli(&["application", "create", "--name", "shop", "--sandbox-permission", &permission]).ok();
    let order = ["certificate", "create", "--application", "shop", "--environment", "sandbox", "--alias", "till", "--generate-key"];
    plane.cli(&[&order[..], &["--out-dir", "till"]].concat()).ok();
    let host = format!("{}.localhost:{}", plane.namespace(), plane.gateway_port());
    let files = ["--certificate", "till/till.pem", "--key", "till/till.key", "--no-api-key"];
    let connect = ["--connect", plane.var("COUNTERSIGN_GATEWAY")];
    let report = plane.cli(&[&["doctor", &host][..], &files, &connect].concat()).ok().json();
    let own = report["steps"].as_array().unwrap().iter().find(|step| step["step"] == "own certificate").unwrap().clone();
    assert_eq!(own["result"], "ok", "{own}");
}

#[test]
fn requests_and_keys_are_listed_and_owners_have_names() {
    let plane = Plane::start();
    let (id, _) = plane.key(&[]);
    let requests = plane.cli(&["request", "list"]).ok().json();
    let newest = &requests["items"][0];
    assert_eq!((text(newest, "operationType"), text(newest, "resourceId")), ("CreateApiKey".into(), id.clone()), "{requests}");
    plane.cli(&["request", "get", "--request-id", &text(newest, "requestId")]).ok();
    plane.certificates("leaf");
    let made = plane.cli(&["key", "create", "--certificate", "leaf.pem"]).ok().json();
    let keys = plane.cli(&["key", "list"]).ok().json();
    assert_eq!((text(&keys["items"][0], "id"), text(&keys["items"][0], "ownerName")), (text(&made, "id"), "owner@localhost".into()));
    let key = plane.cli(&["apikey", "get", "--id", &id]).ok().json();
    assert_eq!(text(&key, "ownerName"), "owner@localhost");
    // One page after the other shows each request once.
    let first = plane.cli(&["request", "list", "--page-size", "1"]).ok().json();
    let second = plane.cli(&["request", "list", "--page-size", "1", "--page-token", &text(&first, "nextPageToken")]).ok().json();
    assert_ne!(first["items"][0]["requestId"], second["items"][0]["requestId"]);
}

#[test]
fn serve_without_a_settings_file_says_where_it_looked() {
    let plane = Plane::start();
    let printed = plane.cli(&["serve", "--print-config"]).ok().stdout;
    assert!(printed.starts_with("# Settings: ") && printed.contains("--config"), "{printed}");
}
