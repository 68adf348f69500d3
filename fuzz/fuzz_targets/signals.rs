//! Any bytes as an engine's page about itself: what is believed is within bounds, and is the same however often it is read;
//! white space around it, and comments where the page is no JSON, change nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_core::config::EngineKind;
use tidegate_core::signals::read;

fuzz_target!(|bytes: &[u8]| {
    let is_json = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    for engine in EngineKind::ALL {
        let reading = read(engine, bytes);
        assert!(reading.ignored.len() <= 3);
        if let Some(figures) = reading.figures {
            assert!(figures.running <= 1_000_000 && figures.waiting <= 1_000_000);
            assert!(figures.kv_used.is_none_or(|used| used.share() <= 1.0));
        }
        let around = if is_json {
            [&b" \n"[..], bytes, b"\n "].concat()
        } else {
            [&b"# a comment\n"[..], bytes, b"\n# another {\n"].concat()
        };
        assert_eq!(read(engine, &around), reading, "{engine:?}");
    }
});
