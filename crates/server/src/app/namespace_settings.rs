//! What Temporal's tools keep with a namespace: retention, search attributes, codec server, regions, tags, protection. Nothing of it
//! decides who is let in.

use super::caller::Caller;
use super::unit::{Begun, Unit};
use super::{App, check_text, namespace_id, namespaces, regions};
use crate::error::{Refused, shown};
use countersign_core::authz::Action;
use countersign_core::namespace::{CodecServer, Namespace};
use countersign_proto::convert;
use countersign_proto::rest::{Changed, CodecServerBody, RenameSearchAttribute, UpdateTags};
use std::collections::BTreeMap;

/// Search attributes of one namespace, and the length of a name. More than any SQL visibility store of Temporal's takes.
const SEARCH_ATTRIBUTES_MAX: usize = 100;
const SEARCH_ATTRIBUTE_CHARS_MAX: usize = 64;
/// Tags of one namespace (research/temporal-cloud.md section 7).
const TAGS_MAX: usize = 10;
const TAG_CHARS_MAX: usize = 63;
const TYPES: [&str; 7] = ["text", "keyword", "int", "double", "bool", "datetime", "keyword_list"];

/// What is asked for; absent members stay as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked<'a> {
    pub retention_days: Option<i32>,
    pub search_attributes: Option<&'a BTreeMap<String, String>>,
    pub codec_server: Option<&'a CodecServerBody>,
    pub delete_protection: Option<bool>,
    pub regions: Option<&'a [String]>,
}

/// Applies it, every rule checked.
///
/// # Errors
/// `invalid_argument`, `limit_reached`.
pub(super) fn apply(app: &App, namespace: &mut Namespace, asked: Asked<'_>) -> Result<(), Refused> {
    if let Some(days) = asked.retention_days {
        if !(1..=90).contains(&days) {
            return Err(Refused::invalid("retentionDays is 1 to 90"));
        }
        namespace.temporal.retention_days = days;
    }
    if let Some(attributes) = asked.search_attributes {
        namespace.temporal.search_attributes = search_attributes(attributes)?;
    }
    if let Some(codec) = asked.codec_server {
        namespace.temporal.codec_server = codec_server(codec)?;
    }
    if let Some(protected) = asked.delete_protection {
        namespace.delete_protection = protected;
    }
    if let Some(ids) = asked.regions {
        namespace.temporal.regions = regions::checked(app, ids)?;
    }
    Ok(())
}

fn search_attributes(asked: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Refused> {
    if asked.len() > SEARCH_ATTRIBUTES_MAX {
        return Err(Refused::new("limit_reached", format!("a namespace has at most {SEARCH_ATTRIBUTES_MAX} search attributes")));
    }
    asked.iter().map(|(name, kind)| Ok((attribute_name(name)?, attribute_type(kind)?))).collect()
}

fn attribute_name(name: &str) -> Result<String, Refused> {
    let mut bytes = name.bytes();
    let ok = name.len() <= SEARCH_ATTRIBUTE_CHARS_MAX
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b' '));
    if ok {
        return Ok(name.to_owned());
    }
    Err(Refused::invalid(format!(
        "`{}` is no name of a search attribute: a letter, then up to {} letters, digits, spaces, - or _",
        shown(name),
        SEARCH_ATTRIBUTE_CHARS_MAX - 1
    )))
}

fn attribute_type(kind: &str) -> Result<String, Refused> {
    let plain = kind.to_ascii_lowercase().replace(['_', '-'], "");
    let found = TYPES.into_iter().find(|known| known.replace('_', "") == plain);
    found.map(str::to_owned).ok_or_else(|| Refused::invalid(format!("`{}` is no type; use one of {}", shown(kind), TYPES.join(", "))))
}

