//! Who gets the candidate: sticky by key, and monotone, so that raising the weight moves nobody back.

/// Buckets that callers fall into; a weight is a number of them.
pub const BUCKETS: u16 = 10_000;

/// The bucket of a caller: the first eight bytes of BLAKE3 over salt and key, so that it can be computed again from
/// the audit trail by any tool.
pub fn bucket(salt: &str, key: &[u8]) -> u16 {
    let hash = blake3::hash(&[salt.as_bytes(), &[0], key].concat());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    #[allow(clippy::cast_possible_truncation)] // below BUCKETS
    let bucket = (u64::from_le_bytes(first) % u64::from(BUCKETS)) as u16;
    bucket
}

/// Whether the candidate answers this caller.
pub fn is_candidate(salt: &str, key: &[u8], weight: u16) -> bool {
    weight > 0 && bucket(salt, key) < weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_weight_keeps_those_it_had() {
        for caller in 0..2000 {
            let key = format!("user-{caller}");
            let mut before = false;
            for weight in [0, 1, 500, 1000, 5000, 9999, BUCKETS] {
                let now = is_candidate("salt", key.as_bytes(), weight);
                assert!(now || !before, "{key} went back at {weight}");
                before = now;
            }
            assert!(before);
        }
    }

    #[test]
    fn the_share_is_the_weight() {
        let hits = (0..100_000).filter(|i| is_candidate("s", format!("{i}").as_bytes(), 500)).count();
        assert!((4700..5300).contains(&hits), "{hits}");
    }

    #[test]
    fn another_salt_picks_others() {
        let both = (0..10_000).filter(|i| {
            let key = format!("{i}");
            is_candidate("a", key.as_bytes(), 1000) && is_candidate("b", key.as_bytes(), 1000)
        });
        assert!((50..160).contains(&both.count()));
    }
}
