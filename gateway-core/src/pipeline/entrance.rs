//! By which of a process's addresses a request came in, and which paths are answered there.

use http::request::Parts;

use crate::api::{Audience, Route};
use crate::hop::Role;

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

    /// The route, where it is answered here, by a gateway of that role; else none.
    pub(super) fn admit<'a>(self, role: Role, route: Route<'a>) -> Route<'a> {
        match (self, route.audience(), role) {
            (Self::Clients, Audience::Operators, _)
            | (Self::Operators, Audience::Clients | Audience::Edge, _)
            | (_, Audience::Edge, Role::All | Role::Edge) => Route::NotFound,
            (_, Audience::Clients, Role::Region) => Route::OtherRole,
            (Self::Only | Self::Clients, Audience::Clients, Role::All | Role::Edge)
            | (Self::Only | Self::Clients, Audience::Edge, Role::Region)
            | (Self::Only | Self::Operators, Audience::Operators, _)
            | (_, Audience::Anybody, _) => route,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Endpoint;

    #[test]
    fn each_entrance_answers_its_own_and_probes() {
        let kinds = [Route::Usage, Route::Metrics, Route::Readyz];
        for (entrance, answered) in [
            (Entrance::Only, [true, true, true]),
            (Entrance::Clients, [true, false, true]),
            (Entrance::Operators, [false, true, true]),
        ] {
            let admitted = kinds
                .clone()
                .map(|route| entrance.admit(Role::All, route) != Route::NotFound);
            assert_eq!(admitted, answered, "{entrance:?}");
        }
    }

    #[test]
    fn clients_come_to_the_edge_and_orders_to_a_region() {
        let order = || Route::Order(Endpoint::Chat);
        for (role, of_client, of_order) in [
            (Role::All, Route::Usage, Route::NotFound),
            (Role::Edge, Route::Usage, Route::NotFound),
            (Role::Region, Route::OtherRole, order()),
        ] {
            assert_eq!(Entrance::Only.admit(role, Route::Usage), of_client, "{role:?}");
            assert_eq!(Entrance::Clients.admit(role, order()), of_order, "{role:?}");
            assert_eq!(Entrance::Only.admit(role, Route::Metrics), Route::Metrics, "{role:?}");
        }
        assert_eq!(Entrance::Operators.admit(Role::Region, order()), Route::NotFound);
    }
}