fn codec_server(body: &CodecServerBody) -> Result<Option<CodecServer>, Refused> {
    if body.endpoint.is_empty() {
        return Ok(None);
    }
    let good = reqwest::Url::parse(&body.endpoint).is_ok_and(|url| url.scheme() == "https" && url.host_str().is_some());
    if !good || body.endpoint.len() > 1000 {
        return Err(Refused::invalid("the endpoint of a codec server is an https address"));
    }
    check_text("codecServer.customErrorMessage", &body.custom_error_message, 0, 1024)?;
    check_text("codecServer.customErrorLink", &body.custom_error_link, 0, 1000)?;
    Ok(Some(CodecServer {
        endpoint: body.endpoint.clone(),
        pass_access_token: body.pass_access_token,
        include_credentials: body.include_credentials,
        custom_error_message: body.custom_error_message.clone(),
        custom_error_link: body.custom_error_link.clone(),
    }))
}

/// A whole set of tags, every rule checked: up to ten, names and values of 1 to 63 of `a-z 0-9 . _ - @`.
///
/// # Errors
/// `invalid_argument`, `limit_reached`.
pub(super) fn tags(asked: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Refused> {
    if asked.len() > TAGS_MAX {
        return Err(Refused::new("limit_reached", format!("a namespace has at most {TAGS_MAX} tags")));
    }
    for text in asked.iter().flat_map(|(name, value)| [name, value]) {
        let ok = (1..=TAG_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-@".contains(&b));
        if !ok {
            return Err(Refused::invalid(format!(
                "`{}` cannot stand in a tag: names and values have 1 to {TAG_CHARS_MAX} of a-z 0-9 . _ - @",
                shown(text)
            )));
        }
    }
    Ok(asked.clone())
}

/// Sets and takes away tags.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `limit_reached`, `nothing_to_change`.
pub async fn update_tags(app: &App, caller: &Caller, text: &str, body: UpdateTags) -> Result<Changed, Refused> {
    let id = namespace_id(app, text)?;
    let mut unit = match Unit::begin(app, caller, Action::UpdateNamespaceTags, &(text, &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    unit.decide(Action::UpdateNamespaceTags, countersign_core::authz::Target::Namespace(&id))?;
    let before = unit.write.namespace(&id).await?.ok_or_else(|| Refused::not_found("namespace", id.as_str()))?;
    if let Some(name) = body.remove.iter().find(|name| body.upsert.contains_key(*name)) {
        return Err(Refused::invalid(format!("the tag `{}` is both set and taken away", shown(name))));
    }
    let mut after = before.clone();
    after.temporal.tags.extend(body.upsert);
    after.temporal.tags.retain(|name, _| !body.remove.contains(name));
    after.temporal.tags = tags(&after.temporal.tags)?;
    if after == before {
        return Err(Refused::nothing_to_change(format!("the tags of {id} are so already")));
    }
    let operation = namespaces::save(app, unit, &before, after, "namespace", id.as_str()).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}

/// Gives a search attribute another name.
///
/// # Errors
/// `not_found`, `forbidden`, `invalid_argument`, `already_exists`, `resource_version_conflict`.
pub async fn rename_search_attribute(app: &App, caller: &Caller, text: &str, body: RenameSearchAttribute) -> Result<Changed, Refused> {
    let id = namespace_id(app, text)?;
    let mut unit = match Unit::begin(app, caller, Action::RenameCustomSearchAttribute, &(text, &body)).await? {
        Begun::Repeated(operation) => return Ok(Changed { request_status: convert::request_status(&operation) }),
        Begun::New(unit) => unit,
    };
    let before = unit.namespace(&id, Action::RenameCustomSearchAttribute).await?;
    namespaces::check_namespace_version(body.resource_version.as_deref(), &before)?;
    let mut after = before.clone();
    let attributes = &mut after.temporal.search_attributes;
    let new = attribute_name(&body.new_name)?;
    if body.existing_name == new {
        return Err(Refused::nothing_to_change("the search attribute has this name already"));
    }
    if attributes.contains_key(&new) {
        return Err(Refused::new("already_exists", format!("there is a search attribute {new} already")).hint("choose another name"));
    }
    let kind = attributes.remove(&body.existing_name).ok_or_else(|| Refused::not_found("search attribute", &body.existing_name))?;
    attributes.insert(new, kind);
    let operation = namespaces::save(app, unit, &before, after, "namespace", id.as_str()).await?;
    Ok(Changed { request_status: convert::request_status(&operation) })
}
