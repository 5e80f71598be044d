//! `certificate create`: a certificate for a key that is made here, for a request, or one that another CA issued. Private keys are
//! made, used and written on this machine, and never sent; files that exist are never written over. The rules are the server's.

use super::Session;
use super::change::ChangeFlags;
use super::errors::{Exit, Failure, Outcome, clean};
use super::output::note;
use super::{input, prompt};
use crate::plane::SystemEntropy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::Secret;
use countersign_core::credential::certificate::Fingerprint;
use countersign_proto::rest::{AskRegistration, CreateCertificate, CreatedCertificate, RegistrationChallenge};
use countersign_x509::alternative_name::AlternativeName;
use countersign_x509::csr::CheckedCsr;
use countersign_x509::pem::{self, Block};
use countersign_x509::pkcs12::{self, Keystore};
use countersign_x509::private_key::{KeyKind, LocalKey, Signer as _};
use countersign_x509::subject::{Attribute, Subject};
use countersign_x509::{facts, request};
use reqwest::Method;
use serde::Serialize;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Refusals after which it is not certain that nothing was issued.
const UNSURE: [&str; 3] = ["unavailable", "request_failed", "unreadable_answer"];

/// `certificate create`.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("way").required(true).args(["generate_key", "csr", "upload"])))]
pub struct CreateArgs {
    /// The application it is for, by id or name
    #[arg(long, requires = "environment", conflicts_with = "service_account_id")]
    application: Option<String>,

    /// In which of the application's environments: sandbox or production
    #[arg(long, requires = "application")]
    environment: Option<String>,

    /// The service account it is for; without it and --application, it is your own
    #[arg(long, alias = "si", value_name = "ID")]
    service_account_id: Option<String>,

    /// A short name [default: the common name]
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,

    /// Make a new key here, and a request for it
    #[arg(long)]
    generate_key: bool,

    /// Send the request in this file; - is stdin
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,

    /// Register the certificate in this file, which another CA issued; - is stdin
    #[arg(long, value_name = "FILE")]
    upload: Option<PathBuf>,

    /// The kind of the new key: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096 or ed25519
    #[arg(long, value_name = "KIND", default_value = "ecdsa-p256", requires = "generate_key")]
    key_type: String,

    /// The name the certificate is for, such as CN=app,O=Acme [default: CN=<alias>]
    #[arg(long, value_name = "NAME", requires = "generate_key")]
    subject: Option<String>,

    /// A further name: dns:…, email:…, ip:… or uri:…; may be repeated
    #[arg(long, value_name = "NAME", requires = "generate_key")]
    alternative_name: Vec<String>,

    /// Also make a keystore (PKCS#12), and ask for its password
    #[arg(long, requires = "generate_key")]
    keystore: bool,

    /// The keystore's password: file:PATH, env:NAME, or the text itself, which others on this machine may see
    #[arg(long, value_name = "PASSWORD", requires = "generate_key")]
    keystore_password: Option<String>,

    /// A file with the keystore's password
    #[arg(long, value_name = "FILE", requires = "generate_key", conflicts_with = "keystore_password")]
    keystore_password_file: Option<PathBuf>,

    #[command(flatten)]
    out: OutFlags,

    /// The uploaded certificate's private key, to prove that you have it; it stays here
    #[arg(long, value_name = "FILE", requires = "upload")]
    key: Option<PathBuf>,

    /// How long it lives, for example 90d [default: the issuer's]
    #[arg(long, short = 'd', value_name = "DURATION", conflicts_with = "upload")]
    duration: Option<String>,

    /// Narrow it to this API; may be repeated
    #[arg(long, value_name = "ID", num_args = 1..)]
    api: Vec<String>,

    /// When the file holds a private key by mistake, have that key blocked for ever: the key itself is sent, as the proof of it
    #[arg(long, conflicts_with = "generate_key")]
    burn: bool,

    #[command(flatten)]
    change: ChangeFlags,
}

