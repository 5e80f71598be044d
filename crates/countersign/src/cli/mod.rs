//! The client: every command that talks to a control plane or works on files. Parsing and words only; the rules are the server's.
//!
//! One file a noun; the names, flags and aliases are `tcld`'s wherever it has them.

mod account;
mod api;
mod apikey;
mod application;
mod audit;
mod audit_against;
mod audit_sink;
mod certificate;
mod change;
mod client;
mod completions;
mod custom_role;
mod doctor;
mod errors;
mod explain;
mod gateway;
mod generate_certificates;
mod global;
mod input;
mod issuance;
mod issuer;
mod key;
mod login;
mod namespace;
mod notice;
mod output;
mod pages;
pub mod profile;
mod prompt;
mod refusal;
mod request;
mod revocation;
mod rotation;
mod service_account;
mod session;
mod table;
pub mod tcld_line;
mod trust;
pub mod usage;
mod user;
mod user_group;
mod whoami;

pub use client::Client;
pub use errors::{Exit, Failure};
pub use global::{Global, Target, parse_server};

use crate::plane::SystemClock;
use clap::Subcommand;
use errors::Outcome;
use output::Output;
use std::process::ExitCode;
use std::sync::OnceLock;

/// The client's commands.
#[derive(Subcommand)]
pub enum Command {
    /// Make a CA certificate, or a client certificate signed by it, in files; needs no server
    #[command(subcommand, visible_alias = "gen")]
    GenerateCertificates(generate_certificates::Command),
    /// Namespaces: where they forward to, who gets in
    #[command(subcommand, visible_alias = "n")]
    Namespace(namespace::Command),
    /// APIs of a namespace: listen paths and which credentials they take
    #[command(subcommand)]
    Api(api::Command),
    /// API keys
    #[command(subcommand, visible_alias = "ak")]
    Apikey(apikey::Command),
    /// Registered client certificates
    #[command(subcommand)]
    Certificate(certificate::Command),
    /// Applications: two environments, each with credentials of its own
    #[command(subcommand)]
    Application(application::Command),
    /// Keys made of a certificate
    #[command(subcommand)]
    Key(key::Command),
    /// Service accounts: identities of machines
    #[command(subcommand, visible_alias = "sa")]
    ServiceAccount(service_account::Command),
    /// Users: identities of people
    #[command(subcommand, visible_alias = "u")]
    User(user::Command),
    /// Groups of users: rights that they share
    #[command(subcommand, visible_alias = "ug")]
    UserGroup(user_group::Command),
    /// Custom roles: single actions on single resources
    #[command(subcommand)]
    CustomRole(custom_role::Command),
    /// Certificate authorities whose keys the server holds
    #[command(subcommand)]
    Issuer(issuer::Command),
    /// The account
    #[command(subcommand, visible_alias = "a")]
    Account(account::Command),
    /// Requests under way or ended
    #[command(subcommand, visible_alias = "r")]
    Request(request::Command),
    /// What would the gateway say to this credential, host, method and path, and why
    Explain(explain::Args),
    /// Walk the way of a request through a gateway's door, and say where it ends and how to mend it
    Doctor(doctor::Args),
    /// Why a gateway refused a request
    #[command(subcommand)]
    Refusal(refusal::Command),
    /// What ends soon, and who is told how
    #[command(subcommand)]
    Notice(notice::Command),
    /// The audit trail
    #[command(subcommand)]
    Audit(audit::Command),
    /// Gateways that are fed
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// Log in with a browser, instead of an API key
    #[command(visible_alias = "l")]
    Login(login::LoginArgs),
    /// End this login
    Logout,
    /// Profiles: servers by name, each with its CA and credential
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Sessions: logins of people
    #[command(subcommand)]
    Session(session::Command),
    /// Who this login or API key is
    Whoami,
    /// Put the server's CA into the stores of this system and its browsers, or take it out again
    Trust(trust::Args),
    /// The version of this program
    #[command(visible_alias = "v")]
    Version,
    /// Completions for bash, zsh or fish, with ids from the server
    Completions(completions::Args),
    /// What the scripts of `completions` call
    #[command(hide = true)]
    Complete(completions::CompleteArgs),
}

/// One run of the client.
pub struct Session {
    global: Global,
    output: Output,
    auto_confirm: bool,
    idempotent: bool,
    client: OnceLock<Client>,
}

impl Session {
    fn new(global: Global) -> Self {
        // `AUTO_CONFIRM` is tcld's name for it.
        let theirs = std::env::var("AUTO_CONFIRM").is_ok_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "t" | "true"));
        Self {
            output: Output::new(global.output, global.wide, SystemClock.read()),
            auto_confirm: global.auto_confirm || theirs,
            idempotent: global.idempotent,
            client: OnceLock::new(),
            global,
        }
    }

    /// The connection, prepared at its first use, so that offline commands read neither configuration nor roots.
    fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(self.global.target()?)?;
        Ok(self.client.get_or_init(|| client))
    }

    async fn dispatch(&self, command: Command, root: impl FnOnce() -> clap::Command) -> Outcome {
        match command {
            Command::GenerateCertificates(command) => generate_certificates::run(self, command),
            Command::Namespace(command) => namespace::run(self, command).await,
            Command::Api(command) => api::run(self, command).await,
            Command::Apikey(command) => apikey::run(self, command).await,
            Command::Certificate(command) => certificate::run(self, command).await,
            Command::Application(command) => application::run(self, command).await,
            Command::Key(command) => key::run(self, command).await,
            Command::ServiceAccount(command) => service_account::run(self, command).await,
            Command::User(command) => user::run(self, command).await,
            Command::UserGroup(command) => user_group::run(self, command).await,
            Command::CustomRole(command) => custom_role::run(self, command).await,
            Command::Issuer(command) => issuer::run(self, command).await,
            Command::Account(command) => account::run(self, command).await,
            Command::Request(command) => request::run(self, command).await,
            Command::Explain(args) => explain::run(self, args).await,
            Command::Doctor(args) => doctor::run(self, args).await,
            Command::Refusal(command) => refusal::run(self, command).await,
            Command::Notice(command) => notice::run(self, command).await,
            Command::Audit(command) => audit::run(self, command).await,
            Command::Gateway(command) => gateway::run(self, command).await,
            Command::Login(args) => login::login(self, args).await,
            Command::Logout => login::logout(self).await,
            Command::Profile(command) => profile::run(self, command),
            Command::Session(command) => session::run(self, command).await,
            Command::Whoami => whoami::run(self).await,
            Command::Trust(args) => trust::run(self, &args),
            Command::Version => version(self),
            Command::Completions(args) => completions::run(&args),
            Command::Complete(args) => completions::complete(self, args, root()).await,
        }
    }
}

/// Runs one command to its exit code.
pub async fn run(global: Global, command: Command, root: impl FnOnce() -> clap::Command) -> ExitCode {
    match Session::new(global).dispatch(command, root).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn version(session: &Session) -> Outcome {
    #[derive(serde::Serialize)]
    struct Version {
        name: &'static str,
        version: &'static str,
    }
    let version = Version { name: "countersign", version: env!("CARGO_PKG_VERSION") };
    session.output.show(&version, || format!("{} {}\n", version.name, version.version))
}
