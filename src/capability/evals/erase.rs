//! Taking a person's name out of per-example results. Labels and predictions stay: without the name they are nobody's, and a
//! gate that rested on them judges the same.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::rows::Truth;
use super::{Evidence, apply, store};
use crate::base::{Fault, Kind, fault::Result};
use crate::db::blobs::Blobs;
use crate::db::{Db, Source};

/// Examples without the name lie beside where those with it lay: the digest of what follows, then that.
pub const ERASED_ENDING: &str = ".erased";

/// Takes a name out of the examples of every result, and of the results themselves; answers of how many. Interrupted, it can be
/// done again.
///
/// # Errors
/// The store's.
pub async fn erase(db: &Db, blobs: &Blobs, name: &str, instead: &str, really: bool) -> Result<u64> {
    let all = store::all(Source::Pool(db.read())).await?;
    let mut touched: BTreeSet<i64> = BTreeSet::new();
    let digests: BTreeSet<&String> = all.iter().map(|e| &e.truth).collect();
    for digest in digests {
        if in_examples(blobs, digest, name, instead, really).await? {
            touched.extend(all.iter().filter(|e| e.truth == *digest).map(|e| e.id));
        }
    }
    for evidence in &all {
        let slices: Vec<_> = evidence.slices.iter().filter(|s| s.value == name).collect();
        if slices.is_empty() {
            continue;
        }
        touched.insert(evidence.id);
        if really {
            let mut without: Evidence = evidence.clone();
            without.slices.iter_mut().filter(|s| s.value == name).for_each(|s| instead.clone_into(&mut s.value));
            let mut tx = db.begin_erasing().await?;
            store::rewrite(&mut tx, &without).await?;
            tx.commit().await?;
        }
    }
    Ok(touched.len() as u64)
}

async fn in_examples(blobs: &Blobs, digest: &str, name: &str, instead: &str, really: bool) -> Result<bool> {
    let bytes = match apply::fetch(blobs, digest).await {
        Ok(bytes) => bytes,
        // Gone already.
        Err(fault) if fault.kind == Kind::NotFound => return Ok(false),
        Err(fault) => return Err(fault),
    };
    let (name, instead) = (name.to_owned(), instead.to_owned());
    let without = tokio::task::spawn_blocking(move || -> Result<Option<Vec<u8>>> {
        let mut truth = Truth::unpack(&bytes)?;
        let mut found = false;
        for value in truth.slices.iter_mut().flat_map(|s| &mut s.values).filter(|v| **v == name) {
            instead.clone_into(value);
            found = true;
        }
        found.then(|| truth.pack()).transpose()
    });
    let without = without.await.map_err(|e| Fault::bug("examples").why(e.to_string()))??;
    let Some(packed) = without else {
        // Begun and not ended: the file with the name may still lie there.
        return Ok(false);
    };
    if really {
        let place = apply::place(digest)?;
        let mut file = blake3::hash(&packed).to_hex().to_string().into_bytes();
        file.extend(packed);
        blobs.put(&format!("{place}{ERASED_ENDING}"), file.into()).await?;
        blobs.delete(&place).await?;
    }
    Ok(true)
}

/// Examples whose names were erased, with the digest of what is left checked.
pub(super) async fn without_names(blobs: &Blobs, digest: &str) -> Result<Bytes> {
    let missing = || Fault::not_found(format!("the examples {digest} are not here")).next("run the evaluation again");
    let file = match blobs.read(&format!("{}{ERASED_ENDING}", apply::place(digest)?)).await {
        Err(fault) if fault.kind == Kind::NotFound => return Err(missing()),
        file => file?,
    };
    let bytes = file.slice(64.min(file.len())..);
    if file.len() < 64 || blake3::hash(&bytes).to_hex().as_bytes() != &file[..64] {
        return Err(Fault::unavailable(format!("the examples {digest} were damaged")).next("run the evaluation again"));
    }
    Ok(bytes)
}
