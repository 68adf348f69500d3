//! Where in a prompt its boundaries are, from how long it and its messages are: never from what they say. Lengths are in
//! bytes as the prompt is written, of which about four are a token.
//!
//! A prompt that goes on where another ended keeps the other's places as they were, or drops some of them: doublings
//! stay, places at even distances are thinned by halves, and of the messages' ends those of the last few are there.

/// The places of a prompt of so many bytes, whose messages end at `ends`, ascending: at most [`MOST`], each once, the
/// prompt's end the last. From the end at the index `anchor` on some are always there.
pub(super) fn places(ends: &[u64], anchor: usize, length: u64) -> Vec<u64> {
    let first = ends.iter().skip(anchor).take(ANCHORS);
    let last = ends.iter().rev().take(LAST_ENDS);
    let mut places: Vec<u64> = doublings(length).chain(first.chain(last).copied()).collect();
    places.push(length);
    places.sort_unstable();
    places.dedup();
    let others = if ends.is_empty() { 0 } else { ANCHORS + LAST_ENDS };
    // However few of those there are: a conversation that gets messages thins the rest by nothing but halves.
    places.extend(evenly(length, MOST - MOST_DOUBLINGS as usize - others - 1));
    places.sort_unstable();
    places.dedup();
    places.retain(|place| *place > 0);
    places
}

/// Those of the places that are told to others, ascending: at most 16, by which another prompt finds most of what it has
/// in common with this one. In a conversation those are messages' ends, in a text that has none depths.
pub(super) fn outline(ends: &[u64], anchor: usize, length: u64) -> Vec<u64> {
    let told_doublings = |most| doublings(length).skip(1).take(most);
    let mut places: Vec<u64> = if ends.is_empty() {
        told_doublings(TOLD_DOUBLINGS)
            .chain(evenly(length, TOLD_EVENLY))
            .collect()
    } else {
        let first = ends.iter().skip(anchor).take(ANCHORS);
        let last = ends.iter().rev().take(TOLD_ENDS);
        told_doublings(TOLD_DOUBLINGS / 2)
            .chain(first.chain(last).copied())
            .collect()
    };
    places.push(length);
    places.sort_unstable();
    places.dedup();
    places
}

/// 256 tokens, 512, 1,024 and so on.
pub(super) fn doublings(length: u64) -> impl Iterator<Item = u64> {
    (0..MOST_DOUBLINGS)
        .map(|doubling| STRIDE << doubling)
        .take_while(move |place| *place <= length)
}

/// Places at the least distance, of 256 tokens doubled some times, at which there are no more than `most`.
fn evenly(length: u64, most: usize) -> impl Iterator<Item = u64> {
    let mut distance = STRIDE;
    while length / distance > most as u64 {
        distance *= 2;
    }
    (1..=length / distance).map(move |index| index * distance)
}

/// The most places that a prompt has.
pub(super) const MOST: usize = 64;
/// About 256 tokens.
const STRIDE: u64 = 1_024;
/// The last one is at 8 million tokens.
const MOST_DOUBLINGS: u32 = 16;
/// So many messages' ends from the anchor on are always there, so that what is chosen among them stays there.
pub(super) const ANCHORS: usize = 4;
/// How many of the doublings are told of a text: up to 64 thousand tokens; of a conversation half as many.
const TOLD_DOUBLINGS: usize = 8;
/// How many places at even distances are told.
const TOLD_EVENLY: usize = 7;
/// How many of the last messages' ends are told: more than one turn has, with an agent's calls of tools in it.
const TOLD_ENDS: usize = 7;
/// How many messages' ends are there at the end: an agent's turn adds more than two, and what ends behind the last turn
/// is what the next one finds.
const LAST_ENDS: usize = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prompt_without_messages_has_doublings_and_even_distances() {
        assert!(places(&[], 0, 0).is_empty());
        assert_eq!(places(&[], 0, 700), [700]);
        assert_eq!(places(&[], 0, 5_000), [1_024, 2_048, 3_072, 4_096, 5_000]);
        let long = places(&[], 0, 100_000);
        assert_eq!(long[..6], [1_024, 2_048, 4_096, 8_192, 12_288, 16_384]);
        assert_eq!(long.last(), Some(&100_000));
    }

    proptest! {
        #[test]
        fn what_goes_on_keeps_or_thins_the_places_before(
            lengths in prop::collection::vec(prop_oneof![1_u64..300, 1_u64..40_000, 1_u64..2_000_000], 1..80),
            added in prop::collection::vec(1_u64..40_000, 0..17),
            anchor in 0_usize..4,
        ) {
            let ends = |lengths: &[u64]| -> Vec<u64> {
                lengths.iter().scan(0, |at, length| { *at += length; Some(*at) }).collect()
            };
            let (before, after) = (ends(&lengths), ends(&[lengths.clone(), added].concat()));
            let (old, new) = (places(&before, anchor, *before.last().unwrap()), places(&after, anchor, *after.last().unwrap()));
            for places in [&old, &new] {
                prop_assert!(places.len() <= MOST, "{}", places.len());
                prop_assert!(places.is_sorted_by(|a, b| a < b));
            }
            prop_assert_eq!(new.last(), after.last());
            // No place appears where the other prompt has been.
            let was_there = |place: &&u64| **place <= old[old.len() - 1];
            prop_assert!(new.iter().filter(was_there).all(|place| old.contains(place) || before.contains(place)));
            for end in before.iter().rev().take(LAST_ENDS - (after.len() - before.len())) {
                prop_assert!(new.contains(end), "{end}");
            }
            for end in before.iter().skip(anchor).take(ANCHORS) {
                prop_assert!(new.contains(end) && old.contains(end));
            }
        }
    }
}
