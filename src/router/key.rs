//! Which caller a request comes from, as far as its service says how to tell.

use hyper::HeaderMap;

use crate::capability::rollout::{Route, StickyKey, split};

/// The bytes that keep a caller on one arm; `None` when the request has none.
pub fn of(key: &StickyKey, headers: &HeaderMap, body: Option<&[u8]>) -> Option<Vec<u8>> {
    let text = match key {
        StickyKey::None => return None,
        StickyKey::Header(name) => headers.get(name.as_str())?.as_bytes().to_vec(),
        StickyKey::Cookie(name) => cookie(headers, name)?.into_bytes(),
        StickyKey::Json(pointer) => {
            let body: serde_json::Value = serde_json::from_slice(body?).ok()?;
            match body.pointer(pointer)? {
                serde_json::Value::String(text) => text.clone().into_bytes(),
                serde_json::Value::Null => return None,
                other => other.to_string().into_bytes(),
            }
        }
    };
    (!text.is_empty()).then_some(text)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all("cookie").iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then(|| value.to_owned())
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
        let mut headers = HeaderMap::new();
        headers.insert("x-user", "kim".parse().unwrap());
        headers.insert("cookie", "a=1; sid=s7 ;b=2".parse().unwrap());
        let find = |key: &str, body: Option<&str>| {
            of(&key.parse().unwrap(), &headers, body.map(str::as_bytes)).map(|k| String::from_utf8(k).unwrap())
        };
        assert_eq!(find("header:x-user", None).as_deref(), Some("kim"));
        assert_eq!(find("cookie:sid", None).as_deref(), Some("s7"));
        assert_eq!(find("json:/user/id", Some("{\"user\":{\"id\":7}}")).as_deref(), Some("7"));
        assert_eq!(find("json:/user/id", Some("not json")), None);
        assert_eq!(find("header:x-none", None), None);
        assert_eq!(find("none", None), None);
    }
}
