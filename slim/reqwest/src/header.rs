//! The headers of a request: a few pairs, so a list.

/// Names are in lower case, each once.
#[derive(Debug, Clone, Default)]
pub struct HeaderMap(Vec<(HeaderName, HeaderValue)>);

impl HeaderMap {
    pub fn new() -> HeaderMap {
        HeaderMap::default()
    }

    /// Replaces the header of that name; the former value.
    pub fn insert(&mut self, name: impl IntoHeaderName, value: HeaderValue) -> Option<HeaderValue> {
        let name = name.into_name();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => Some(std::mem::replace(known, value)),
            None => {
                self.0.push((name, value));
                None
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName(String);

impl HeaderName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What may name a header.
pub trait IntoHeaderName {
    fn into_name(self) -> HeaderName;
}

impl IntoHeaderName for &'static str {
    fn into_name(self) -> HeaderName {
        HeaderName(self.to_ascii_lowercase())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderValue(String);

/// The text holds what no header may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHeaderValue;

impl HeaderValue {
    pub fn from_static(text: &'static str) -> HeaderValue {
        HeaderValue(text.to_owned())
    }

    /// Takes visible ASCII, spaces and tabs.
    #[expect(clippy::should_implement_trait, reason = "the crate has both")]
    pub fn from_str(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
        match text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
            true => Ok(HeaderValue(text.to_owned())),
            false => Err(InvalidHeaderValue),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
