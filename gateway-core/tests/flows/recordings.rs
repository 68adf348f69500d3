//! What real engines sent, cut in two at every place: nothing about an answer depends on how its bytes arrive.

use std::cell::RefCell;
use std::rc::Rc;
use std::slice;

use bytes::Bytes;
use serde_json::json;
use tidegate_tests::recording::{Recording, Said};

use crate::world;
use crate::world::{Piece, Reaction, World};

/// Engines that answer with the pieces that are set, and the gateway before them.
struct Replay {
    world: World,
    next: Rc<RefCell<(u16, Vec<Piece>)>>,
}

impl Replay {
    fn new() -> Self {
        let next = Rc::new(RefCell::new((200, Vec::new())));
        let answers = Rc::clone(&next);
        let world = world(move |_| {
            let (status, pieces) = answers.borrow().clone();
            let content_type = if status == 200 {
                "text/event-stream"
            } else {
                "application/json"
            };
            Reaction::Answer(status, content_type, pieces)
        });
        Self { world, next }
    }

    /// The status, and what the client hears, of a client that wants a stream or not.
    fn ask(&mut self, recording: &Recording, pieces: &[Bytes], stream: bool) -> (u16, Said) {
        *self.next.borrow_mut() = (recording.status(), pieces.iter().cloned().map(Piece::Bytes).collect());
        let choices = recording.said().choices.len().max(1);
        let mut body = json!({"model": "big", "max_tokens": 400, "n": choices, "stream": stream});
        match recording.path() {
            "/v1/completions" => body["prompt"] = json!("Why?"),
            _ => body["messages"] = json!([{"role": "user", "content": "Why?"}]),
        }
        let response = self.world.post(recording.path(), &body.to_string());
        let status = response.status().as_u16();
        let heard = Said::of(self.world.rest(response.into_body()).as_bytes());
        if heard.error.is_some() {
            // What failed is remembered: the next one begins anew.
            *self = Self::new();
        }
        (status, heard)
    }
}

#[test]
fn a_stream_is_the_same_wherever_it_is_cut() {
    cut_everywhere(true);
}

#[test]
fn a_whole_answer_is_the_same_wherever_its_stream_is_cut() {
    cut_everywhere(false);
}

fn cut_everywhere(stream: bool) {
    let mut replay = Replay::new();
    for recording in Recording::all().iter().filter(|recording| recording.is_stream()) {
        let body = Bytes::from(recording.body());
        let expected = replay.ask(recording, slice::from_ref(&body), stream);
        // Long ones are cut at as many places as short ones.
        let step = 1 + body.len() / DENSE_BYTES;
        for cut in (1..body.len()).step_by(step) {
            let found = replay.ask(recording, &[body.slice(..cut), body.slice(cut..)], stream);
            assert_eq!(found, expected, "{} cut at {cut}", recording.name);
        }
    }
}

/// Up to this length an answer is cut at every place.
const DENSE_BYTES: usize = 4_096;
