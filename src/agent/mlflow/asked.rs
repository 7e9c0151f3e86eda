//! Reading a request: the typed form first; only what does not fit it is looked at a second time, for its words.

use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};
use serde_json::Value;

use super::form::{Field, Form, Kind};
use crate::agent::App;
use crate::agent::fault::Mlflow;
use crate::base::{Fault, fault::Result};

/// What a request asks with: the query of a GET, the body of everything else.
pub(super) struct Asked {
    pub headers: HeaderMap,
    body: Bytes,
    query: Option<Vec<(String, String)>>,
    /// The body once more, with bare NaN and infinities quoted.
    quoted: Vec<u8>,
    /// What the typed form did not take.
    value: Value,
}

impl FromRequest<App> for Asked {
    type Rejection = Mlflow;

    async fn from_request(request: Request, app: &App) -> Result<Self, Mlflow> {
        let query = match *request.method() {
            Method::GET | Method::HEAD if request.uri().query().is_some() => {
                let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
                    .map_err(|e| Fault::invalid("the query cannot be read").why(e.to_string()))?;
                Some(pairs)
            }
            _ => None,
        };
        check_content_type(request.method(), request.headers())?;
        let (parts, body) = request.into_parts();
        let body = read_body(body, app.settings().body_bytes_max).await?;
        Ok(Self { headers: parts.headers, body, query, quoted: Vec::new(), value: Value::Null })
    }
}

/// A body of no more than `bytes_max`. Too large is a 400: the client would retry a 413 no less than a 5xx.
pub(super) async fn read_body(body: axum::body::Body, bytes_max: usize) -> Result<Bytes> {
    axum::body::to_bytes(body, bytes_max).await.map_err(|e| {
        Fault::invalid(format!("the request body is larger than {bytes_max} bytes, or broke off"))
            .why(e.to_string())
            .next("send less at once")
    })
}

fn check_content_type(method: &Method, headers: &HeaderMap) -> Result<()> {
    if *method != Method::POST && *method != Method::PUT {
        return Ok(());
    }
    let Some(given) = headers.get(CONTENT_TYPE) else {
        return Err(Fault::invalid("Bad Request. Content-Type header is missing."));
    };
    let given = given.to_str().unwrap_or_default();
    if given.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    Err(Fault::invalid("Bad Request. Content-Type must be one of ['application/json']."))
}

impl Asked {
    /// The form that this route takes.
    ///
    /// # Errors
    /// `Invalid` in `MLflow`'s words.
    pub fn form<'a, F: Form<'a>>(&'a mut self) -> Result<F> {
        let form = self.read::<F>()?;
        form.missing().map_or(Ok(form), |name| Err(missing(name)))
    }

    fn read<'a, F: Form<'a>>(&'a mut self) -> Result<F> {
        if let Some(pairs) = self.query.take() {
            self.value = of_query(pairs, F::FIELDS)?;
        } else {
            // A struct would take an array too, which no client means.
            let object = self.body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
            if object && let Ok(form) = serde_json::from_slice::<F>(&self.body) {
                return Ok(form);
            }
            self.quoted = quote_bare_numbers(&self.body);
            if object && let Ok(form) = serde_json::from_slice::<F>(&self.quoted) {
                return Ok(form);
            }
            self.value = of_body(&self.quoted);
        }
        let value = &self.value;
        F::deserialize(value).map_err(|e| {
            let unknown = || Fault::invalid("Invalid value for a parameter supplied").why(e.to_string());
            worded(value, F::FIELDS, "").unwrap_or_else(unknown)
        })
    }
}

/// "Missing value for required parameter …", as `MLflow` says it.
pub(super) fn missing(name: &str) -> Fault {
    Fault::invalid(format!("Missing value for required parameter '{name}'."))
        .next("See the API docs for more information about request parameters.")
}

/// "Invalid value … for parameter …", as `MLflow` says it.
pub(super) fn invalid(name: &str, value: &Value, hint: &str) -> Fault {
    Fault::invalid(format!("Invalid value {} for parameter '{name}' supplied: {hint}", short(value)))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// The body as an object; what is not JSON, or no object, is an empty one. Old clients send it encoded twice.
fn of_body(body: &[u8]) -> Value {
    let value = match serde_json::from_slice(body) {
        Ok(Value::String(text)) => serde_json::from_slice(text.as_bytes()).unwrap_or_default(),
        Ok(value) => value,
        Err(_) => Value::Null,
    };
    if value.is_object() { value } else { Value::Object(serde_json::Map::new()) }
}

/// A query as an object: repeated parameters become lists where the form has one.
fn of_query(pairs: Vec<(String, String)>, fields: &[Field]) -> Result<Value> {
    let mut object = serde_json::Map::new();
    for (name, text) in pairs {
        let Some(field) = fields.iter().find(|f| f.name == name) else { continue };
        match field.kind {
            Kind::Texts | Kind::List => {
                let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(Value::String(text));
                }
            }
            Kind::Flag => {
                let flag = match text.to_lowercase().as_str() {
                    "true" => true,
                    "false" => false,
                    _ => {
                        return Err(Fault::invalid(format!(
                            "Invalid boolean value: {text}, must be 'true' or 'false'."
                        )));
                    }
                };
                object.entry(name).or_insert(Value::Bool(flag));
            }
            _ => drop(object.entry(name).or_insert(Value::String(text))),
        }
    }
    Ok(Value::Object(object))
}

