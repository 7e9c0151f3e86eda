//! Which caller a request comes from, as far as its service says how to tell.

use std::borrow::Cow;

use crate::capability::rollout::{Route, StickyKey, split};

/// The bytes that keep a caller on one arm; `None` when the request has none.
pub fn of<'a>(
    key: &StickyKey,
    mut headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: Option<&[u8]>,
) -> Option<Cow<'a, [u8]>> {
    let key = match key {
        StickyKey::None => return None,
        StickyKey::Header(name) => Cow::from(headers.find(|(one, _)| one.eq_ignore_ascii_case(name))?.1),
        StickyKey::Cookie(name) => Cow::from(cookie(headers, name)?.as_bytes()),
        StickyKey::Json(pointer) => {
            let body: serde_json::Value = serde_json::from_slice(body?).ok()?;
            let text = match body.pointer(pointer)? {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null => return None,
                other => other.to_string(),
            };
            Cow::from(text.into_bytes())
        }
    };
    (!key.is_empty()).then_some(key)
}

fn cookie<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>, name: &str) -> Option<&'a str> {
    let cookies = headers.filter(|(one, _)| one.eq_ignore_ascii_case("cookie"));
    let all = cookies.filter_map(|(_, value)| std::str::from_utf8(value).ok());
    all.flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// Whether the candidate answers this caller. A request without a key is a caller of its own.
pub fn is_candidate(route: &Route, key: Option<&[u8]>, request: &[u8]) -> bool {
    route.candidate.is_some() && !route.shadow && split::is_candidate(&route.salt, key.unwrap_or(request), route.weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_the_service_says() {
        let headers = [("X-User", "kim"), ("cookie", "a=1; sid=s7 ;b=2")];
        let headers = headers.map(|(name, value)| (name, value.as_bytes()));
        let find = |key: &str, body: Option<&str>| {
            of(&key.parse().unwrap(), headers.into_iter(), body.map(str::as_bytes))
                .map(|k| String::from_utf8(k.into_owned()).unwrap())
        };
        assert_eq!(find("header:x-user", None).as_deref(), Some("kim"));
        assert_eq!(find("cookie:sid", None).as_deref(), Some("s7"));
        assert_eq!(find("json:/user/id", Some("{\"user\":{\"id\":7}}")).as_deref(), Some("7"));
        assert_eq!(find("json:/user/id", Some("not json")), None);
        assert_eq!(find("header:x-none", None), None);
        assert_eq!(find("none", None), None);
    }
}
