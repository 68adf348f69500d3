//! The row of one request: remembered, or read beside what else the request does. It is waited for at most as long as the
//! configuration says, and only where it is used; what comes later is remembered for the next one.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;

use crate::observe::{Event, Prefixing};
use crate::pipeline::context::{Exchange, within};
use crate::platform::Platform;
use crate::prefix::index::{Known, Row, RowKey};

/// The lookup of a row.
#[derive(Debug)]
pub(super) struct Lookup {
    pub key: RowKey,
    answer: RefCell<Answer>,
}

/// What came of it so far.
#[derive(Debug)]
enum Answer {
    Here(Option<Arc<Row>>),
    Coming(oneshot::Receiver<Option<Arc<Row>>>),
}

impl Lookup {
    /// Looks a row up, and reads it where it is not remembered and that pays.
    pub fn begin<P: Platform>(exchange: &Exchange<P>, key: RowKey, pays: bool) -> Self {
        let now = exchange.platform.now();
        let index = &exchange.gateway.prefix_index;
        let known = if pays {
            index.with(|memory| memory.look(now, &key))
        } else {
            Known::Row(index.with(|memory| memory.get(now, &key)).flatten())
        };
        let answer = match known {
            Known::Row(row) => {
                if pays {
                    exchange.tell(&Event::Prefix(Prefixing::Remembered));
                }
                Answer::Here(row)
            }
            Known::ToRead => Answer::Coming(read(exchange, key.clone())),
        };
        let answer = RefCell::new(answer);
        Self { key, answer }
    }

    /// The row, if it is there, or comes soon.
    pub async fn row<P: Platform>(&self, exchange: &Exchange<P>) -> Option<Arc<Row>> {
        let answer = self.answer.replace(Answer::Here(None));
        let row = match answer {
            Answer::Here(row) => row,
            Answer::Coming(told) => {
                let come = exchange.within(exchange.config.prefixes.wait, told).await;
                let is_late = come.is_none();
                exchange.tell(&Event::Prefix(Prefixing::Waited { is_late }));
                come.and_then(Result::ok).flatten()
            }
        };
        self.answer.replace(Answer::Here(row.clone()));
        row
    }
}

/// Has the row read; it comes through the channel.
fn read<P: Platform>(exchange: &Exchange<P>, key: RowKey) -> oneshot::Receiver<Option<Arc<Row>>> {
    let (tell, told) = oneshot::channel();
    let (gateway, platform) = (Arc::clone(&exchange.gateway), exchange.platform.clone());
    exchange.platform.after_response(async move {
        let read = within(&platform, LONGEST_READ, platform.store_read(&[key.as_str()])).await;
        let now = platform.now();
        let (row, event) = match read {
            Some(Ok(values)) => {
                let value = values.into_iter().next().flatten();
                let row = value.and_then(|value| Row::parse(&value)).map(Arc::new);
                let is_found = row.is_some();
                (row, Prefixing::Read { is_found })
            }
            Some(Err(_)) | None => (None, Prefixing::Unread),
        };
        gateway
            .prefix_index
            .with(|memory| memory.on_read(now, &key, row.clone()));
        gateway.tell(now, &Event::Prefix(event));
        // Who asked may have gone on without.
        let _ = tell.send(row);
    });
    told
}

/// What takes longer counts as failed.
const LONGEST_READ: Duration = Duration::from_secs(2);