/// Where files go.
#[derive(clap::Args)]
pub(super) struct OutFlags {
    /// Write the certificate, with the CAs below its root, to this file; a new key is put beside it, ending in .key
    #[arg(long, value_name = "FILE", conflicts_with = "out_dir")]
    out: Option<PathBuf>,

    /// Write key, request, certificate, chain and keystore into this directory, named by the alias [default with --generate-key: .]
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
}

impl OutFlags {
    /// The files' places, if any file is wanted; `default` is the directory when neither flag is given.
    pub(super) fn places(&self, stem: &str, default: Option<&Path>) -> Result<Option<Places>, Failure> {
        match (&self.out, self.out_dir.as_deref().or(default)) {
            (Some(file), _) => Places::at_file(file).map(Some),
            (None, Some(directory)) => Places::new(directory, stem).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// What is shown at the end.
#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    certificate: CreatedCertificate,
    /// The files that were written.
    files: Vec<String>,
}

impl CreateArgs {
    fn body(&self) -> CreateCertificate {
        CreateCertificate {
            alias: self.alias.clone(),
            service_account_id: self.service_account_id.clone(),
            application: self.application.clone(),
            environment: self.environment.clone(),
            duration: self.duration.clone(),
            apis: self.api.clone(),
            burn: self.burn,
            ..CreateCertificate::default()
        }
    }
}

/// Makes one.
pub async fn create(session: &Session, args: CreateArgs) -> Outcome {
    match (&args.csr, &args.upload) {
        (Some(file), _) => {
            let bytes = input::read(file)?;
            let csr = if args.burn { text(&bytes) } else { CheckedCsr::parse(&bytes)?.pem() };
            let body = CreateCertificate { csr: Some(csr), ..args.body() };
            let places = args.out.places(&stem(args.alias.as_deref(), file), None)?;
            if let Some(places) = &places {
                places.are_free(&[])?;
            }
            let Some(made) = send(session, &args.change, &body).await? else { return Ok(()) };
            let files = match &places {
                Some(places) => places.write_certificates(&made)?,
                None => Vec::new(),
            };
            show(session, made, files)
        }
        (None, Some(file)) => {
            if args.out.out.is_some() || args.out.out_dir.is_some() {
                return Err(Failure::usage("--upload writes no file").hint("leave --out and --out-dir out"));
            }
            let body = upload(session, &args, file).await?;
            let Some(made) = send(session, &args.change, &body).await? else { return Ok(()) };
            if !made.proven {
                note(
                    "Possession of its key is not proved: an accepted CA decides before it, and who proves it takes it over. With --key FILE it is proved.",
                );
            }
            show(session, made, Vec::new())
        }
        (None, None) => generate(session, &args).await,
    }
}

/// The text of an upload as it is, or as base64 where it is no text.
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| STANDARD.encode(bytes), str::to_owned)
}

/// A certificate that another CA issued; with `--key`, with the proof that its key is here.
async fn upload(session: &Session, args: &CreateArgs, file: &Path) -> Result<CreateCertificate, Failure> {
    let bytes = input::read(file)?;
    let certificate = if args.burn { text(&bytes) } else { input::pem_text(&bytes)? };
    let mut body = CreateCertificate { certificate: Some(certificate.clone()), ..args.body() };
    let Some(key) = &args.key else { return Ok(body) };
    let key = local_key(key)?;
    let ours = Fingerprint::of(key.public_key());
    let fits = pem::read(certificate.as_bytes())?.blocks.iter().any(|block| match block {
        Block::Certificate(der) => facts::of(der).is_ok_and(|facts| facts.key == Some(ours)),
        _ => false,
    });
    if !fits {
        return Err(Failure::refused("key_mismatch", "the private key does not belong to the certificate")
            .hint("compare `openssl pkey -in KEY -pubout` with `openssl x509 -in CERTIFICATE -noout -pubkey`"));
    }
    let ask = AskRegistration {
        certificate,
        service_account_id: args.service_account_id.clone(),
        application: args.application.clone(),
        environment: args.environment.clone(),
    };
    let given: RegistrationChallenge = session.client()?.ask(&["certificates", "challenge"], &ask).await?;
    body.signature = Some(STANDARD.encode(key.sign(given.challenge.as_bytes())?));
    body.challenge = Some(given.challenge);
    Ok(body)
}

