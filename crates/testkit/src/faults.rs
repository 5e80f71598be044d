//! A store that fails where a test says: from a second connection to its file, by SQLite's own means, so that nothing that ships
//! knows of it. It must not learn what the statements are for; that is the test's.

use rusqlite::{Connection, ErrorCode};
use std::path::Path;
use std::time::{Duration, Instant};

/// So long the store's own writer may keep the file before a test counts as broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a fault stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// For the transaction it meets; what follows because of it goes through.
    Once,
    /// Until [`Faults::mend`]: what is to clean up fails as well.
    UntilMended,
}

/// The faults of one store. Its own tables begin with `fault_` and are taken out again by [`Faults::mend`].
#[derive(Debug)]
pub struct Faults {
    connection: Connection,
    hidden: Vec<String>,
}

impl Faults {
    /// For the store in this data directory, which stays open meanwhile.
    pub fn of(data: &Path) -> Self {
        let connection = Connection::open(data.join("countersign.db")).unwrap();
        // Waiting here would keep the store's own tasks, of the same thread, from ending what is waited for.
        connection.busy_timeout(Duration::ZERO).unwrap();
        Self { connection, hidden: Vec::new() }
    }

    async fn run(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.connection.execute_batch(text) {
            assert!(error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline, "{text}: {error}");
            tokio::task::yield_now().await;
        }
    }

    fn texts(&mut self, text: &str) -> Vec<String> {
        let mut statement = self.connection.prepare(text).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Changes something that no product path does, where nothing else writes at the moment.
    pub fn change(&mut self, text: &str) {
        self.connection.execute_batch(text).unwrap();
    }

    /// The same, where another may write; whether it was done.
    pub fn try_change(&mut self, text: &str) -> bool {
        self.connection.execute_batch(text).is_ok()
    }

    /// The store's tables, by name.
    pub fn tables(&mut self) -> Vec<String> {
        self.texts(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'fault_%' AND name NOT LIKE 'sqlite_%' ORDER BY 1",
        )
    }

    /// Counts every row that is written, and does `then` with it.
    async fn watch(&mut self, then: &str) {
        self.mend().await;
        let mut text = "BEGIN IMMEDIATE; CREATE TABLE fault_state (seen INTEGER NOT NULL, settled INTEGER NOT NULL); \
            CREATE TABLE fault_seen (n INTEGER PRIMARY KEY, what TEXT NOT NULL); \
            CREATE TABLE fault_parent (id INTEGER PRIMARY KEY); \
            CREATE TABLE fault_child (id INTEGER REFERENCES fault_parent (id) DEFERRABLE INITIALLY DEFERRED); \
            INSERT INTO fault_state SELECT 0, count(*) FROM issuance WHERE state = 'abandoned';"
            .to_owned();
        for table in self.tables() {
            for verb in ["INSERT", "UPDATE", "DELETE"] {
                text += &format!(
                    "CREATE TRIGGER fault_{verb}_{table} AFTER {verb} ON {table} BEGIN UPDATE fault_state SET seen = seen + 1; {} END;",
                    then.replace("{WHAT}", &format!("'{verb} {table}'"))
                );
            }
        }
        self.run(&format!("{text} COMMIT;")).await;
    }

    /// From now on notes what is written.
    pub async fn record(&mut self) {
        self.watch("INSERT INTO fault_seen SELECT seen, {WHAT} FROM fault_state;").await;
    }

    /// What was written and committed since [`Faults::record`], one verb and table for each row, in order.
    pub fn recorded(&mut self) -> Vec<String> {
        self.texts("SELECT what FROM fault_seen ORDER BY n")
    }

    /// Lets the row that is written as the `at`th from now, counted from 1, fail; the transaction that it is in cannot be committed.
    pub async fn fail_at(&mut self, at: usize, lasting: Lasting) {
        let when = Self::when(at, lasting);
        self.watch(&format!("SELECT RAISE(ABORT, 'a fault of the test') FROM fault_state WHERE {when};")).await;
    }

    /// As [`Faults::fail_at`], but what fails is the commit of that row's transaction, after every statement of it went well.
    pub async fn fail_the_commit_of(&mut self, at: usize, lasting: Lasting) {
        let when = Self::when(at, lasting);
        self.watch(&format!("INSERT INTO fault_child SELECT 1 FROM fault_state WHERE {when};")).await;
    }

    /// A failed transaction takes back what it counted, so the next one would meet the fault again. One that gives an issuance up is
    /// spared where it is to fail once.
    fn when(at: usize, lasting: Lasting) -> String {
        match lasting {
            Lasting::Once => format!("seen = {at} AND settled = (SELECT count(*) FROM issuance WHERE state = 'abandoned')"),
            // Giving up has fewer rows than what it gives up, and is to fail all the same.
            Lasting::UntilMended => format!("seen >= {at} OR settled < (SELECT count(*) FROM issuance WHERE state = 'abandoned')"),
        }
    }

    /// Takes a table away: whatever reads it or writes to it fails.
    pub async fn hide(&mut self, table: &str) {
        self.run(&format!("ALTER TABLE {table} RENAME TO fault_hidden_{table}")).await;
        self.hidden.push(table.to_owned());
    }

    /// Ends every fault.
    pub async fn mend(&mut self) {
        for table in std::mem::take(&mut self.hidden) {
            self.run(&format!("ALTER TABLE fault_hidden_{table} RENAME TO {table}")).await;
        }
        let mut text = "BEGIN IMMEDIATE;".to_owned();
        for trigger in self.texts("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'fault_%'") {
            text += &format!("DROP TRIGGER {trigger};");
        }
        for table in ["fault_child", "fault_parent", "fault_seen", "fault_state"] {
            text += &format!("DROP TABLE IF EXISTS {table};");
        }
        self.run(&format!("{text} COMMIT;")).await;
    }
}
