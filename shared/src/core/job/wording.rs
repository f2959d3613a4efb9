//! Makes a provider's words safe for the job's owner.
//!
//! A provider may quote the request that it refuses, including our webhook's address, whose token
//! is a secret. So every address is cut out, and every word that looks like a token.

/// The number of characters of a text that are read, and the number that are kept.
const READ_CHARS_MAX: usize = 4_000;
const CHARS_MAX: usize = 500;
/// Replaces each cut-out part.
const CUT: &str = "…";
/// The shortest run of hex digits that counts as a token.
const HEX_MIN: usize = 32;

/// The text as one sentence, without addresses, tokens and control characters.
pub(super) fn sentence(text: &str) -> String {
    let text: String =
        text.chars().take(READ_CHARS_MAX).map(|c| if is_plain(c) { c } else { ' ' }).collect();
    let words: Vec<String> = text.split_whitespace().map(without_addresses).collect();
    let text: String = words.join(" ").chars().take(CHARS_MAX).collect();
    format!("{}.", text.trim_end_matches(['.', ' ']))
}

/// Whether the character is neither a control character nor one that changes how others are
/// displayed.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        && !matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Characters that may stand directly before an address in the same word.
const BEFORE: [char; 14] = ['"', '\'', '`', '<', '>', ',', ';', '=', '(', '[', '{', '|', '«', '“'];
/// Characters that may end a word without being part of the address in it.
const CLOSING: [char; 16] =
    ['"', '\'', '`', '>', ')', ']', '}', '.', ',', ';', ':', '!', '?', '|', '»', '”'];

/// The word without the address in it. The address reaches to the end of the word, because it may
/// contain brackets or equals signs.
fn without_addresses(word: &str) -> String {
    let mut begin = 0;
    for part in word.split_inclusive(BEFORE) {
        if is_address(part) {
            let (before, address) = word.split_at(begin);
            let closing =
                address.get(address.trim_end_matches(CLOSING).len()..).unwrap_or_default();
            return format!("{before}{CUT}{closing}");
        }
        begin += part.len();
    }
    word.to_owned()
}

fn is_address(part: &str) -> bool {
    let lower = part.to_ascii_lowercase();
    let named = ["://", ":\\/\\/", "%3a%2f", ":%2f", "provider-webhook", "www.", "data:"];
    named.iter().any(|mark| lower.contains(mark))
        || lower.starts_with("//")
        || has_host(&lower)
        || has_hex(&lower)
}

/// Whether the part is `name.tld/…` or `name.tld:port/…`, or a path of at least three parts.
fn has_host(part: &str) -> bool {
    let Some((host, path)) = part.split_once(['/', '?', '#']) else { return false };
    let host = host.split(':').next().unwrap_or_default();
    let tld = host.rsplit_once('.').map(|(_, tld)| tld).unwrap_or_default();
    let is_host = tld.len() >= 2 && tld.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_ip = host.contains('.')
        && host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && path.contains('/');
    is_host || is_ip || path.split('/').count() >= 3
}

fn has_hex(part: &str) -> bool {
    part.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() >= HEX_MIN)
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn addresses_and_tokens_are_cut_out() {
        const TOKEN: &str = "0123456789abcdef0123456789abcdef";
        let path =
            format!("provider-webhook/runninghub/8c1b9a52-0000-4000-8000-000000000001/1/2/{TOKEN}");
        for text in [
            format!("cannot call https://gate.example/functions/v1/{path}"),
            format!("bad webhookUrl \"https://gate.example/functions/v1/{path}\", give another"),
            format!(
                "{{\"webhookUrl\":\"https:\\/\\/gate.example\\/functions\\/v1\\/{}\"}}",
                path.replace('/', "\\/")
            ),
            format!("cannot call https%3A%2F%2Fgate.example%2F{}", path.replace('/', "%2F")),
            format!("cannot call gate.example/functions/v1/{path}."),
            format!("cannot call //gate.example/{path}"),
            format!("cannot call HTTPS://GATE.EXAMPLE/{path}"),
            format!("url=http://127.0.0.1:54321/functions/v1/{path};"),
            format!("(see https://gate.example/a(1)/{path})"),
            format!("token {TOKEN}"),
            format!("/functions/v1/{path}"),
            format!("https://gate.example/{path}\u{200b}{path}"),
            format!("ht\ttps://gate.example/{path}"),
            format!("https://ключ.example/{path}"),
        ] {
            let said = sentence(&text);
            let lower = said.to_lowercase();
            for secret in
                [TOKEN, "gate.example", "provider-webhook", "://", "127.0.0.1", "8c1b9a52"]
            {
                assert!(!lower.contains(secret), "{text} → {said}");
            }
            assert!(said.contains('…'), "{said}");
        }
        assert_eq!(
            sentence("refused (see https://a.example/b?c=d) again"),
            "refused (see …) again."
        );
        assert_eq!(sentence("no 'www.a.example', sorry"), "no '…', sorry.");
        assert_eq!(sentence("data:image/png;base64,AAAA was sent"), "… was sent.");
        assert_eq!(
            sentence("got {\"a\":\"https://a.example/b(1)?sig=s3cret,x\"}, why"),
            "got {\"a\":\"…\"}, why."
        );
    }

    #[test]
    fn words_without_an_address_stay() {
        for text in [
            "the input file is too large for the provider",
            "expected image/png and/or image/jpeg, got text/html",
            "node 12: value 0.5/1 is out of range (0..1)",
            "out of memory at 3.2 GB; try a smaller picture: 2048x2048",
            "the answer holds no src/main.tsx",
            "Größe «12» ист 漢字 \u{1f600}",
            "CUDA error 700, e.g. in step 3",
            "the provider refused the parameters of the request (resolution: not a number)",
        ] {
            assert_eq!(sentence(text), format!("{text}."));
        }
    }

    #[test]
    fn control_characters_become_blanks_and_the_length_is_bounded() {
        assert_eq!(sentence(" a\0b\r\n\tc\u{1b}[31md\u{202e}e\u{85} . "), "a b c [31md e.");
        assert_eq!(sentence(""), ".");
        assert_eq!(sentence(&"word ".repeat(10_000)).chars().count(), 500);
        assert_eq!(sentence(&"ä".repeat(100_000)).chars().count(), 501);
        assert!(sentence(&"https://a.example/".repeat(100_000)).chars().count() <= 501);
    }
}
