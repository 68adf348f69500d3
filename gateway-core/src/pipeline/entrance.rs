//! By which of a process's addresses a request came in, and which paths are answered there.

use http::request::Parts;

use crate::api::{Audience, Route};

/// An address of a process. A platform that has several puts it into a request's extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Entrance {
    /// The only one.
    #[default]
    Only,
    /// For clients, where operators have their own.
    Clients,
    /// For operators: nobody reaches it whom they do not trust with their tenants' names.
    Operators,
}

impl Entrance {
    /// By which a request came in.
    pub(super) fn of(head: &Parts) -> Self {
        head.extensions.get().copied().unwrap_or_default()
    }

    /// The route, where it is answered here; else none.
    pub(super) fn admit<'a>(self, route: Route<'a>) -> Route<'a> {
        match (self, route.audience()) {
            (Self::Clients, Audience::Operators) | (Self::Operators, Audience::Clients) => Route::NotFound,
            (Self::Only, _)
            | (Self::Clients, Audience::Clients | Audience::Anybody)
            | (Self::Operators, Audience::Operators | Audience::Anybody) => route,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entrance_answers_its_own_and_probes() {
        let kinds = [Route::Usage, Route::Metrics, Route::Readyz];
        for (entrance, answered) in [
            (Entrance::Only, [true, true, true]),
            (Entrance::Clients, [true, false, true]),
            (Entrance::Operators, [false, true, true]),
        ] {
            let admitted = kinds.clone().map(|route| entrance.admit(route) != Route::NotFound);
            assert_eq!(admitted, answered, "{entrance:?}");
        }
    }
}
