use proptest::prelude::*;

use super::*;

const TOOLS: &str = r#"[{"type":"function","function":{"name":"weather","parameters":{"type":"object",
    "properties":{"city":{"type":"string"}},"required":["city"]}}},{"type":"custom","custom":{"name":"shell"}}]"#;

fn calls() -> ToolCalls {
    ToolCalls::new(ToolContext {
        tools: Some(TOOLS.into()),
        ..ToolContext::default()
    })
}

/// Why one call of that name, with arguments in these pieces, is found to be wrong.
fn judged(name: &str, arguments: &[&str], finish: Finish) -> Option<String> {
    let mut calls = calls();
    let mut found = calls.on_name(0, name);
    for piece in arguments {
        found = found.or_else(|| calls.on_arguments(0, piece));
    }
    found.or_else(|| calls.on_finish(finish)).map(|found| found.reason)
}

#[test]
fn calls_that_no_client_can_carry_out_are_found() {
    for (name, arguments, wrong) in [
        ("weather", r#"{"city":"Kyiv"}"#, None),
        ("weather", "", None),
        ("shell", "ls -la {", None),
        ("forecast", r#"{"city":"Kyiv"}"#, Some("not declared")),
        ("forecast", "", Some("not declared")),
        ("weather", "Kyiv", Some("no JSON")),
        ("weather", r#"{"city":"Kyiv"}{"city":"Kyiv"}"#, Some("no JSON")),
        ("weather", r#"{"city":"Ky"#, Some("too soon")),
        ("weather", r#""{\"city\":\"Kyiv\"}""#, Some("no JSON object")),
    ] {
        let found = judged(name, &[arguments], Finish::ToolCalls);
        let is_expected = match (&found, wrong) {
            (Some(reason), Some(wrong)) => reason.contains(wrong),
            (found, wrong) => found.is_none() && wrong.is_none(),
        };
        assert!(is_expected, "{name} {arguments}: {found:?}");
        assert!(found.is_none_or(|reason| !reason.contains("forecast") && !reason.contains("Kyiv")));
    }
}

#[cfg(feature = "schemas")]
#[test]
fn arguments_that_a_tool_does_not_take_are_found() {
    let found = judged("weather", &[r#"{"town":"Kyiv"}"#], Finish::Stop);
    assert!(found.is_some_and(|reason| reason.contains("`required`")));
    let long = format!(r#"{{"town":"{}"}}"#, "K".repeat(MOST_ARGUMENTS));
    assert_eq!(judged("weather", &[&long], Finish::Stop), None, "too long to be kept");
}

#[test]
fn what_the_answers_bound_cuts_off_is_not_judged() {
    for finish in [Finish::Length, Finish::Filtered] {
        assert_eq!(judged("weather", &[r#"{"city":"Ky"#], finish), None, "{finish:?}");
    }
}

#[test]
fn every_one_of_several_calls_is_judged_when_the_next_one_begins() {
    let mut calls = calls();
    assert_eq!(calls.on_name(0, "weather"), None);
    assert_eq!(calls.on_arguments(0, r#"{"city":"Kyiv"}"#), None);
    assert_eq!(calls.on_name(1, "weather"), None);
    assert_eq!(calls.on_arguments(1, r#"{"city":"#), None);
    assert!(calls.on_name(2, "weather").is_some());
    assert_eq!(calls.on_arguments(2, "x"), None, "it is told once");
}

#[test]
fn of_calls_that_do_not_come_one_after_another_nothing_more_is_said() {
    let mut calls = calls();
    for (index, text) in [(0, r#"{"city":"Kyiv"}"#), (1, r#"{"city":"#), (0, "x"), (1, "x")] {
        assert_eq!(calls.on_name(index, if index == 0 { "weather" } else { "shell" }), None);
        assert_eq!(calls.on_arguments(index, text), None, "{text}");
    }
    assert_eq!(calls.on_finish(Finish::Stop), None);
}

#[test]
fn of_very_many_calls_the_first_are_looked_at() {
    for (good, is_found) in [(MOST_CALLS - 1, true), (MOST_CALLS, false)] {
        let mut calls = calls();
        for index in 0..good {
            calls.on_name(index as u64, "shell");
            calls.on_arguments(index as u64, &index.to_string());
        }
        let found = calls.on_name(good as u64, "moonphase");
        assert_eq!(found, None);
        assert_eq!(calls.on_arguments(good as u64, "{}").is_some(), is_found, "{good}");
    }
}

#[test]
fn the_same_call_over_and_over_is_found_in_one_answer_and_across_turns() {
    let mut one = calls();
    let found: Vec<_> = (0..6)
        .map(|index| {
            one.on_name(index, "weather")
                .or_else(|| one.on_arguments(index, r#"{"city":"Kyiv"}"#))
        })
        .collect();
    assert_eq!(
        found.iter().position(Option::is_some),
        Some(4),
        "when the fourth has ended"
    );
    let turn = r#"{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"weather","arguments":"{\"city\": \"Kyiv\"}"}}]},
        {"role":"tool","tool_call_id":"a","content":"rain"}"#;
    for (turns, is_found) in [(2, false), (3, true)] {
        let mut calls = ToolCalls::new(ToolContext {
            last_messages: Some(vec![turn; turns].join(",").into()),
            ..calls().context
        });
        calls.on_name(0, "weather");
        calls.on_arguments(0, r#"{"city":"Kyiv"}"#);
        assert_eq!(calls.on_finish(Finish::ToolCalls).is_some(), is_found, "{turns}");
    }
}

proptest! {
    #[test]
    fn what_is_found_does_not_depend_on_where_pieces_are_cut(
        arguments in prop::sample::select(vec![
            r#"{"city":"Kyiv \u00e9"}"#, r#"{"city":7,}"#, "no", r#"{"city":["a",{"b":null}]"#, "{}{}", "",
        ]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(arguments.len() + 1)).collect();
        cuts.extend([0, arguments.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &arguments[cut[0]..cut[1]]).collect();
        let whole = judged("weather", &[arguments], Finish::Stop);
        prop_assert_eq!(judged("weather", &pieces, Finish::Stop), whole);
    }
}
