//! `countersign agent`: keeps a client's certificate and key fresh in files. It renews by the old certificate, so it holds no other
//! credential; it never deletes what is in force and never gives up. No rule of issuance may come to live here.

mod disk;
mod hook;
mod pace;
mod renewal;
mod set;
mod settings;
mod shelf;

use crate::cli::{Client, Exit, Failure};
use crate::plane::{SystemClock, SystemEntropy};
use clap::Args as ClapArgs;
use countersign_core::{Entropy as _, Timestamp};
use countersign_proto::convert;
use set::Set;
use settings::Settings;
use shelf::{Settled, Shelf};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Flags of `agent`.
#[derive(ClapArgs, Debug)]
#[command(after_help = "The first certificate is made once, by somebody who may:\n  \
    countersign certificate create --generate-key --out-dir DIR\n\
    Name its files in the settings as `certificate` and `key`; from then on the agent renews by the certificate itself and needs \
    no API key.\n\n\
    Every setting is also an environment variable: COUNTERSIGN_AGENT_SERVER, COUNTERSIGN_AGENT_DIRECTORY, …\n\
    Exit codes: 0 done, 1 refused, 2 usage or settings, 3 not reachable.")]
pub struct Args {
    /// The settings, a TOML file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Looks once, renews if it is time, and ends
    #[arg(long)]
    once: bool,
    /// With --once: renews now, whether or not it is time
    #[arg(long, requires = "once")]
    now: bool,
}

/// Runs until asked to stop, or once.
pub async fn run(args: Args) -> ExitCode {
    let settings = match Settings::load(&args.config, |name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            say(&format!("{error} (code: {})", error.code()));
            return ExitCode::from(2);
        }
    };
    let prepared = renewal::client(&settings).and_then(|client| Ok((client, Shelf::open(&settings)?)));
    let (client, shelf) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return failure.report(),
    };
    let mut agent = Agent { settings, client, shelf, said: String::new() };
    if args.once {
        return match agent.round(args.now).await {
            Ok(_) => ExitCode::SUCCESS,
            Err(failure) => {
                let away = is_away(&failure);
                let code = failure.report();
                if away { ExitCode::from(3) } else { code }
            }
        };
    }
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => agent.work(terminate, interrupt).await,
        _ => {
            say("the system gives no signals (code: internal)");
            ExitCode::FAILURE
        }
    }
}

/// Whether to wait for the control plane rather than for a person.
fn is_away(failure: &Failure) -> bool {
    failure.exit == Exit::NotReachable
        || matches!(failure.code.as_str(), "unavailable" | "rate_limited" | "disk_full" | "unexpected_answer")
}

struct Agent {
    settings: Settings,
    client: Client,
    shelf: Shelf,
    /// The last line, so that nothing is said twice in a row.
    said: String,
}

impl Agent {
    /// Goes on until SIGTERM or SIGINT. Files change in calls that do not wait, so a signal finds them whole.
    async fn work(&mut self, mut terminate: Signal, mut interrupt: Signal) -> ExitCode {
        let mut failures = 0;
        loop {
            let nap = tokio::select! {
                round = self.round(false) => match round {
                    Ok(nap) => {
                        failures = 0;
                        nap
                    }
                    Err(failure) => {
                        failures += 1;
                        self.complain(&failure);
                        self.pause(failures, &failure)
                    }
                },
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            };
            tokio::select! {
                () = tokio::time::sleep(nap) => {}
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        say("asked to stop; the files stay as they are");
        ExitCode::SUCCESS
    }

    /// How long to wait after a failure: the files are looked at no less often than they would be anyway, and what somebody has
    /// to mend is found mended soon.
    fn pause(&self, failures: u32, failure: &Failure) -> Duration {
        let mut random = [0; 2];
        SystemEntropy::default().fill(&mut random);
        let away = is_away(failure);
        let pause = pace::pause(failures, !away, u16::from_be_bytes(random));
        if away { pause } else { pause.min(self.settings.check_every.max(Duration::from_secs(1))) }
    }

    /// Looks once: takes up what is there, renews when it is time, runs the hook when it is due. Says how long to sleep.
    async fn round(&mut self, force: bool) -> Result<Duration, Failure> {
        let now = SystemClock.read();
        let password = self.settings.keystore_password.as_ref();
        let Settled { mut set, healed, wrong } = self.shelf.settle(password, now)?;
        for line in healed {
            say(&line);
        }
        if force || now >= self.due(&set) {
            if now > set.facts.not_after {
                return Err(Failure::refused("certificate_expired", format!("the {} has ended and can renew nothing", describe(&set)))
                    .hint(
                        "make a new one: countersign certificate create --generate-key; the agent takes it up from the settings' files",
                    ));
            }
            let new = renewal::successor(&self.client, &self.settings, &self.shelf, &set).await?;
            self.shelf.install(&new, password)?;
            let line = format!("renewed: the {} is in force, in {}", describe(&new), self.shelf.path("").display());
            set = new;
            self.state(&line);
        }
        // A hook that lets a program read copies which are not there yet would have to run again.
        if wrong.is_empty() && self.shelf.is_hook_due(&set) {
            if let Some(line) = &self.settings.hook {
                hook::run(line, self.settings.hook_timeout, &self.shelf, &set).await?;
                self.state("the hook has run");
            }
            self.shelf.hook_done()?;
        }
        if let Some(failure) = wrong.into_iter().next() {
            return Err(failure);
        }
        let due = self.due(&set);
        self.state(&format!("the {} is renewed from {} on", describe(&set), convert::time(due)));
        Ok(pace::nap(SystemClock.read(), due, self.settings.check_every))
    }

    fn due(&self, set: &Set) -> Timestamp {
        pace::due(set.facts.not_before, set.facts.not_after, self.settings.renew_before, &set.fingerprint())
    }

    fn complain(&mut self, failure: &Failure) {
        let hint = failure.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let line = format!("{} (code: {}){hint}; the files stay and it is tried again", failure.message, failure.code);
        self.state(&line);
    }

    /// One line a change.
    fn state(&mut self, line: &str) {
        if self.said != line {
            say(line);
            line.clone_into(&mut self.said);
        }
    }
}

/// For people: which certificate, and until when.
fn describe(set: &Set) -> String {
    let id = set.id();
    format!("certificate {} of {}, good until {},", id.get(..12).unwrap_or(&id), set.facts.subject, convert::time(set.facts.not_after))
}

/// A line on stderr.
fn say(line: &str) {
    let clean = crate::terminal::clean_line(line);
    // Nothing is left to do when stderr is closed.
    let _ = writeln!(std::io::stderr().lock(), "countersign agent: {clean}");
}
