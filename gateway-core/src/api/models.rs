//! Models as clients list them.

use bytes::Bytes;
use serde::Serialize;

use crate::config::Model;

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

/// The body of `GET /v1/models`.
pub fn model_list<'a>(models: impl Iterator<Item = &'a Model>) -> Bytes {
    to_bytes(&List {
        object: "list",
        data: models.map(item).collect(),
    })
}

/// The body of `GET /v1/models/{id}`.
pub fn model_item(model: &Model) -> Bytes {
    to_bytes(&item(model))
}

fn item(model: &Model) -> Item<'_> {
    Item {
        id: model.name.as_str(),
        object: "model",
        created: model.created,
        owned_by: &model.owned_by,
    }
}

fn to_bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}
