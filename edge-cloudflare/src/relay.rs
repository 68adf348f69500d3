//! A streamed response on its way to the client.
//!
//! The pieces are written into the runtime's own kind of stream, as the write fails when the client has left. A stream
//! that the runtime would have to ask for pieces is forgotten, mostly, together with the client:
//! docs/decisions/0003-how-a-worker-notices-a-vanished-client.md.

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::LocalBoxStream;
use js_sys::Uint8Array;
use js_sys::futures::{JsFuture, spawn_local};
use tidegate_core::BrokenOff;
use wasm_bindgen::{JsError, JsValue};
use worker::web_sys::{ReadableStream, WritableStreamDefaultWriter};

use crate::client::Client;
use crate::glue;

/// A body as the core gives it.
type Pieces = LocalBoxStream<'static, Result<Bytes, BrokenOff>>;

/// The body of the response that is made of `pieces`. They are dropped as soon as the client is known to have left.
pub(crate) fn relay(pieces: Pieces, client: Client) -> Result<ReadableStream, JsValue> {
    let channel = glue::channel()?;
    spawn_local(write(pieces, client, channel.writer()));
    Ok(channel.readable())
}

async fn write(pieces: Pieces, client: Client, writer: WritableStreamDefaultWriter) {
    let end = match select(Box::pin(write_all(pieces, &writer)), client).await {
        Either::Left((Ok(()), _)) => writer.close(),
        Either::Left((Err(error), _)) => writer.abort_with_reason(&error),
        Either::Right(_) => writer.abort(),
    };
    // A stream that nobody reads any more cannot be ended either; nobody wants to know.
    JsFuture::from(end).await.map(drop).unwrap_or_default();
}

async fn write_all(mut pieces: Pieces, writer: &WritableStreamDefaultWriter) -> Result<(), JsValue> {
    while let Some(piece) = pieces.next().await {
        // The runtime ends the connection in mid-body then.
        let piece = piece.map_err(|broken_off| JsError::new(&broken_off.to_string()))?;
        JsFuture::from(writer.write_with_chunk(&Uint8Array::from(piece.as_ref()))).await?;
    }
    Ok(())
}
