//! What requests are made of: typed forms read straight from the bytes, as lenient as `MLflow`'s own reader.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Number,
    Flag,
    Choice,
    Texts,
    List,
}

/// One parameter of a form, for the words of a refusal.
#[derive(Debug)]
pub(super) struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    /// Of a list: what its items are made of.
    pub items: &'static [Field],
}

/// A request's parameters, by name.
pub(super) trait Form<'a>: Deserialize<'a> {
    const FIELDS: &'static [Field];

    /// The first required parameter that is absent or empty.
    fn missing(&self) -> Option<&'static str>;
}

/// Whether a parameter counts as given: an empty text or list does not.
pub(super) trait Given {
    fn given(&self) -> bool {
        true
    }
}

impl Given for Int {}
impl Given for Number {}
impl Given for bool {}
impl Given for Choice<'_> {}

impl Given for Word<'_> {
    fn given(&self) -> bool {
        !self.0.is_empty()
    }
}

impl<T> Given for Vec<T> {
    fn given(&self) -> bool {
        !self.is_empty()
    }
}

/// Declares a form: `name: Kind` a parameter, `name: Kind required`, and `name: List<Item>`.
macro_rules! form {
    (@type Text) => { $crate::agent::mlflow::form::Word<'a> };
    (@type Int) => { $crate::agent::mlflow::form::Int };
    (@type Number) => { $crate::agent::mlflow::form::Number };
    (@type Flag) => { bool };
    (@type Choice) => { $crate::agent::mlflow::form::Choice<'a> };
    (@type Texts) => { Vec<$crate::agent::mlflow::form::Word<'a>> };
    (@type List<$item:ident>) => { Vec<$item<'a>> };
    (@items) => { &[] };
    (@items $item:ident) => { <$item<'static> as $crate::agent::mlflow::form::Form<'static>>::FIELDS };
    (@required) => { false };
    (@required required) => { true };
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ident $(<$item:ident>)? $($required:ident)?),+ $(,)? })+) => { $(
        $(#[$doc])*
        #[derive(Debug, serde::Deserialize)]
        #[serde(bound(deserialize = "'de: 'a"))]
        #[allow(clippy::struct_field_names)] // named as on the wire
        pub(super) struct $name<'a> {
            $( #[serde(default)] pub $field: Option<form!(@type $kind $(<$item>)?)>, )+
            #[serde(skip)]
            _source: std::marker::PhantomData<&'a ()>,
        }

        impl<'a> $crate::agent::mlflow::form::Form<'a> for $name<'a> {
            const FIELDS: &'static [$crate::agent::mlflow::form::Field] = &[ $(
                $crate::agent::mlflow::form::Field {
                    name: stringify!($field),
                    kind: $crate::agent::mlflow::form::Kind::$kind,
                    required: form!(@required $($required)?),
                    items: form!(@items $($item)?),
                },
            )+ ];

            fn missing(&self) -> Option<&'static str> {
                #[allow(unused_imports)]
                use $crate::agent::mlflow::form::Given as _;
                $( if form!(@required $($required)?) && !self.$field.as_ref().is_some_and(|f| f.given()) {
                    return Some(stringify!($field));
                } )+
                None
            }
        }
    )+ };
}
pub(super) use form;

/// A text, borrowed from the request where it has no escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word<'a>(pub Cow<'a, str>);

impl std::ops::Deref for Word<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Word<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<Word<'_>> for String {
    fn from(word: Word<'_>) -> Self {
        word.0.into_owned()
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Owned(text)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(WordVisitor)
    }
}

/// A 64-bit integer, also as text or as a float without a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Int(pub i64);

/// The whole number behind a float, when it is one that a 64-bit integer holds.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // checked to fit
pub(super) fn whole(number: f64) -> Option<i64> {
    let fits = number.fract() == 0.0 && number >= i64::MIN as f64 && number < i64::MAX as f64;
    fits.then_some(number as i64)
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Int;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer")
            }
            fn visit_i64<E>(self, n: i64) -> Result<Int, E> {
                Ok(Int(n))
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Int, E> {
                i64::try_from(n).map(Int).map_err(|_| E::custom("an integer beyond 64 bits"))
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Int, E> {
                whole(n).map(Int).ok_or_else(|| E::custom("not an integer"))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Int, E> {
                text.trim().parse().map(Int).map_err(|_| E::custom("not an integer"))
            }
        }
        d.deserialize_any(V)
    }
}

/// A float, also as text; "NaN", "Infinity" and "-Infinity" are the words for what JSON cannot say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number(pub f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_f64<E>(self, n: f64) -> Result<Number, E> {
                Ok(Number(n))
            }
            #[allow(clippy::cast_precision_loss)] // a float is what was asked for
            fn visit_i64<E>(self, n: i64) -> Result<Number, E> {
                Ok(Number(n as f64))
            }
            #[allow(clippy::cast_precision_loss)] // as above
            fn visit_u64<E>(self, n: u64) -> Result<Number, E> {
                Ok(Number(n as f64))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.trim().parse().map(Number).map_err(|_| E::custom("not a number"))
            }
        }
        d.deserialize_any(V)
    }
}

/// One of a set of names; protobuf's numbers of them are accepted too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice<'a> {
    Name(Word<'a>),
    Number(i64),
}

impl Choice<'_> {
    /// What was chosen from `names` (name, number); an unknown one is nothing chosen.
    pub fn of<T: Copy>(&self, names: &[(&str, i64, T)]) -> Option<T> {
        let is = |(name, number, _): &&(&str, i64, T)| match self {
            Self::Name(word) => **word == **name || word.parse() == Ok(*number),
            Self::Number(n) => n == number,
        };
        names.iter().find(is).map(|(_, _, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Choice<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Choice<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_i64<E>(self, n: i64) -> Result<Choice<'de>, E> {
                Ok(Choice::Number(n))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Choice<'de>, E> {
                Ok(Choice::Number(i64::try_from(n).unwrap_or(i64::MAX)))
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Choice<'de>, E> {
                WordVisitor.visit_borrowed_str(text).map(Choice::Name)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Choice<'de>, E> {
                WordVisitor.visit_str(text).map(Choice::Name)
            }
        }
        d.deserialize_any(V)
    }
}

form! {
    /// `{"key", "value"}`: a tag or a param.
    Pair { key: Text required, value: Text }
}

/// Pairs as the rooms take them; each needs a key.
///
/// # Errors
/// `Invalid`, naming the place.
pub(super) fn pairs(what: &str, pairs: Option<Vec<Pair<'_>>>) -> crate::base::fault::Result<Vec<(String, String)>> {
    let one = |(nth, pair): (usize, Pair<'_>)| {
        let key = pair.key.filter(Given::given).ok_or_else(|| super::asked::missing(&format!("{what}[{nth}].key")))?;
        Ok((key.into(), pair.value.unwrap_or_default().into()))
    };
    pairs.unwrap_or_default().into_iter().enumerate().map(one).collect()
}
