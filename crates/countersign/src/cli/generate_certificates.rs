//! `generate-certificates`: a CA, and client certificates signed by it, in files. Words, prompts and shapes are `tcld`'s (seed
//! 000). It talks to nobody; a key file is private from its first byte on.

use super::Session;
use super::errors::{Failure, Outcome};
use super::input;
use super::output::print;
use super::prompt::{self, Stream};
use crate::plane::{SystemClock, SystemEntropy};
use countersign_core::{Entropy, Lifetime, Secret};
use countersign_x509::tcld::{self, CaRequest, LeafRequest};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What to make.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a certificate authority's certificate and key
    #[command(visible_alias = "ca")]
    CertificateAuthorityCertificate(CaArgs),
    /// Make a client's certificate and key, signed by a certificate authority
    #[command(visible_alias = "leaf")]
    EndEntityCertificate(LeafArgs),
}

/// `generate-certificates certificate-authority-certificate`.
#[derive(clap::Args)]
pub struct CaArgs {
    /// The name of the organization
    #[arg(long, alias = "org")]
    organization: String,

    /// How long it is valid: more than 7d, at most 365d; for example 90d or 30d10h
    #[arg(long, short = 'd', value_name = "DURATION")]
    validity_period: String,

    /// Where the certificate is stored
    // The id of the global --ca-cert, so that tcld's alias of that name means this file here, where no server is asked.
    #[arg(id = "ca_cert", long = "ca-certificate-file", alias = "ca-cert", value_name = "FILE")]
    ca_certificate_file: PathBuf,

    /// Where its private key is stored
    #[arg(long, alias = "ca-key", value_name = "FILE")]
    ca_key_file: PathBuf,

    /// Use RSA with 4096 bits instead of ECDSA P-384
    #[arg(long, alias = "rsa")]
    rsa_algorithm: bool,
}

/// `generate-certificates end-entity-certificate`.
#[derive(clap::Args)]
pub struct LeafArgs {
    /// The name of the organization
    #[arg(long, alias = "org")]
    organization: String,

    /// The name of the organizational unit
    #[arg(long, value_name = "NAME")]
    organization_unit: Option<String>,

    /// The common name
    #[arg(long, value_name = "NAME")]
    common_name: Option<String>,

    /// How long it is valid [default: until 24 hours before its CA ends]
    #[arg(long, short = 'd', value_name = "DURATION")]
    validity_period: Option<String>,

    /// The certificate of the CA that signs
    // See above.
    #[arg(id = "ca_cert", long = "ca-certificate-file", alias = "ca-cert", value_name = "FILE")]
    ca_certificate_file: PathBuf,

    /// The private key of the CA that signs
    #[arg(long, alias = "ca-key", value_name = "FILE")]
    ca_key_file: PathBuf,

    /// Where the certificate is stored
    #[arg(long, alias = "cert", value_name = "FILE")]
    certificate_file: PathBuf,

    /// Where its private key is stored
    #[arg(long, alias = "key", value_name = "FILE")]
    key_file: PathBuf,
}

/// Makes it.
pub fn run(session: &Session, command: Command) -> Outcome {
    let entropy = SystemEntropy::default();
    match command {
        Command::CertificateAuthorityCertificate(args) => {
            let request = CaRequest { organization: args.organization, validity: period(&args.validity_period)?, rsa: args.rsa_algorithm };
            let (certificate, key) = tcld::generate_ca(&request, SystemClock.read(), &entropy)?;
            let files = Files { kind: "certificate authority", certificate: &args.ca_certificate_file, key: &args.ca_key_file };
            files.store(&certificate, &key, session.auto_confirm, &entropy)
        }
        Command::EndEntityCertificate(args) => {
            let ca_certificate = text(&args.ca_certificate_file)?;
            let ca_key = text(&args.ca_key_file)?;
            let request = LeafRequest {
                organization: args.organization,
                organizational_unit: args.organization_unit,
                common_name: args.common_name,
                validity: args.validity_period.as_deref().map(period).transpose()?,
            };
            // The CA's key signs here and is wiped when the command ends.
            let (certificate, key) = tcld::generate_leaf(&request, &ca_certificate, &ca_key, SystemClock.read(), &entropy)?;
            let files = Files { kind: "end entity certificate", certificate: &args.certificate_file, key: &args.key_file };
            files.store(&certificate, &key, session.auto_confirm, &entropy)
        }
    }
}

