//! Stands for the crate `idna` behind `url`: reads host names of ASCII and refuses all others.
//!
//! The crate's tables, its Punycode and the sorts that these need are a tenth of each wasm file. We
//! call no host whose name is not ASCII. A label that begins with `xn--` passes as it is: the
//! platform, which resolves it, decodes it too.

use std::borrow::Cow;

/// Why a name is refused. Only that it is refused counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errors;

/// The characters that a name must not hold.
#[derive(Debug, Clone, Copy)]
pub struct AsciiDenyList(&'static [u8]);

impl AsciiDenyList {
    /// The forbidden domain code points of the URL standard, without control characters.
    pub const URL: AsciiDenyList = AsciiDenyList(b" #%/:<>?@[\\]^|");
}

/// Returns the name in lower case.
pub fn domain_to_ascii_from_cow(
    domain: Cow<'_, [u8]>,
    deny: AsciiDenyList,
) -> Result<Cow<'_, str>, Errors> {
    let is_allowed = |b: &u8| b.is_ascii() && !b.is_ascii_control() && !deny.0.contains(b);
    if !domain.iter().all(is_allowed) {
        return Err(Errors);
    }
    let lower = String::from_utf8(domain.to_ascii_lowercase());
    lower.map(Cow::Owned).map_err(|_| Errors)
}

/// Returns the name as it is: for display alone.
pub fn domain_to_unicode(domain: &str) -> (String, Result<(), Errors>) {
    (domain.to_owned(), Ok(()))
}

#[cfg(test)]
mod tests {
    use super::{AsciiDenyList, domain_to_ascii_from_cow};

    fn ascii(name: &str) -> Option<String> {
        let name = name.as_bytes().into();
        domain_to_ascii_from_cow(name, AsciiDenyList::URL).ok().map(Into::into)
    }

    #[test]
    fn a_name_of_ascii_is_read_in_lower_case() {
        for name in ["a.example", "a_b.example", "xn--bcher-kva.de", "127.0.0.1", "a.", "-a.b", ""]
        {
            assert_eq!(ascii(name).as_deref(), Some(name));
        }
        assert_eq!(ascii("XN--Bcher-KVA.De").as_deref(), Some("xn--bcher-kva.de"));
    }

    #[test]
    fn a_name_that_is_no_ascii_or_holds_a_forbidden_character_is_refused() {
        for name in ["bücher.de", "a。b", "a\u{ad}b", "a b", "a/b", "a:b", "a@b", "a%b", "a\0b"] {
            assert_eq!(ascii(name), None, "{name:?}");
        }
        // The crate that this one stands for refuses the same.
        let refused = (0..128_u8).filter(|b| ascii(&format!("a{}b", char::from(*b))).is_none());
        let named = [32, 35, 37, 47, 58, 60, 62, 63, 64, 91, 92, 93, 94, 124, 127];
        assert!(refused.eq((0..32).chain(named)));
    }
}
