//! The binary: reads the command line and hands over. `dev` and `serve` run servers; everything else is the client.
//!
//! No rule of the product and no I/O of its own may move in here.

mod agent;
mod cli;
mod dev;
mod echo;
#[cfg(test)]
mod hints_tests;
mod plane;
mod serve;
mod terminal;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use countersign_core::redact::redact;
use std::borrow::Cow;
use std::future::Future;
use std::io::Write as _;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Issues, registers, rotates and revokes machine credentials, and enforces them at a gateway.
#[derive(Parser)]
#[command(name = "countersign", version, about, subcommand_required = true, arg_required_else_help = true, infer_long_args = false)]
#[command(
    after_help = "Every global option is also an environment variable: COUNTERSIGN_SERVER, COUNTERSIGN_API_KEY, COUNTERSIGN_PROFILE, …\n\
    Lists on a terminal shorten names, then leave out columns from the right; --wide shows everything.\n\
    Exit codes: 0 done, 1 refused or the answer is no, 2 usage, 3 not reachable.\n\
    Start with: countersign dev"
)]
struct Line {
    #[command(flatten)]
    global: cli::Global,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a control plane, a gateway and an echo upstream for trying things; creates what it needs
    Dev(Box<dev::Args>),
    /// Run a control plane and a gateway from a settings file
    Serve(serve::Args),
    /// Keep a client's certificate and key fresh in files, by the certificate itself
    Agent(agent::Args),
    #[command(flatten)]
    Client(Box<cli::Command>),
}

fn root() -> clap::Command {
    cli::tcld_line::with_long_letters(Line::command())
}

fn main() -> ExitCode {
    let command = root();
    let words = cli::tcld_line::normalise(&command, std::env::args_os());
    let command = cli::profile::with_namespace(command, &words);
    let line = match command.try_get_matches_from(words).and_then(|matches| Line::from_arg_matches(&matches)) {
        Ok(line) => line,
        Err(error) => return usage(&cli::usage::tidy(&root(), error)),
    };
    match line.command {
        Command::Dev(args) => block_on(tokio::runtime::Builder::new_multi_thread(), dev::run(*args, line.global.directory().ok())),
        Command::Serve(args) => block_on(tokio::runtime::Builder::new_multi_thread(), serve::run(args)),
        Command::Agent(args) => block_on(tokio::runtime::Builder::new_current_thread(), agent::run(args)),
        // One request at a time needs no more than this thread, and starts faster.
        Command::Client(command) => block_on(tokio::runtime::Builder::new_current_thread(), cli::run(line.global, *command, root)),
    }
}

/// Help and version go to stdout and are no failure; everything else is a usage error.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed terminal leaves the exit code as the only answer.
    let text = error.render().to_string();
    let _ = match redact(&text) {
        // A key that was pasted in a wrong place is not repeated.
        Cow::Owned(text) => std::io::stderr().lock().write_all(text.as_bytes()),
        Cow::Borrowed(_) => error.print(),
    };
    if error.exit_code() == 0 {
        return ExitCode::SUCCESS;
    }
    if error.kind() != clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = writeln!(std::io::stderr().lock(), "code:  usage");
    }
    ExitCode::from(2)
}

fn block_on(mut builder: tokio::runtime::Builder, work: impl Future<Output = ExitCode>) -> ExitCode {
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "error: The runtime cannot start: {error}.\ncode:  internal");
            ExitCode::FAILURE
        }
    }
}
