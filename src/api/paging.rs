//! Paging: how a list is cut into pages. Owns the cursor: the id of the last item of the page before.

use axum::http::StatusCode;

use super::problem::Problem;
use super::view::Page;

/// The most items of a page.
const MOST: usize = 1_000;

/// How many items a page has where nothing is said.
const USUAL: usize = 100;

/// The page that is asked for.
#[derive(Debug, Default)]
pub(super) struct Paging {
    after: Option<String>,
    limit: usize,
}

impl Paging {
    pub(super) fn new(limit: Option<usize>, after: Option<String>) -> Self {
        Self { after, limit: limit.unwrap_or(USUAL).clamp(1, MOST) }
    }

    /// The page of `all`, whose items are named by `id` and made by `make`. Where the item that the page before ended with
    /// is gone, the list begins anew: nothing is left out.
    pub(super) fn page<T, V>(
        &self,
        all: Vec<T>,
        id: impl Fn(&T) -> String,
        make: impl Fn(T) -> V,
    ) -> Page<V> {
        let known = self.after.as_ref().and_then(|after| all.iter().position(|item| id(item) == *after));
        let rest: Vec<T> = all.into_iter().skip(known.map_or(0, |at| at + 1)).collect();
        let next = (rest.len() > self.limit).then(|| rest.get(self.limit - 1).map(&id)).flatten();
        Page { items: rest.into_iter().take(self.limit).map(make).collect(), next }
    }
}

/// The word of a closed list that a query names.
pub(super) fn word<T: Copy>(
    all: &[T],
    text: Option<&str>,
    as_str: impl Fn(T) -> &'static str,
    what: &str,
) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let found = all.iter().copied().find(|one| as_str(*one) == text);
    found.map(Some).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|one| as_str(*one)).collect();
        let detail = format!("`{text}` is no {what}; known are {}", known.join(", "));
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_and_nothing_is_left_out() {
        let page = |limit, after: Option<&str>| {
            let paging = Paging::new(Some(limit), after.map(str::to_owned));
            let page = paging.page((1..=5).collect(), ToString::to_string, |item: u32| item);
            (page.items, page.next)
        };
        assert_eq!(page(2, None), (vec![1, 2], Some("2".into())));
        assert_eq!(page(2, Some("2")), (vec![3, 4], Some("4".into())));
        assert_eq!(page(2, Some("4")), (vec![5], None));
        assert_eq!(page(2, Some("5")), (vec![], None));
        assert_eq!(page(5, None), (vec![1, 2, 3, 4, 5], None));
        assert_eq!(page(0, Some("gone")), (vec![1], Some("1".into())));
    }
}