fn local_key(file: &Path) -> Result<LocalKey, Failure> {
    let bytes = input::read(file)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains("-----BEGIN") => Ok(LocalKey::from_pem(text)?),
        _ => Ok(LocalKey::from_der(&bytes)?),
    }
}

async fn send(session: &Session, change: &ChangeFlags, body: &CreateCertificate) -> Result<Option<CreatedCertificate>, Failure> {
    let made: Option<CreatedCertificate> = session.make(change, Method::POST, &["certificates"], body).await?;
    let Some(mut made) = made else { return Ok(None) };
    made.request_status = session.settle(change, made.request_status).await?;
    for warning in &made.warnings {
        note(&format!("remark: {}", clean(warning)));
    }
    Ok(Some(made))
}

/// Shows what was made.
pub(super) fn show(session: &Session, certificate: CreatedCertificate, files: Vec<String>) -> Outcome {
    let made = Made { certificate, files };
    session.output.show(&made, || {
        let c = &made.certificate;
        let card = session.output.card(&[
            ("id", c.id.clone()),
            ("alias", c.alias.clone()),
            ("subject", c.subject.clone()),
            ("serial", c.serial.clone()),
            ("fingerprint", c.fingerprint_sha256.clone()),
            ("valid until", c.not_after.clone()),
            ("files", made.files.join(", ")),
        ]);
        format!("{}{card}", session.told(&c.request_status))
    })
}

