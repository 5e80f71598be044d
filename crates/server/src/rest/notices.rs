//! `/notices`: what ends soon, and how people are told.

use super::body::{Asked, Body};
use super::table::{Entry, entry};
use crate::app::{App, caller::Caller, notices};
use crate::error::Refused;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use countersign_core::authz::{Action, Actor};
use countersign_proto::rest::{
    CalendarBody, Changed, CreateWebhook, CreatedWebhook, NoticeBody, NoticeSettingsBody, Page, PageQuery, TestMail, TestedMail,
    WebhookBody,
};
use std::sync::Arc;

const TAG: &str = "Notices";

pub(super) fn table() -> Vec<Entry> {
    let set = Action::SetNotices;
    vec![
        entry(
            Method::GET,
            "/notices",
            Action::GetNotices,
            (TAG, "notice"),
            "listNotices",
            "Credentials that end soon, newest notice first, and how each notice went out",
            list,
        )
        .asks::<PageQuery>()
        .lists::<NoticeBody>(),
        entry(Method::GET, "/notices/settings", set, (TAG, "notice_settings"), "getNoticeSettings", "Who is told and how", get_settings)
            .gives::<NoticeSettingsBody>(),
        entry(
            Method::PUT,
            "/notices/settings",
            set,
            (TAG, "notice_settings"),
            "setNoticeSettings",
            "Set who is told and how",
            set_settings,
        )
        .grants()
        .takes::<NoticeSettingsBody>()
        .gives::<Changed>(),
        entry(
            Method::POST,
            "/notices/test-mail",
            set,
            (TAG, "test_mail"),
            "testMail",
            "Send one mail, and say what the mail server answered",
            test_mail,
        )
        .grants()
        .takes::<TestMail>()
        .gives::<TestedMail>(),
        entry(Method::GET, "/notices/webhooks", set, (TAG, "webhook"), "listWebhooks", "Webhooks that get every notice", list_webhooks)
            .lists::<WebhookBody>(),
        entry(
            Method::POST,
            "/notices/webhooks",
            set,
            (TAG, "webhook"),
            "createWebhook",
            "Add a webhook; its signing secret is in this answer and in no other",
            create_webhook,
        )
        .grants()
        .takes::<CreateWebhook>()
        .creates::<CreatedWebhook>(),
        entry(Method::DELETE, "/notices/webhooks/{id}", set, (TAG, "webhook"), "deleteWebhook", "Take a webhook away", delete_webhook)
            .takes_away()
            .gives::<Changed>(),
        entry(
            Method::POST,
            "/notices/calendar",
            set,
            (TAG, "calendar"),
            "createCalendar",
            "Make the calendar feed's secret address anew; the one before ends",
            create_calendar,
        )
        .grants()
        .creates::<CalendarBody>(),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<NoticeBody>>, Refused> {
    notices::list(&app, &actor, &query).await.map(Json)
}

async fn get_settings(State(app): State<Arc<App>>, Extension(actor): Extension<Actor>) -> Result<Json<NoticeSettingsBody>, Refused> {
    notices::get_settings(&app, &actor).await.map(Json)
}

async fn set_settings(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<NoticeSettingsBody>,
) -> Result<Json<Changed>, Refused> {
    notices::set_settings(&app, &caller, body).await.map(Json)
}

async fn test_mail(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<TestMail>,
) -> Result<Json<TestedMail>, Refused> {
    notices::test_mail(&app, &caller, body).await.map(Json)
}

async fn list_webhooks(State(app): State<Arc<App>>, Extension(actor): Extension<Actor>) -> Result<Json<Page<WebhookBody>>, Refused> {
    notices::list_webhooks(&app, &actor).await.map(Json)
}

async fn create_webhook(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<CreateWebhook>,
) -> Result<(StatusCode, Json<CreatedWebhook>), Refused> {
    notices::create_webhook(&app, &caller, body).await.map(|made| (StatusCode::CREATED, Json(made)))
}

async fn delete_webhook(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Changed>, Refused> {
    notices::delete_webhook(&app, &caller, &id).await.map(Json)
}

async fn create_calendar(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, Json<CalendarBody>), Refused> {
    notices::create_calendar(&app, &caller).await.map(|made| (StatusCode::CREATED, Json(made)))
}

/// The feed: open to whoever has its address, since calendars send no credential.
pub(super) async fn calendar(State(app): State<Arc<App>>, Path(file): Path<String>) -> Result<impl IntoResponse, Refused> {
    let feed = notices::calendar(&app, file.strip_suffix(".ics").unwrap_or(&file)).await?;
    Ok(([(header::CONTENT_TYPE, "text/calendar; charset=utf-8")], feed))
}
