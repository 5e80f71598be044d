//! Names that people take for each other: a new certificate's name must not look like that of another live certificate of the same
//! owner and be a different one. What "looks like" means is x509's; the database only compares digests of it, so it costs one look
//! into an index however many certificates an owner has.

use super::App;
use crate::error::Refused;
use countersign_core::credential::certificate::Fingerprint;
use countersign_core::id::CertificateId;
use countersign_core::identity::IdentityId;
use countersign_core::time::Timestamp;
use countersign_proto::convert;
use countersign_store::Reader;
use countersign_x509::facts;
use countersign_x509::subject::Subject;
use std::fmt::Write as _;

/// Characters whose code points a refusal spells out.
const POINTS_MAX: usize = 12;
/// Certificates of an older version that are completed in one transaction.
const STEP: usize = 500;

/// Refuses a subject that looks like another live certificate's of this owner; `family` may.
///
/// # Errors
/// `look_alike_of_another`; when the store fails.
pub(super) async fn check_look_alike(
    reader: &mut Reader,
    owner: &IdentityId,
    subject: &Subject,
    family: &[CertificateId],
    now: Timestamp,
) -> Result<(), Refused> {
    let name = Fingerprint::of(subject.canonical().as_bytes());
    let look = Fingerprint::of(subject.skeleton().as_bytes());
    check(reader, owner, &subject.to_string(), (&name, &look), family, now).await
}

/// As [`check_look_alike`], for a subject that may hold what ours may not: its text, and the digests of name and look.
pub(super) async fn check(
    reader: &mut Reader,
    owner: &IdentityId,
    subject: &str,
    (name, look): (&Fingerprint, &Fingerprint),
    family: &[CertificateId],
    now: Timestamp,
) -> Result<(), Refused> {
    let found = reader.certificates_of_look(owner, look, name).await?;
    let Some(other) = found.into_iter().find(|one| now.seconds() <= one.facts.not_after.seconds() && !family.contains(&one.id)) else {
        return Ok(());
    };
    let (here, there) = difference(subject, &other.facts.subject);
    let alias = if other.alias.is_empty() { "no alias" } else { &other.alias };
    let detail = format!(
        "the name {subject} looks like {}, the name of certificate {} ({alias}, valid until {}), and is another one: {here} here, {there} \
         there (rule S14)",
        other.facts.subject,
        other.id,
        convert::time(other.facts.not_after)
    );
    Err(Refused::new("look_alike_of_another", detail)
        .hint(format!("choose a name that nobody takes for the other, or revoke {} first", other.id)))
}

/// The code points in which two texts differ, of each what stands between their common beginning and end.
fn difference(one: &str, other: &str) -> (String, String) {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let before = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let shorter = one.len().min(other.len());
    let after = one.iter().rev().zip(other.iter().rev()).take(shorter - before).take_while(|(a, b)| a == b).count();
    let points = |text: &[char]| {
        let middle = text.get(before..text.len() - after).unwrap_or_default();
        let mut out = String::new();
        for c in middle.iter().take(POINTS_MAX) {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}U+{:04X}", if out.is_empty() { "" } else { " " }, u32::from(*c));
        }
        match middle.len() {
            0 => "nothing".to_owned(),
            length if length > POINTS_MAX => format!("{out} and {} more", length - POINTS_MAX),
            _ => out,
        }
    };
    (points(&one), points(&other))
}

/// Completes up to some hundred certificates that an older version kept without what their names look like. Gives how many there were.
///
/// # Errors
/// When the store fails.
pub(crate) async fn fill(app: &App) -> Result<usize, Refused> {
    let found = app.store.read().await?.certificates_without_look(STEP).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let count = found.len();
    let mut write = app.store.begin().await?;
    for (id, der) in found {
        // One that cannot be read any more looks like none, and is not asked again.
        let look = facts::of(&der).ok().and_then(|facts| facts.look);
        write.fill_look(&id, look.as_ref()).await?;
    }
    write.commit_without_revision().await?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn what_differs_is_spelled_by_code_points() {
        let of = |a: &str, b: &str| {
            let (here, there) = difference(a, b);
            format!("{here} / {there}")
        };
        assert_eq!(of("CN=\u{430}\u{440}\u{435}", "CN=ape"), "U+0430 U+0440 U+0435 / U+0061 U+0070 U+0065");
        assert_eq!(of("CN=modern", "CN=modem"), "U+0072 U+006E / U+006D");
        assert_eq!(of("CN=aa", "CN=a"), "U+0061 / nothing");
        assert!(of(&"x".repeat(20), &"y".repeat(20)).starts_with("U+0078"));
    }
}
