//! Ids: 32 hexadecimal digits where `MLflow`'s clients expect them, `UUIDv7` for what is ours.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use super::clock::{Clock, SystemClock, Timestamp};

/// An id of our own that sorts by the time it was made.
pub fn uuid7() -> String {
    String::from_utf8_lossy(&uuid7_at(SystemClock.now())).into_owned()
}

/// Bytes of a UUID as text.
pub const UUID_TEXT: usize = uuid::fmt::Hyphenated::LENGTH;

/// The same, as text, of something that was made at a known time.
pub fn uuid7_at(made: Timestamp) -> [u8; UUID_TEXT] {
    let ms = u64::try_from(made.0 / 1000).unwrap_or_default();
    let mut text = [0; UUID_TEXT];
    uuid::Builder::from_unix_timestamp_millis(ms, &spare_bytes()).into_uuid().hyphenated().encode_lower(&mut text);
    text
}

/// Ten random bytes. A thread asks the system for many at once: every routed request has an id of its own.
fn spare_bytes() -> [u8; 10] {
    const STOCK: usize = 128;
    thread_local! {
        static SPARE: RefCell<Vec<[u8; 10]>> = const { RefCell::new(Vec::new()) };
    }
    SPARE.with_borrow_mut(|spare| {
        if let Some(bytes) = spare.pop() {
            return bytes;
        }
        let mut fresh = [[0; 10]; STOCK];
        if getrandom::fill(fresh.as_flattened_mut()).is_err() {
            // No system that opsroom runs on refuses; the library knows what to do.
            let mut bytes = [0; 10];
            bytes.copy_from_slice(&Uuid::new_v4().as_bytes()[..10]);
            return bytes;
        }
        spare.extend_from_slice(&fresh[1..]);
        fresh[0]
    })
}

/// 128 random bits.
pub fn random_u128() -> u128 {
    Uuid::new_v4().as_u128()
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            pub fn random() -> Self {
                Self(random_u128())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:032x}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                let digits = text.strip_prefix($prefix).ok_or(())?;
                let well_formed = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if !well_formed {
                    return Err(());
                }
                u128::from_str_radix(digits, 16).map(Self).map_err(|_| ())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(|()| de::Error::custom(format!(concat!("not a ", stringify!($name), ": {}"), text)))
            }
        }
    };
}

hex_id!(
    /// A run: 32 lower-case hexadecimal digits.
    RunId,
    ""
);
hex_id!(
    /// A logged model: `m-` and 32 lower-case hexadecimal digits.
    ModelId,
    "m-"
);

/// An experiment's number. A string in JSON, as `MLflow`'s clients expect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExperimentId(pub u64);

impl fmt::Display for ExperimentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ExperimentId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(Self).map_err(|_| ())
    }
}

impl Serialize for ExperimentId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExperimentId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(|()| de::Error::custom(format!("not an experiment id: {text}")))
    }
}
