//! Every statement, prepared on every engine that is on this machine.

use super::House;
use crate::{migrations, statements};
use countersign_testkit::skipped;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[tokio::test]
async fn every_statement_prepares_on_sqlite() {
    let house = House::new().await;
    let connection = rusqlite::Connection::open(house.data().join("countersign.db")).unwrap();
    for (noun, name, sql) in statements::all() {
        let prepared = connection.prepare(sql);
        assert!(prepared.is_ok(), "{noun}::{name}: {:?}\n{sql}", prepared.err());
        assert!(!sql.contains('?') && !sql.contains("now()") && !sql.contains('{'), "{noun}::{name} keeps to the portable text");
    }
}

/// What an issuance asks for each time must not be read from all that there is.
#[tokio::test]
async fn what_an_issuance_looks_up_has_an_index_of_its_own() {
    let house = House::new().await;
    let connection = rusqlite::Connection::open(house.data().join("countersign.db")).unwrap();
    for (name, index) in [
        ("OF_NAME", "certificate_name"),
        ("OF_LOOK", "certificate_look"),
        ("OF_KEY", "certificate_key"),
        ("ACTIVE_OF", "certificate_active_of"),
    ] {
        let (_, _, sql) = statements::all().find(|(noun, found, _)| *noun == "certificate" && *found == name).unwrap();
        let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = explained.raw_query();
        let mut plan = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            plan.push(row.get::<_, String>("detail").unwrap());
        }
        assert!(plan.iter().any(|line| line.contains(&format!("INDEX {index} "))), "{name}: {plan:?}");
    }
}

/// Each filter of the trail has an index, in both orders, and so has time.
#[tokio::test]
async fn no_filter_of_the_trail_reads_all_of_it() {
    let house = House::new().await;
    let connection = rusqlite::Connection::open(house.data().join("countersign.db")).unwrap();
    let indexes = [
        ("ACTOR", "audit_actor"),
        ("OBJECT", "audit_object"),
        ("OPERATION", "audit_operation"),
        ("RESULT", "audit_refused"),
        ("ACTION", "audit_action"),
        ("KIND", "audit_kind"),
    ];
    let narrowed = indexes
        .iter()
        .flat_map(|(name, index)| [format!("ASCENDING_OF_{name}"), format!("DESCENDING_OF_{name}")].map(|name| (name, *index)));
    for (name, index) in narrowed.chain([("BOUNDS".to_owned(), "audit_time")]) {
        let (_, _, sql) = statements::all().find(|(noun, found, _)| *noun == "audit" && *found == name).unwrap();
        let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = explained.raw_query();
        let mut plan = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            plan.push(row.get::<_, String>("detail").unwrap());
        }
        assert!(
            plan.iter().any(|line| line.contains(&format!("INDEX {index} "))) && !plan.iter().any(|line| line.contains("TEMP")),
            "{name}: {plan:?}"
        );
    }
}

/// The newest PostgreSQL on the machine.
fn postgresql() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin")).collect();
    found.sort();
    found.into_iter().rev().find(|bin| ["initdb", "pg_ctl", "psql"].iter().all(|tool| bin.join(tool).exists()))
}

/// PostgreSQL refuses to run as root; its own user stands in then.
fn unprivileged(root: bool, program: &Path) -> Command {
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

struct Server {
    bin: PathBuf,
    root: bool,
    place: tempfile::TempDir,
}

impl Server {
    fn start(bin: PathBuf) -> Result<Self, String> {
        let place = tempfile::tempdir().unwrap();
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
        let server = Self { bin, root, place };
        let data = server.place.path().join("pg");
        server.run("initdb", &["-A", "trust", "-U", "test", "-E", "UTF8", "--locale=C.UTF-8", "-D", data.to_str().unwrap()], "")?;
        let options = format!("-c listen_addresses='' -c fsync=off -k {}", server.place.path().display());
        let log = server.place.path().join("log");
        server.run("pg_ctl", &["-w", "-D", data.to_str().unwrap(), "-l", log.to_str().unwrap(), "-o", &options, "start"], "")?;
        Ok(server)
    }

    fn run(&self, tool: &str, arguments: &[&str], input: &str) -> Result<String, String> {
        let script = self.place.path().join("input.sql");
        std::fs::write(&script, input).unwrap();
        let output = unprivileged(self.root, &self.bin.join(tool))
            .args(arguments)
            .current_dir(self.place.path())
            .stdin(Stdio::from(std::fs::File::open(&script).unwrap()))
            // A server that goes on running must not hold these pipes: its own output goes to its log.
            .output()
            .map_err(|error| error.to_string())?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    fn sql(&self, text: &str) -> Result<String, String> {
        let socket = self.place.path().to_str().unwrap();
        self.run("psql", &["-X", "-q", "-h", socket, "-U", "test", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-f", "-"], text)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.place.path().join("pg");
        let _ = self.run("pg_ctl", &["-w", "-m", "immediate", "-D", data.to_str().unwrap_or_default(), "stop"], "");
    }
}

#[test]
fn every_statement_prepares_on_postgresql() {
    let Some(bin) = postgresql() else {
        return skipped("no PostgreSQL under /usr/lib/postgresql, so the portable text was not tried on one");
    };
    let server = match Server::start(bin) {
        Ok(server) => server,
        Err(error) => return skipped(&format!("PostgreSQL is here and does not start: {error}")),
    };
    let mut schema = format!("{};\n", migrations::VERSION_TABLE);
    for text in migrations::STEPS.iter().flat_map(|step| step.iter()) {
        writeln!(schema, "{};", migrations::spelled(text, "BYTEA", "TEXT COLLATE \"C\"")).unwrap();
    }
    server.sql(&schema).unwrap();
    let mut prepares = String::new();
    for (noun, name, sql) in statements::all() {
        writeln!(prepares, "PREPARE {noun}_{} AS {sql};", name.to_lowercase()).unwrap();
    }
    server.sql(&prepares).unwrap();
}
