//! One row an operation: what the router needs, what the document says, what the audit trail calls it.

use super::PREFIX;
use crate::app::App;
use crate::app::effect::Effect;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use countersign_core::authz::Action;
use std::sync::Arc;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, ToSchema};

/// A named schema.
pub type Named = (String, RefOr<Schema>);

/// What an operation answers with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// One body of this schema.
    One(String),
    /// A page of bodies of this schema.
    PageOf(String),
}

/// One operation.
pub struct Entry {
    /// The method.
    pub method: Method,
    /// The path below the prefix, parameters in braces.
    pub path: &'static str,
    /// What it is in the table of rights and in the audit trail.
    pub action: Action,
    /// The kind of its object.
    pub kind: &'static str,
    /// Its id in the document.
    pub name: &'static str,
    /// One line on it.
    pub summary: &'static str,
    /// The noun it belongs to.
    pub tag: &'static str,
    /// Query parameters.
    pub query: Vec<Parameter>,
    /// The request's schema.
    pub request: Option<String>,
    /// The answer.
    pub answer: Answer,
    /// What it does to access; `None` in a row that does not say, which a test refuses.
    pub effect: Option<Effect>,
    /// Whether it makes something (201).
    pub creates: bool,
    /// Every schema named above, and those they name.
    pub schemas: Vec<Named>,
    /// What does it.
    pub handler: MethodRouter<Arc<App>>,
}

/// The part of an [`Entry`] that is asked on every request.
#[derive(Clone, Debug)]
pub struct Row {
    /// The method.
    pub method: Method,
    /// The path's segments, parameters as `None`.
    pub segments: Vec<Option<&'static str>>,
    /// The action.
    pub action: Action,
    /// The kind of its object.
    pub kind: &'static str,
    /// Whether it changes something.
    pub changes: bool,
    /// What it does to access.
    pub effect: Effect,
    /// Names of query parameters.
    pub query: Vec<String>,
}

/// The beginning of a row. `tag` and `kind` name the noun for people and for the audit trail.
pub fn entry<H, T>(
    method: Method,
    path: &'static str,
    action: Action,
    noun: (&'static str, &'static str),
    name: &'static str,
    summary: &'static str,
    handler: H,
) -> Entry
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    // The five methods used in the tables all have a filter.
    let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
    let effect = (method == Method::GET).then_some(Effect::Reads);
    Entry {
        method,
        path,
        action,
        kind: noun.1,
        name,
        summary,
        tag: noun.0,
        query: Vec::new(),
        request: None,
        answer: Answer::One("Changed".to_owned()),
        effect,
        creates: false,
        schemas: Vec::new(),
        handler: on(filter, handler),
    }
}

impl Entry {
    fn note<B: ToSchema>(&mut self) -> String {
        let name = B::name().into_owned();
        self.schemas.push((name.clone(), B::schema()));
        B::schemas(&mut self.schemas);
        name
    }

    /// With a request body.
    #[must_use]
    pub fn takes<B: ToSchema>(mut self) -> Self {
        self.request = Some(self.note::<B>());
        self
    }

    /// With this answer.
    #[must_use]
    pub fn gives<B: ToSchema>(mut self) -> Self {
        self.answer = Answer::One(self.note::<B>());
        self
    }

    /// With this answer, of something new.
    #[must_use]
    pub fn creates<B: ToSchema>(mut self) -> Self {
        self.creates = true;
        self.gives::<B>()
    }

    /// With a page of these.
    #[must_use]
    pub fn lists<B: ToSchema>(mut self) -> Self {
        self.answer = Answer::PageOf(self.note::<B>());
        self
    }

    /// With query parameters.
    #[must_use]
    pub fn asks<Q: IntoParams>(mut self) -> Self {
        self.query = Q::into_params(|| Some(ParameterIn::Query));
        self
    }

    /// That writes nothing, although its method is another one than GET.
    #[must_use]
    pub fn reads(mut self) -> Self {
        self.effect = Some(Effect::Reads);
        self
    }

    /// That creates, widens or restores access, or changes something beside it.
    #[must_use]
    pub fn grants(mut self) -> Self {
        self.effect = Some(Effect::Grants);
        self
    }

    /// That only ever takes access away: a full disk does not stand in its way.
    #[must_use]
    pub fn takes_away(mut self) -> Self {
        self.effect = Some(Effect::TakesAway);
        self
    }

    /// That may do either: what it changes decides.
    #[must_use]
    pub fn by_change(mut self) -> Self {
        self.effect = Some(Effect::ByChange);
        self
    }

    /// Whether it changes something.
    pub fn changes(&self) -> bool {
        self.method != Method::GET && self.action != Action::Explain
    }

    /// See [`Row`].
    pub fn row(&self) -> Row {
        let mut query: Vec<String> = self.query.iter().map(|p| p.name.clone()).collect();
        if self.changes() {
            query.push("requestId".to_owned());
        }
        let segments = self.path.trim_start_matches('/').split('/').map(|s| if s.starts_with('{') { None } else { Some(s) }).collect();
        // A row that does not say counts as the one that a full disk refuses.
        let effect = self.effect.unwrap_or(Effect::Grants);
        Row { method: self.method.clone(), segments, action: self.action, kind: self.kind, changes: self.changes(), effect, query }
    }
}

impl Row {
    /// Whether the row's path is this one; and the first parameter's text, if it has one.
    pub fn matches<'p>(&self, path: &'p str) -> Option<Option<&'p str>> {
        let mut given = path.strip_prefix(PREFIX)?.strip_prefix('/')?.split('/');
        let mut first = None;
        for segment in &self.segments {
            let text = given.next()?;
            match segment {
                Some(fixed) if *fixed == text => {}
                None if !text.is_empty() => first = first.or(Some(text)),
                _ => return None,
            }
        }
        given.next().is_none().then_some(first)
    }
}
