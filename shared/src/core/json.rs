//! Reads JSON that is not strict. Providers and models split texts inside a surrogate pair and
//! write line breaks into strings, for which a strict parser would reject the whole answer.

use serde_json::Value;

/// Replaces a lone surrogate.
const REPLACEMENT: &str = "\\ufffd";
/// The private characters that stand for the 2,048 surrogates; the first stands for U+D800.
const KEPT: u32 = 0x10_0000;
const HALVES: u32 = 0x800;
const SECOND_HALVES: u32 = 0x400;

/// A number as text, without a fraction if it is whole: `0.35`, `2`. The number's own `Display`
/// would add 13 KB of tables to a function.
pub fn number_text(number: f64) -> String {
    let mut text = Value::from(number).to_string();
    if text.ends_with(".0") {
        text.truncate(text.len() - 2);
    }
    text
}

/// Reads JSON. If strict parsing fails, lone surrogates become U+FFFD, and line breaks and tabs
/// inside strings are escaped. `None` if it still is no JSON.
pub fn lenient(text: &str) -> Option<Value> {
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&mended(text, |_| REPLACEMENT.to_owned())))
        .ok()
}

/// Does the same for one event of a stream, but keeps lone surrogates, so that [`joined`] can
/// combine them after the last event.
pub fn lenient_part(text: &str) -> Option<Value> {
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&mended(text, kept))).ok()
}

/// Combines the surrogates that [`lenient_part`] kept in neighbouring texts. One that stays alone
/// becomes U+FFFD.
pub fn joined(text: &str) -> String {
    let half = |c: char| u32::from(c).checked_sub(KEPT).filter(|half| *half < HALVES);
    let mut whole = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(first) = half(c) else {
            whole.push(c);
            continue;
        };
        let second = chars.peek().copied().and_then(half).filter(|half| *half >= SECOND_HALVES);
        let pair = match second {
            Some(second) if first < SECOND_HALVES => {
                chars.next();
                char::from_u32(0x1_0000 + (first << 10) + (second - SECOND_HALVES))
            }
            _ => None,
        };
        whole.push(pair.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    whole
}

/// The JSON escape of the private character for the surrogate `unit`.
fn kept(unit: u16) -> String {
    let offset = u32::from(unit) - 0xD800;
    format!("\\u{:04x}\\u{:04x}", 0xDBC0 + (offset >> 10), 0xDC00 + (offset & 0x3FF))
}

/// Copies `text`. `half` replaces every escape of a lone surrogate, and line breaks and tabs inside
/// strings are escaped.
fn mended(text: &str, half: impl Fn(u16) -> String) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut is_string = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '"' => is_string = !is_string,
            '\n' | '\r' | '\t' if is_string => {
                whole.push_str(match c {
                    '\n' => "\\n",
                    '\r' => "\\r",
                    _ => "\\t",
                });
                rest = rest.get(taken..).unwrap_or_default();
                continue;
            }
            '\\' => {
                let next = rest.get(6..).and_then(escaped);
                match escaped(rest) {
                    Some(0xD800..=0xDBFF) if matches!(next, Some(0xDC00..=0xDFFF)) => taken = 12,
                    Some(unit @ 0xD800..=0xDFFF) => {
                        whole.push_str(&half(unit));
                        rest = rest.get(6..).unwrap_or_default();
                        continue;
                    }
                    // Takes the escaped character, whichever it is.
                    _ => taken += rest.chars().nth(1).map_or(0, char::len_utf8),
                }
            }
            _ => {}
        }
        let (copied, later) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        whole.push_str(copied);
        rest = later;
    }
    whole
}

/// The UTF-16 unit of a `\u` escape at the beginning of `text`.
fn escaped(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::{joined, lenient, lenient_part, number_text};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn a_number_is_written_as_short_as_it_is() {
        for (number, text) in [(0.35, "0.35"), (2.0, "2"), (0.0, "0"), (-1.5, "-1.5")] {
            assert_eq!(number_text(number), text);
        }
        assert_eq!(number_text(1e9), "1000000000");
    }

    #[test]
    fn half_a_character_does_not_lose_the_answer() {
        for (text, expected) in [
            (r#"{"a":"bad \ud83d"}"#, "bad \u{fffd}"),
            (r#"{"a":"\ude00 bad"}"#, "\u{fffd} bad"),
            (r#"{"a":"\ud83d\ud83d\ude00"}"#, "\u{fffd}😀"),
            (r#"{"a":"\\ud83d \uD83D\""}"#, "\\ud83d \u{fffd}\""),
            (r#"{"a":"\ud83dé"}"#, "\u{fffd}é"),
            ("{\"a\":\"one\ntwo\tthree\r\"}", "one\ntwo\tthree\r"),
        ] {
            assert_eq!(lenient(text), Some(json!({"a": expected})), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in ["", "<html>", "{\"a\":\"\\", "{\"a\":\"\\u", "{\"a\":\"\\ud83d", "\\", "{a"] {
            assert_eq!(lenient(text), None, "{text}");
        }
    }

    fn streamed(parts: &[&str]) -> String {
        let text = |part: &&str| lenient_part(part).unwrap()["a"].as_str().unwrap().to_owned();
        joined(&parts.iter().map(text).collect::<String>())
    }

    #[test]
    fn two_events_may_share_a_character() {
        let parts = [r#"{"a":"x\ud83d"}"#, r#"{"a":"\ude00y"}"#];
        assert_eq!(streamed(&parts), "x😀y");
        assert_eq!(streamed(&[parts[0], r#"{"a":"y"}"#]), "x\u{fffd}y");
        assert_eq!(streamed(&[parts[1], parts[0]]), "\u{fffd}yx\u{fffd}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", halves in ".{0,20}") {
            let _ = lenient(&text);
            let _ = lenient_part(&format!("{{\"a\":\"{halves}"));
            prop_assert_eq!(lenient(&Value::from(text.clone()).to_string()), Some(text.into()));
        }

        #[test]
        fn a_text_cut_between_any_two_units_comes_back_whole(
            text in "[a😀ß🎈\"\\\\]{1,12}", cut in 0..24_usize,
        ) {
            let units: Vec<u16> = text.encode_utf16().collect();
            let (first, second) = units.split_at(cut.min(units.len()));
            let part = |units: &[u16]| {
                let escapes: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
                format!("{{\"a\":\"{escapes}\"}}")
            };
            prop_assert_eq!(streamed(&[&part(first), &part(second)]), text);
        }
    }
}
