//! What the pages load beside themselves: one style, one script, one icon, all part of the binary. Owns how long a
//! browser keeps them: the address names their content, so they never change.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("app.js");
const ICON: &str = include_str!("icon.svg");

/// How long a browser keeps what an address with a content's mark gave.
const KEPT: &str = "public, max-age=31536000, immutable";

/// The mark of the content, for the addresses in a page.
pub(super) static MARK: LazyLock<String> = LazyLock::new(|| {
    // FNV-1a: it tells versions apart and keeps nobody out.
    let bytes = STYLE.bytes().chain(SCRIPT.bytes()).chain(ICON.bytes());
    let mark = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{mark:016x}")
});

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

pub(super) async fn icon() -> Response {
    asset("image/svg+xml", ICON)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, KEPT)], text).into_response()
}