/// Why a value did not fit its form: the first parameter that is wrong, by its place.
fn worded(value: &Value, fields: &[Field], place: &str) -> Option<Fault> {
    fields.iter().find_map(|field| {
        let name = format!("{place}{}", field.name);
        match value.get(field.name).filter(|v| !v.is_null()) {
            Some(given) if !fits(field.kind, given) => {
                let hint = format!(" Hint: Value was of type '{}'.", type_name(given));
                let next = "See the API docs for more information about request parameters.";
                Some(invalid(&name, given, &hint).next(next))
            }
            Some(Value::Array(items)) => {
                let mut items = items.iter().enumerate();
                items.find_map(|(nth, item)| worded(item, field.items, &format!("{name}[{nth}].")))
            }
            None if field.required => Some(missing(&name)),
            _ => None,
        }
    })
}

fn fits(kind: Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Text, v) => v.is_string(),
        (Kind::Int, Value::Number(n)) => n.is_i64() || n.as_f64().is_some_and(|f| super::form::whole(f).is_some()),
        (Kind::Int, Value::String(text)) => text.trim().parse::<i64>().is_ok(),
        (Kind::Number, Value::String(text)) => text.trim().parse::<f64>().is_ok(),
        (Kind::Number, v) => v.is_number(),
        (Kind::Flag, v) => v.is_boolean(),
        (Kind::Choice, v) => v.is_string() || v.is_i64() || v.is_u64(),
        (Kind::Texts, Value::Array(items)) => items.iter().all(Value::is_string),
        (Kind::List, Value::Array(items)) => items.iter().all(Value::is_object),
        _ => false,
    }
}

/// As Python names it.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// Puts quotes around NaN, Infinity and -Infinity where they stand outside of texts: Python's JSON writes them bare.
fn quote_bare_numbers(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 16);
    let mut rest = body;
    let mut in_text = false;
    while let Some(&byte) = rest.first() {
        let word: Option<&[u8]> =
            [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|w| !in_text && rest.starts_with(w));
        if let Some(word) = word {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            rest = &rest[word.len()..];
            continue;
        }
        let escaped = in_text && byte == b'\\' && rest.len() > 1;
        let taken = if escaped { 2 } else { 1 };
        in_text ^= byte == b'"';
        out.extend_from_slice(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::form::{Int, Number, Word, form};
    use super::*;

    form! {
        Sample { name: Text required, n: Int, x: Number, names: Texts, on: Flag, pick: Choice }
    }

    fn body(text: &str) -> Asked {
        Asked {
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(text.as_bytes()),
            query: None,
            quoted: Vec::new(),
            value: Value::Null,
        }
    }

    fn refused(text: &str) -> String {
        body(text).form::<Sample<'_>>().unwrap_err().to_string()
    }

    #[test]
    fn numbers_come_as_numbers_as_text_and_as_bare_words() {
        let mut asked = body(r#"{"name": "a NaN \" NaN", "n": "12", "x": -Infinity, "unknown": [1]}"#);
        let form = asked.form::<Sample<'_>>().unwrap();
        assert_eq!((form.n, form.x), (Some(Int(12)), Some(Number(f64::NEG_INFINITY))));
        assert_eq!(&**form.name.as_ref().unwrap(), "a NaN \" NaN");
        let mut asked = body(r#"{"name": "a", "n": 3.0, "x": "NaN", "names": ["b"], "on": true, "pick": 4}"#);
        let form = asked.form::<Sample<'_>>().unwrap();
        assert_eq!(form.n, Some(Int(3)));
        assert!(form.x.unwrap().0.is_nan());
        assert_eq!(form.names.unwrap(), [Word("b".into())]);
    }

    #[test]
    fn refusals_say_the_parameter_and_the_value() {
        assert!(refused(r#"{"name": 123}"#).contains("Invalid value 123 for parameter 'name' supplied"));
        assert!(refused(r#"{"name": "a", "n": "foo"}"#).contains("Invalid value \"foo\" for parameter 'n' supplied"));
        assert!(refused(r#"{"name": "a", "x": {}}"#).contains("for parameter 'x'"));
        assert!(refused(r#"{"name": "a", "names": "b"}"#).contains("Invalid value \"b\" for parameter 'names'"));
        for missing in ["", "{", "[1,2]", "\"text\"", "{\"name\": null}", "{\"name\": \"\"}", "\u{fffe}"] {
            assert!(refused(missing).starts_with("Missing value for required parameter 'name'."), "{missing}");
        }
    }

    #[test]
    fn a_query_gives_lists_where_the_form_has_them() {
        let pairs = [("name", "a"), ("names", "b"), ("names", "c"), ("n", "5"), ("on", "True")];
        let mut asked = body("");
        asked.query = Some(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec());
        let form = asked.form::<Sample<'_>>().unwrap();
        assert_eq!((form.names.unwrap().len(), form.n, form.on), (2, Some(Int(5)), Some(true)));
        let mut asked = body("");
        asked.query = Some(vec![("n".to_owned(), "many".to_owned())]);
        assert!(asked.form::<Sample<'_>>().unwrap_err().to_string().contains("Missing value"));
    }
}