/// Key, request, certificate and keystore, all made here but the certificate.
async fn generate(session: &Session, args: &CreateArgs) -> Outcome {
    let kind: KeyKind = args.key_type.parse()?;
    let subject = match (&args.subject, &args.alias) {
        (Some(text), _) => Subject::parse(text)?,
        (None, Some(alias)) => Subject::common_name(alias)?,
        (None, None) => return Err(Failure::usage("the new certificate has no name").hint("give --alias NAME, or --subject CN=NAME,O=…")),
    };
    let names = args.alternative_name.iter().map(|name| AlternativeName::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let label = args.alias.clone().or_else(|| subject.values(Attribute::CommonName).last().map(str::to_owned)).unwrap_or_default();
    let Some(places) = args.out.places(&file_stem(&label), Some(Path::new(".")))? else { return Ok(()) };
    places.are_free(&[&places.key, &places.csr, &places.keystore])?;
    let password = keystore_password(args)?;
    let key = LocalKey::generate(kind)?;
    let csr = request::build_pem(&key, &subject, &names)?;
    // The key is on the disk before a certificate for it can exist. It is exposed to the file that the person asked for.
    write_new(&places.key, key.to_pem()?.expose().as_bytes(), 0o600)?;
    write_new(&places.csr, csr.as_bytes(), 0o644)?;
    let body = CreateCertificate { csr: Some(csr), ..args.body() };
    let made = match send(session, &args.change, &body).await {
        Ok(Some(made)) => made,
        Ok(None) => {
            places.take_back();
            return Ok(());
        }
        Err(failure) if failure.exit == Exit::Refused && !UNSURE.contains(&failure.code.as_str()) => {
            places.take_back();
            return Err(failure);
        }
        Err(failure) => {
            // Whether it was issued is not known: the key must not be lost then.
            let csr = places.csr.display();
            note(&format!("The key and its request stay in {}; send it again with --csr {csr}.", places.key.display()));
            return Err(failure);
        }
    };
    let der = first_certificate(&made.certificate)?;
    if facts::of(&der)?.key != Some(Fingerprint::of(key.public_key())) {
        return Err(Failure::refused("unreadable_answer", "the server's certificate is for another key than the request's"));
    }
    let mut files = vec![places.key.display().to_string(), places.csr.display().to_string()];
    files.extend(places.write_certificates(&made)?);
    if let Some(password) = password {
        let chain = certificates(&made.chain)?;
        let alias: String = label.chars().take(pkcs12::ALIAS_MAX).collect();
        let store = Keystore { alias: &alias, key: &key, certificate: &der, chain: &chain };
        write_new(&places.keystore, &store.seal(&password, &SystemEntropy::default())?, 0o600)?;
        files.push(places.keystore.display().to_string());
    }
    show(session, made, files)
}

/// The password, from wherever it is said to be, checked before anything is made.
fn keystore_password(args: &CreateArgs) -> Result<Option<Secret>, Failure> {
    let read_file = |path: &Path| -> Result<Zeroizing<String>, Failure> {
        let bytes = input::read(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Failure::usage(format!("{} is no text", path.display())))?;
        Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    };
    let text = match (&args.keystore_password, &args.keystore_password_file) {
        (_, Some(path)) => read_file(path)?,
        (Some(text), None) => match (text.strip_prefix("file:"), text.strip_prefix("env:")) {
            (Some(path), _) => read_file(Path::new(path))?,
            (_, Some(name)) => {
                let value = std::env::var(name).map_err(|_| Failure::usage(format!("the environment has no {name}")))?;
                Zeroizing::new(value)
            }
            _ => Zeroizing::new(text.clone()),
        },
        (None, None) if args.keystore => prompt::password("password of the keystore (6 to 128 ASCII characters): ")?,
        (None, None) => return Ok(None),
    };
    pkcs12::check_password(&text)?;
    Ok(Some(Secret::new(text.as_str().to_owned())))
}

/// The files of one certificate.
pub(super) struct Places {
    pub(super) key: PathBuf,
    pub(super) csr: PathBuf,
    /// The certificate, and its issuers below the root: what a client presents.
    pub(super) certificate: PathBuf,
    /// The issuers, up to the root: what others verify it by. None where one file was asked for.
    chain: Option<PathBuf>,
    pub(super) keystore: PathBuf,
}

impl Places {
    pub(super) fn new(directory: &Path, stem: &str) -> Result<Self, Failure> {
        make_directory(directory)?;
        let file = |ending: &str| directory.join(format!("{stem}.{ending}"));
        Ok(Self { key: file("key"), csr: file("csr"), certificate: file("pem"), chain: Some(file("ca.pem")), keystore: file("p12") })
    }

    /// The certificate in this very file; a key, its request and a keystore beside it, by the endings of their own.
    fn at_file(file: &Path) -> Result<Self, Failure> {
        if file.is_dir() || file.as_os_str().as_bytes().ends_with(b"/") || file.file_name().is_none() {
            return Err(Failure::usage(format!("--out names a file, and {} is a directory", file.display()))
                .hint(format!("for all files in a directory: --out-dir {}", file.display())));
        }
        let beside = |ending: &str| file.with_extension(ending);
        let places = Self { key: beside("key"), csr: beside("csr"), certificate: file.to_owned(), chain: None, keystore: beside("p12") };
        if [&places.key, &places.csr, &places.keystore].contains(&&places.certificate) {
            return Err(Failure::usage(format!("--out names the certificate's file, and {} has the ending of another", file.display()))
                .hint("name it FILE.pem"));
        }
        if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            make_directory(parent)?;
        }
        Ok(places)
    }

    /// Refuses to write over the certificate's files and `more`.
    pub(super) fn are_free(&self, more: &[&PathBuf]) -> Outcome {
        let wanted = more.iter().copied().chain([&self.certificate]).chain(&self.chain);
        match wanted.into_iter().find(|path| fs::symlink_metadata(path).is_ok()) {
            Some(taken) => Err(Failure::refused("file_exists", format!("{} exists already; nothing was asked for", taken.display()))
                .hint("give another --out FILE, --out-dir DIR or --alias, or move the file away")),
            None => Ok(()),
        }
    }

    /// Takes away what is of no use without a certificate.
    pub(super) fn take_back(&self) {
        for path in [&self.key, &self.csr] {
            // Nothing more can be done about a file that cannot be removed.
            let _ = fs::remove_file(path);
        }
    }

    pub(super) fn write_certificates(&self, made: &CreatedCertificate) -> Result<Vec<String>, Failure> {
        let mut presented = made.certificate.clone();
        for der in certificates(&made.chain)? {
            let facts = facts::of(&der)?;
            if facts.subject != facts.issuer {
                presented.push_str(&countersign_proto::convert::certificate_pem(&der));
            }
        }
        write_new(&self.certificate, presented.as_bytes(), 0o644)?;
        let mut written = vec![self.certificate.display().to_string()];
        if let Some(chain) = &self.chain {
            write_new(chain, made.chain.as_bytes(), 0o644)?;
            written.push(chain.display().to_string());
        }
        Ok(written)
    }
}

