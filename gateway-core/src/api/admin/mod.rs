//! What operators ask for: one table of their paths. The router follows it, and so does the description in
//! `docs/admin-api.json`.

#[cfg(any(test, feature = "schema"))]
mod openapi;

use http::Method;

#[cfg(any(test, feature = "schema"))]
pub use openapi::admin_api;

/// What an operator asks for, with the names that the path has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminRoute<'a> {
    /// What it is about.
    pub about: AdminPath,
    /// The names in the path, percent-encoded as they came; what the path has fewer of is empty.
    pub names: [&'a str; 2],
    /// Whether something is to be changed.
    pub right: Right,
}

/// What a key must allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To look.
    Read,
    /// To change something.
    Write,
}

/// What a path is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminPath {
    /// The configuration in force.
    Config,
    /// The texts that stand for answers.
    Canned,
    /// All budgets.
    Budgets,
    /// One budget.
    Budget,
    /// All clusters, as they stand.
    Clusters,
    /// One of them.
    Cluster,
    /// Whether a replica drains.
    Drain,
    /// Asking a cluster's engines what they say of themselves.
    Poll,
    /// All models with versions.
    Rollouts,
    /// One of them.
    Rollout,
    /// The latest requests.
    Requests,
    /// Why one of them went where it went.
    Request,
    /// Where a request would go.
    Explain,
    /// How many replicas all clusters should have.
    Scales,
    /// How many one of them should have.
    Scale,
    /// Answers in the response cache.
    Cache,
}

impl AdminPath {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Config,
        Self::Canned,
        Self::Budgets,
        Self::Budget,
        Self::Clusters,
        Self::Cluster,
        Self::Drain,
        Self::Poll,
        Self::Rollouts,
        Self::Rollout,
        Self::Requests,
        Self::Request,
        Self::Explain,
        Self::Scales,
        Self::Scale,
        Self::Cache,
    ];

    /// The path behind `BASE`, with a name in braces where one stands.
    pub fn template(self) -> &'static str {
        match self {
            Self::Config => "/config",
            Self::Canned => "/canned",
            Self::Budgets => "/budgets",
            Self::Budget => "/budgets/{tenant}/{name}",
            Self::Clusters => "/clusters",
            Self::Cluster => "/clusters/{cluster}",
            Self::Drain => "/clusters/{cluster}/replicas/{replica}/drain",
            Self::Poll => "/clusters/{cluster}/poll",
            Self::Rollouts => "/rollouts",
            Self::Rollout => "/rollouts/{model}",
            Self::Requests => "/requests",
            Self::Request => "/requests/{request}",
            Self::Explain => "/explain",
            Self::Scales => "/scale",
            Self::Scale => "/scale/{cluster}",
            Self::Cache => "/cache",
        }
    }

    /// Its methods, as `allow` lists them.
    pub fn methods(self) -> &'static str {
        match self {
            Self::Config => "GET, HEAD, PUT",
            Self::Budget | Self::Canned => "GET, HEAD, PUT, DELETE",
            Self::Drain => "GET, HEAD, POST, DELETE",
            Self::Poll | Self::Explain => "POST",
            Self::Cache => "DELETE",
            Self::Rollout => "GET, HEAD, PUT, POST",
            Self::Budgets
            | Self::Clusters
            | Self::Cluster
            | Self::Rollouts
            | Self::Requests
            | Self::Request
            | Self::Scales
            | Self::Scale => "GET, HEAD",
        }
    }

    /// Whether it is answered at `/admin/…` as well, where it was before there were versions.
    fn is_unversioned(self) -> bool {
        match self {
            Self::Config | Self::Budgets | Self::Budget => true,
            Self::Canned
            | Self::Clusters
            | Self::Cluster
            | Self::Drain
            | Self::Poll
            | Self::Rollouts
            | Self::Rollout
            | Self::Requests
            | Self::Request
            | Self::Explain
            | Self::Scales
            | Self::Scale
            | Self::Cache => false,
        }
    }

    /// The names that a path has in the template's braces, where it is one of these.
    fn names(self, path: &str) -> Option<[&str; 2]> {
        let mut names = [""; 2];
        let mut free = names.iter_mut();
        let mut parts = path.split('/');
        for expected in self.template().split('/') {
            let part = parts.next()?;
            if !expected.starts_with('{') {
                (part == expected).then_some(())?;
            } else if part.is_empty() {
                return None;
            } else if let Some(name) = free.next() {
                *name = part;
            }
        }
        parts.next().is_none().then_some(names)
    }
}

/// What a path is about, with its names; `None` where it is none of the operators'.
pub(super) fn find(path: &str) -> Option<(AdminPath, [&str; 2])> {
    let (path, is_versioned) = match path.strip_prefix(BASE) {
        Some(path) => (path, true),
        None => (path.strip_prefix("/admin")?, false),
    };
    let mut known = AdminPath::ALL.into_iter();
    known.find_map(|known| {
        let names = known.names(path)?;
        (is_versioned || known.is_unversioned()).then_some((known, names))
    })
}

/// What a method of a path needs. Asking where a request would go changes nothing.
pub(super) fn right(about: AdminPath, method: &Method) -> Right {
    if method == Method::GET || method == Method::HEAD || about == AdminPath::Explain {
        Right::Read
    } else {
        Right::Write
    }
}

/// What every path begins with.
pub const BASE: &str = "/admin/v1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Route;

    fn sample(path: AdminPath) -> String {
        let parts = path.template().split('/');
        let parts = parts.map(|part| if part.starts_with('{') { "x" } else { part });
        format!("{BASE}{}", parts.collect::<Vec<_>>().join("/"))
    }

    #[test]
    fn the_router_takes_each_path_with_its_methods_and_no_others() {
        for about in AdminPath::ALL {
            let path = sample(about);
            for method in [
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ] {
                let is_allowed = about.methods().split(", ").any(|allowed| method == allowed);
                let routed = Route::of(&method, &path);
                if let Route::Admin(route) = routed {
                    assert!(is_allowed && route.about == about, "{method} {path}");
                    let is_read = method == Method::GET || method == Method::HEAD || about == AdminPath::Explain;
                    assert_eq!(route.right == Right::Read, is_read, "{method} {path}");
                } else {
                    assert_eq!(routed, Route::MethodNotAllowed(about.methods()), "{method} {path}");
                    assert!(!is_allowed, "{method} {path}");
                }
            }
            let unversioned = Route::of(&Method::GET, path.strip_prefix(BASE).expect("its base"));
            assert_eq!(unversioned, Route::NotFound);
        }
    }

    #[test]
    fn names_are_told_as_they_came_and_paths_have_all_of_theirs() {
        assert_eq!(
            find("/admin/budgets/acme/chat"),
            Some((AdminPath::Budget, ["acme", "chat"]))
        );
        assert_eq!(
            find("/admin/v1/clusters/e%2Fu"),
            Some((AdminPath::Cluster, ["e%2Fu", ""]))
        );
        for path in [
            "/admin/clusters",
            "/admin/v1",
            "/admin/v1/",
            "/admin/v1/clusters/",
            "/admin/v1/config/",
            "/admin/v1/budgets/acme",
            "/admin/v1/budgets/acme/chat/more",
            "/admin/v2/config",
            "/adminconfig",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
