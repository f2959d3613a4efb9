//! Checks the pages to which a user may be sent back, for example after a checkout.

use super::address::{LENGTH_MAX, NOT_ALLOWED, allowed, parse};
use url::Url;

/// Checks the URL of a page: it must have `own`'s origin or one of `hosts`. The error reads as a
/// sentence after the name of the field.
pub fn check(text: &str, own: &Url, hosts: &[String]) -> Result<Url, &'static str> {
    let is_own = |url: &Url| {
        url.origin() == own.origin() && url.username().is_empty() && url.password().is_none()
    };
    if let Some(url) = Url::parse(text).ok().filter(is_own)
        && text.chars().count() <= LENGTH_MAX
    {
        return Ok(url);
    }
    let url = parse(text, hosts)?;
    if allowed(&url, hosts) { Ok(url) } else { Err(NOT_ALLOWED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buyer_returns_to_our_pages_or_to_a_host_of_the_settings() {
        let own = Url::parse("http://127.0.0.1:54321/functions/v1").unwrap();
        let hosts = ["shop.example".to_owned(), "127.0.0.1:9000".to_owned()];
        let checked = |text: &str| check(text, &own, &hosts).map(String::from);
        for good in [
            "http://127.0.0.1:54321/?a=1#b",
            "https://shop.example/back",
            "https://www.shop.example/",
            "http://127.0.0.1:9000/x",
        ] {
            assert_eq!(checked(good).as_deref(), Ok(good));
        }
        assert_eq!(checked("https://evil.example/"), Err(NOT_ALLOWED));
        assert_eq!(checked("https://notshop.example/"), Err(NOT_ALLOWED));
        for bad in [
            "/back",
            "javascript:alert(1)",
            "http://shop.example/",
            "https://shop.example:444/",
            "http://user@127.0.0.1:54321/",
            "https://shop.example@evil.example/",
            "http://127.0.0.1:54322/",
            &format!("http://127.0.0.1:54321/{}", "x".repeat(2_048)),
        ] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