fn period(text: &str) -> Result<Lifetime, Failure> {
    Lifetime::parse(text).map_err(|error| Failure::usage(format!("failed to parse validity-period: {error}")))
}

fn text(path: &Path) -> Result<zeroize::Zeroizing<String>, Failure> {
    let bytes = input::read(path)?;
    String::from_utf8(bytes.to_vec()).map(zeroize::Zeroizing::new).map_err(|error| {
        drop(zeroize::Zeroizing::new(error.into_bytes()));
        Failure::refused("not_pem", format!("{} is not PEM text", path.display()))
    })
}

/// Where a pair goes.
struct Files<'a> {
    kind: &'a str,
    certificate: &'a Path,
    key: &'a Path,
}

impl Files<'_> {
    /// Asks, then stores both or neither.
    fn store(&self, certificate: &str, key: &Secret, auto: bool, entropy: &dyn Entropy) -> Outcome {
        if self.certificate == self.key {
            return Err(Failure::usage("the certificate and its key cannot go into the same file"));
        }
        for path in [self.certificate, self.key] {
            self.may_write(path, auto)?;
        }
        let question =
            format!("storing the {} (private) key at {}, do not share this key with anyone. confirm:", self.kind, self.key.display());
        if !prompt::confirm(&question, auto, Stream::Stdout)? {
            return Err(prompt::declined());
        }
        // Both are complete beside their places before either is put there, so that no half pair is left behind.
        // The key is exposed to be written to the file that the person asked for.
        let key_ready = Staged::write(self.key, key.expose().as_bytes(), 0o600, entropy)?;
        let certificate_ready = Staged::write(self.certificate, certificate.as_bytes(), 0o644, entropy)?;
        key_ready.put()?;
        certificate_ready.put()?;
        print(&format!(
            "{kind} generated at: {}\n{kind} key generated at: {}\n",
            self.certificate.display(),
            self.key.display(),
            kind = self.kind
        ))
    }

    fn may_write(&self, path: &Path, auto: bool) -> Outcome {
        match fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::file("write", path, &error)),
            Ok(found) if found.is_dir() => {
                Err(Failure::refused("file_error", format!("{} is a directory", path.display())).hint("name a file"))
            }
            Ok(found) if !found.is_file() => {
                Err(Failure::refused("file_error", format!("{} is no regular file", path.display())).hint("name a file"))
            }
            Ok(_) => {
                let question = format!("file already exists at path {}, do you want to overwrite:", path.display());
                if prompt::confirm(&question, auto, Stream::Stdout)? { Ok(()) } else { Err(prompt::declined()) }
            }
        }
    }
}

/// A file that is complete but not yet in its place; taken away again unless it is put there.
struct Staged<'a> {
    temporary: PathBuf,
    place: &'a Path,
    put: bool,
}

impl<'a> Staged<'a> {
    /// Writes beside `place`, with `mode` from the first moment on.
    fn write(place: &'a Path, bytes: &[u8], mode: u32, entropy: &dyn Entropy) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::file("write", place, &error).hint("check that its directory exists and that you may write there")
        };
        let name = place.file_name().ok_or_else(|| Failure::usage(format!("{} names no file", place.display())))?;
        let mut random = [0_u8; 8];
        entropy.fill(&mut random);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", countersign_core::credential::hex(&random)));
        let temporary = place.with_file_name(hidden);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).map_err(failed)?;
        let staged = Self { temporary, place, put: false };
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(staged)
    }

    /// Puts it in its place, over whatever is there.
    fn put(mut self) -> Outcome {
        fs::rename(&self.temporary, self.place).map_err(|error| Failure::file("write", self.place, &error))?;
        self.put = true;
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.put {
            // Nothing more can be done about a file that cannot be removed.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
