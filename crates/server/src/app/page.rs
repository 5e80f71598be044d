//! Pages of lists: from what a caller asks to what the store is asked, and back. No filter is applied here.

use crate::error::Refused;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use countersign_proto::rest::Page as PageBody;
use countersign_store::Page;

/// A page as asked for; a token is the last id of the page before, wrapped so that nobody takes it apart.
///
/// # Errors
/// A size outside 1 to 1000, or a token that no answer gave.
pub fn asked(size: Option<u32>, token: Option<&str>) -> Result<Page, Refused> {
    let size = match size {
        None => PAGE_SIZE_DEFAULT,
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| (1..=PAGE_SIZE_MAX).contains(n))
            .ok_or_else(|| Refused::invalid(format!("page_size is 1 to {PAGE_SIZE_MAX}")))?,
    };
    let after = match token {
        None | Some("") => None,
        Some(token) => Some(
            URL_SAFE_NO_PAD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .filter(|text| text.len() <= 256 && text.chars().all(|c| c.is_ascii_graphic()))
                .ok_or_else(|| Refused::invalid("page_token is not one that an answer gave; leave it out for the first page"))?,
        ),
    };
    Ok(Page { size, after })
}

/// A token of the page that follows `key`.
pub fn token(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// One entry more than asked for, to see whether another page follows.
pub fn one_more(page: &Page) -> Page {
    Page { size: page.size + 1, after: page.after.clone() }
}

/// Cuts a list that was read with [`one_more`], and says where the next page begins.
pub fn cut<T, B>(mut found: Vec<T>, page: &Page, key: impl Fn(&T) -> String, body: impl FnMut(T) -> B) -> PageBody<B> {
    let more = found.len() > page.size;
    found.truncate(page.size);
    let next_page_token = found.last().filter(|_| more).map(|last| token(&key(last))).unwrap_or_default();
    PageBody { items: found.into_iter().map(body).collect(), next_page_token }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_and_continued() {
        let page = asked(Some(2), None).expect("a size of 2 is allowed");
        assert_eq!(one_more(&page).size, 3);
        let first = cut(vec!["a", "b", "c"], &page, |t| (*t).to_owned(), |t| t);
        assert_eq!(first.items, ["a", "b"]);
        assert_eq!(asked(Some(2), Some(&first.next_page_token)).expect("a given token").after.as_deref(), Some("b"));
        assert!(cut(vec!["c"], &page, |t| (*t).to_owned(), |t| t).next_page_token.is_empty());
        for (size, token) in [(Some(0), None), (Some(1001), None), (None, Some("!")), (None, Some("AAAA"))] {
            assert!(asked(size, token).is_err(), "{size:?} {token:?}");
        }
    }
}
