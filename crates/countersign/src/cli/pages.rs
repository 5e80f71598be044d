//! Lists: one page when the caller pages, else all of them.

use super::Session;
use super::errors::{Failure, Outcome};
use super::table::Column;
use countersign_proto::rest::{Page, UserBody};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The flags of every list.
#[derive(clap::Args, Clone, Default)]
pub struct PageFlags {
    /// At most this many, 1 to 1000; without it, and without --page-token, all pages are fetched
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub page_size: Option<u32>,

    /// Go on where the page with this nextPageToken ended
    #[arg(long, value_name = "TOKEN")]
    pub page_token: Option<String>,
}

impl Session {
    /// Fetches one page, or all of them.
    pub async fn pages<T: DeserializeOwned>(
        &self,
        path: &[&str],
        flags: &PageFlags,
        filters: &[(&str, Option<String>)],
    ) -> Result<Page<T>, Failure> {
        let one = flags.page_size.is_some() || flags.page_token.is_some();
        let mut all: Vec<T> = Vec::new();
        let mut token = flags.page_token.clone();
        loop {
            let size = flags.page_size.unwrap_or(if one { 100 } else { 1000 });
            let mut query = filters.to_vec();
            query.push(("page_size", Some(size.to_string())));
            query.push(("page_token", token.clone()));
            let page: Page<T> = self.client()?.get(path, &query).await?;
            all.extend(page.items);
            // A token that comes back unchanged would never end.
            if one || page.next_page_token.is_empty() || token.as_deref() == Some(&page.next_page_token) {
                return Ok(Page { items: all, next_page_token: if one { page.next_page_token } else { String::new() } });
            }
            token = Some(page.next_page_token);
        }
    }

    /// Names of users by their ids, for the columns of a table: empty where a program reads, or where the caller may not list users.
    pub async fn user_names(&self) -> BTreeMap<String, String> {
        if self.output.is_json() {
            return BTreeMap::new();
        }
        let users = self.pages::<UserBody>(&["users"], &PageFlags::default(), &[]).await;
        users.map(|page| page.items.into_iter().map(|user| (user.id, user.email)).collect()).unwrap_or_default()
    }

    /// Prints a page: as the API returns it, or as a table.
    pub fn show_page<T: Serialize>(&self, page: &Page<T>, head: &[Column], empty: &str, row: impl Fn(&T) -> Vec<String>) -> Outcome {
        self.output.show(page, || {
            let mut text = self.output.list(head, page.items.iter().map(row).collect(), empty);
            if !page.next_page_token.is_empty() {
                text.push_str(&format!("more with: --page-token {}\n", page.next_page_token));
            }
            text
        })
    }
}
