//! Checking the chain: links, texts, and the signed heads kept outside of the database.

use serde::{Deserialize, Serialize};

use super::{GENESIS, SignedHead, detail_digest, store};
use crate::base::fault::Result;
use crate::db::Pool;

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    pub ok: bool,
    /// Records read.
    pub records: i64,
    /// Number and digest of the newest record.
    pub head: Option<(i64, String)>,
    /// The first record that does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<i64>,
    /// What does not hold, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Records whose texts were erased; the chain holds without them.
    pub erased: i64,
    /// Signed heads compared.
    pub heads: usize,
}

/// Reads the chain from its beginning, and holds it against the signed heads.
///
/// # Errors
/// The store's.
pub async fn verify(pool: &Pool, heads: &[SignedHead]) -> Result<Verification> {
    let mut found = Verification {
        ok: true,
        records: 0,
        head: None,
        first_bad: None,
        why: String::new(),
        erased: 0,
        heads: heads.len(),
    };
    let mut heads: Vec<&SignedHead> = heads.iter().collect();
    heads.sort_by_key(|h| h.head.seq);
    if let Some(forged) = heads.iter().find(|h| !h.holds()) {
        return Ok(found.bad(forged.head.seq, "the signature of a signed head does not hold"));
    }
    let mut heads = heads.into_iter().peekable();
    let mut previous = GENESIS.to_owned();
    loop {
        let rows = store::onward(pool, found.records).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let texts = row.salt.clone().zip(row.detail.clone());
            let record = row.record();
            let expected = found.records + 1;
            if record.seq != expected {
                return Ok(found.bad(expected, "the record is missing"));
            }
            if record.previous != previous || record.link_digest() != record.digest {
                return Ok(found.bad(record.seq, "the record was changed, or a record before it was"));
            }
            match texts {
                None => found.erased += 1,
                Some((salt, detail)) if detail_digest(&salt, &detail) != record.detail_digest => {
                    return Ok(found.bad(record.seq, "the record's texts were changed"));
                }
                Some(_) => {}
            }
            while let Some(head) = heads.next_if(|h| h.head.seq <= record.seq) {
                if head.head.seq == record.seq && head.head.digest != record.digest {
                    return Ok(found.bad(record.seq, "the chain was rewritten: a signed head says otherwise"));
                }
            }
            previous.clone_from(&record.digest);
            found.records = record.seq;
            found.head = Some((record.seq, record.digest));
        }
    }
    if let Some(beyond) = heads.next() {
        let why = format!(
            "records are missing at the end: a head signed at {} stands at #{}. The chain was cut, or a backup was restored",
            beyond.head.at, beyond.head.seq
        );
        return Ok(found.clone().bad(found.records + 1, &why));
    }
    Ok(found)
}

impl Verification {
    fn bad(mut self, seq: i64, why: &str) -> Self {
        self.ok = false;
        self.first_bad = Some(seq);
        why.clone_into(&mut self.why);
        self
    }
}
