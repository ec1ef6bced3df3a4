//! What the API server's refusals mean. Owns the one table from errors to [`ClusterFailure`].

use kube::Error;
use kube::core::Status;

use crate::domain::scaling::ClusterFailure;

/// Whether a call only reads, or may have changed something before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Nothing can have changed.
    Read,
    /// Where the outcome is unknown, that is what must be said.
    Write,
}

/// The class of a failed call.
///
/// A write that ended in 500, 502 or 504 may have been made (a slow etcd, a proxy that lost the answer): it is
/// `Unreachable`, whose outcome is unknown. 429 and 503 are answers of a server that did nothing.
pub(super) fn classify(error: &Error, call: Call) -> ClusterFailure {
    match error {
        Error::Api(status) => by_status(status, call),
        Error::Auth(_) => ClusterFailure::Forbidden,
        Error::Discovery(_) => ClusterFailure::NotFound,
        Error::BuildRequest(_) => ClusterFailure::Invalid,
        // Whatever else: no answer, or none that can be read.
        _ => ClusterFailure::Unreachable,
    }
}

fn by_status(status: &Status, call: Call) -> ClusterFailure {
    match status.code {
        // Quota and limit range refuse with the code of a missing right.
        403 if is_admission(&status.message) => ClusterFailure::Invalid,
        401 | 403 => ClusterFailure::Forbidden,
        404 => ClusterFailure::NotFound,
        405 | 415 => ClusterFailure::NotScalable,
        409 => ClusterFailure::Conflict,
        429 | 503 => ClusterFailure::Unavailable,
        400..=499 => ClusterFailure::Invalid,
        // A body in JSON that is not the API's own loses the code on the way: only that it was an error is known.
        _ => match call {
            Call::Read => ClusterFailure::Unavailable,
            Call::Write => ClusterFailure::Unreachable,
        },
    }
}

/// A missing right reads `User "…" cannot patch resource "…"`; a refused size names quota or bounds instead.
fn is_admission(message: &str) -> bool {
    !message.contains(" cannot ")
        && [
            "exceeded quota",
            "failed quota",
            "usage per Container is",
            "usage per Pod is",
            "to limit ratio per",
        ]
        .iter()
        .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, message: &str) -> Error {
        Error::Api(Status::failure(message, "").with_code(code).boxed())
    }

    #[test]
    fn each_refusal_has_one_meaning() {
        let right =
            r#"deployments.apps "a" is forbidden: User "x" cannot patch resource "deployments/scale""#;
        let quota =
            r#"pods "a" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=1, limited: cpu=1"#;
        let range = r#"pods "a" is forbidden: maximum cpu usage per Container is 1, but limit is 2"#;
        let cases = [
            (404, "", ClusterFailure::NotFound, ClusterFailure::NotFound),
            (401, "", ClusterFailure::Forbidden, ClusterFailure::Forbidden),
            (403, right, ClusterFailure::Forbidden, ClusterFailure::Forbidden),
            (403, quota, ClusterFailure::Invalid, ClusterFailure::Invalid),
            (403, range, ClusterFailure::Invalid, ClusterFailure::Invalid),
            (409, "", ClusterFailure::Conflict, ClusterFailure::Conflict),
            (422, "", ClusterFailure::Invalid, ClusterFailure::Invalid),
            (400, "", ClusterFailure::Invalid, ClusterFailure::Invalid),
            (405, "", ClusterFailure::NotScalable, ClusterFailure::NotScalable),
            (429, "", ClusterFailure::Unavailable, ClusterFailure::Unavailable),
            (503, "", ClusterFailure::Unavailable, ClusterFailure::Unavailable),
            (500, "", ClusterFailure::Unavailable, ClusterFailure::Unreachable),
            (504, "", ClusterFailure::Unavailable, ClusterFailure::Unreachable),
            (0, "", ClusterFailure::Unavailable, ClusterFailure::Unreachable),
        ];
        for (code, message, read, write) in cases {
            assert_eq!(classify(&api(code, message), Call::Read), read, "{code} {message}");
            assert_eq!(classify(&api(code, message), Call::Write), write, "{code} {message}");
        }
    }
}
