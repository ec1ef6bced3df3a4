//! What a server does wrong on purpose, and when. It owns the choice; each server acts it out in its own protocol.
//!
//! ```
//! use world::fault::{Fault, Faults};
//!
//! let faults = Faults::default();
//! faults.next_requests(1, Fault::Cut);
//! assert_eq!(faults.draw(), Fault::Cut);
//! assert_eq!(faults.draw(), Fault::None);
//! ```

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};

/// One way for an HTTP server to fail.
///
/// `Status` and `RateLimit` refuse: the request has no effect. `Late`, `Hang` and `Cut` take the request, so that
/// its effect is there while the sender does not know: the case in which a careless sender repeats itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing goes wrong.
    #[default]
    None,
    /// Refuses with this status.
    Status {
        /// The HTTP status code.
        code: u16,
        /// What `Retry-After` says, rounded up to whole seconds; no header without it.
        retry_after: Option<Duration>,
        /// The body as it stands.
        body: String,
    },
    /// Takes the request and answers after this time.
    Late(Duration),
    /// Takes the request and never answers, with the connection left open.
    Hang,
    /// Takes the request and closes the connection before the first byte of the answer.
    Cut,
    /// Refuses with status 429 in the words of the server's own protocol.
    RateLimit,
}

impl Fault {
    /// A refusal with this status and nothing else.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None, body: String::new() }
    }

    /// The answer in place of the server's own, where the fault is a refusal; `limited` words the 429.
    pub fn refusal(&self, limited: impl FnOnce() -> Response) -> Option<Response> {
        match self {
            Self::Status { code, retry_after, body } => {
                let code = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut response = (code, body.clone()).into_response();
                if let Some(after) = retry_after {
                    response.headers_mut().insert(RETRY_AFTER, whole_seconds(*after).into());
                }
                Some(response)
            }
            Self::RateLimit => Some(limited()),
            Self::None | Self::Late(_) | Self::Hang | Self::Cut => None,
        }
    }
}

/// A duration as `Retry-After` states it: whole seconds, rounded up.
pub fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Faults for HTTP servers.
pub type Faults = Switch<Fault>;

/// Which fault meets which request. Clones share one switch.
#[derive(Debug, Default)]
pub struct Switch<F>(Arc<Mutex<Plan<F>>>);

#[derive(Debug, Default)]
struct Plan<F> {
    standing: F,
    queued: VecDeque<(F, usize)>,
}

impl<F> Clone for Switch<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: Clone + Default> Switch<F> {
    /// Every request from now on meets this fault, until another is set or all are cleared.
    pub fn set(&self, fault: F) {
        *self.plan() = Plan { standing: fault, queued: VecDeque::new() };
    }

    /// The next `count` requests meet this fault, after those queued before and ahead of the one that is set.
    pub fn next_requests(&self, count: usize, fault: F) {
        self.plan().queued.push_back((fault, count));
    }

    /// No faults any more.
    pub fn clear(&self) {
        self.set(F::default());
    }

    /// The fault for the request at hand; one that was set for a number of requests is used up by one.
    pub fn draw(&self) -> F {
        let mut plan = self.plan();
        while let Some((fault, left)) = plan.queued.pop_front() {
            if left > 1 {
                plan.queued.push_front((fault.clone(), left - 1));
            }
            if left > 0 {
                return fault;
            }
        }
        plan.standing.clone()
    }

    fn plan(&self) -> MutexGuard<'_, Plan<F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_faults_come_in_order_and_then_the_standing_one() {
        let faults = Faults::default();
        faults.set(Fault::Hang);
        faults.next_requests(2, Fault::None);
        faults.next_requests(0, Fault::RateLimit);
        faults.next_requests(1, Fault::Cut);
        let drawn: Vec<Fault> = std::iter::repeat_with(|| faults.draw()).take(5).collect();
        assert_eq!(drawn, [Fault::None, Fault::None, Fault::Cut, Fault::Hang, Fault::Hang]);
        faults.clear();
        assert_eq!(faults.draw(), Fault::None);
    }

    #[test]
    fn retry_after_rounds_up() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
    }
}