/// A private key comes to lie in it: whatever the umask says, a directory that is made here is nobody else's.
fn make_directory(directory: &Path) -> Outcome {
    if directory.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| Failure::file("make", directory, &error))
}

/// Writes a file that is not there yet.
pub(super) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Outcome {
    let failed = |error: std::io::Error| Failure::file("write", path, &error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

/// The certificates of a text.
pub(super) fn certificates(text: &str) -> Result<Vec<Vec<u8>>, Failure> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let blocks = pem::read(text.as_bytes())?.blocks.into_iter();
    Ok(blocks
        .filter_map(|block| match block {
            Block::Certificate(der) => Some(der),
            _ => None,
        })
        .collect())
}

/// The first of them.
pub(super) fn first_certificate(text: &str) -> Result<Vec<u8>, Failure> {
    certificates(text)?.into_iter().next().ok_or_else(|| Failure::refused("unreadable_answer", "the server's answer holds no certificate"))
}

/// A name for files: an alias without what a shell or a path would read differently, or another tool as an option.
pub(super) fn file_stem(alias: &str) -> String {
    let plain: String = alias.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).take(64).collect();
    match plain.trim_start_matches('-') {
        "" => "certificate".to_owned(),
        plain => plain.to_owned(),
    }
}

fn stem(alias: Option<&str>, file: &Path) -> String {
    file_stem(alias.or_else(|| file.file_stem()?.to_str()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_becomes_a_plain_name_of_a_file() {
        assert_eq!(file_stem("../etc/pass wd"), "etc-pass-wd");
        assert_eq!(file_stem("--help"), "help");
        assert_eq!(file_stem("../.."), "certificate");
        assert_eq!(file_stem("Größe.1"), "Gr--e-1");
        assert_eq!(file_stem(""), "certificate");
        assert_eq!(stem(None, Path::new("/x/client.csr")), "client");
    }

    #[test]
    fn out_names_one_file_and_out_dir_a_directory() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("made/app.pem");
        let places = Places::at_file(&file).unwrap();
        assert_eq!((&places.certificate, places.key.file_name(), &places.chain), (&file, Some("app.key".as_ref()), &None));
        assert!(!file.exists(), "no directory of this name is made");
        for wrong in [root.path().to_owned(), root.path().join("new/"), root.path().join("app.key"), root.path().join("app.csr")] {
            assert_eq!(Places::at_file(&wrong).map(|_| ()).map_err(|f| f.exit), Err(Exit::Usage), "{}", wrong.display());
        }
        let places = Places::new(&root.path().join("all"), "app").unwrap();
        assert_eq!(places.chain, Some(root.path().join("all/app.ca.pem")));
    }

    #[test]
    fn a_directory_that_is_made_for_a_private_key_is_its_makers_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("a/b");
        Places::new(&out, "client").unwrap();
        for made in [out.as_path(), out.parent().unwrap()] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
