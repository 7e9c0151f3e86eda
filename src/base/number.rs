//! Numbers in JSON. It has no NaN and no infinities: they travel as the words "NaN", "Infinity", "-Infinity".

use serde::{Deserialize, Deserializer, Serializer, de};

#[allow(clippy::trivially_copy_pass_by_ref, clippy::missing_errors_doc)] // serde's signature
pub fn serialize<S: Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
    match word(*value) {
        None => s.serialize_f64(*value),
        Some(word) => s.serialize_str(word),
    }
}

/// The word for what is not finite.
pub fn word(value: f64) -> Option<&'static str> {
    if value.is_finite() {
        None
    } else if value.is_nan() {
        Some("NaN")
    } else if value > 0.0 {
        Some("Infinity")
    } else {
        Some("-Infinity")
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Number(f64),
    Word(String),
}

impl Either {
    fn value<E: de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Number(n) => Ok(n),
            Self::Word(w) => match w.as_str() {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                _ => Err(de::Error::custom(format!("not a number: {w}"))),
            },
        }
    }
}

#[allow(clippy::missing_errors_doc)] // serde's signature
pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    Either::deserialize(d)?.value()
}

/// The same for a number that may be missing: missing is null, never zero.
pub mod option {
    use super::{Deserialize, Deserializer, Either, Serializer, word};

    #[allow(clippy::ref_option, clippy::missing_errors_doc)] // serde's signature
    pub fn serialize<S: Serializer>(value: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            None => s.serialize_none(),
            Some(v) => match word(*v) {
                None => s.serialize_some(v),
                Some(word) => s.serialize_some(word),
            },
        }
    }

    #[allow(clippy::missing_errors_doc)] // serde's signature
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
        Option::<Either>::deserialize(d)?.map(Either::value).transpose()
    }
}
