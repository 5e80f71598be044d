//! Shell completions, made from the command line's own description.

use super::errors::Outcome;
use super::output::print;
use clap_complete::Shell;

/// Which shell.
#[derive(clap::Args)]
pub struct Args {
    /// bash, zsh, fish, elvish or powershell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, mut root: clap::Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut root, "countersign", &mut script);
    print(&String::from_utf8_lossy(&script))
}
