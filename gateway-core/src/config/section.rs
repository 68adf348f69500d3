//! Declares a table of `gateway.toml` once, for all that must agree about it: the as-written struct, the keys that the
//! reader knows, and the table's JSON Schema with the comments as descriptions.

/// `section! { /// docs Name { /// docs key: Kind, … } }`
macro_rules! section {
    ($(#[doc = $doc:literal])* $section:ident { $($(#[doc = $key_doc:literal])* $key:ident: $kind:ty,)* }) => {
        $(#[doc = $doc])*
        pub(in crate::config) struct $section {
            $($(#[doc = $key_doc])* pub $key: $crate::config::read::Field<$kind>,)*
        }

        impl $section {
            /// Reads the keys of a table.
            #[inline(never)]
            pub fn of(keys: &$crate::config::read::Keys<'_>, report: &mut $crate::config::report::Report) -> Self {
                keys.expect_only(&[$(stringify!($key)),*], report);
                Self { $($key: keys.read::<$kind>(stringify!($key), report),)* }
            }
        }

        impl $crate::config::read::Kind for $section {
            type Value = Self;

            fn expected() -> String {
                format!("a table of {}", [$(concat!("`", stringify!($key), "`")),*].join(", "))
            }

            fn read(
                node: $crate::config::read::Node<'_>,
                report: &mut $crate::config::report::Report,
            ) -> Option<Self> {
                let keys = node.keys();
                if keys.is_none() {
                    node.wrong_type(&<Self as $crate::config::read::Kind>::expected(), report);
                }
                keys.map(|keys| Self::of(&keys, report))
            }

            /// A table of which every key may be absent may be absent itself.
            fn absent(
                place: $crate::config::report::Place,
                report: &mut $crate::config::report::Report,
            ) -> Option<Self> {
                Some(Self { $($key: Some($crate::config::read::absent::<$kind>(place, stringify!($key), report)?),)* })
            }
        }

        #[cfg(any(test, feature = "schema"))]
        impl $crate::config::schema::Describe for $section {
            fn schema() -> serde_json::Value {
                $crate::config::schema::table(
                    &[$($doc),*],
                    [$($crate::config::schema::key::<$kind>(stringify!($key), &[$($key_doc),*]),)*],
                )
            }
        }
    };
}

pub(super) use section;
