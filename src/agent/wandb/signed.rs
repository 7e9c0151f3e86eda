//! Addresses for uploads and downloads. Clients send no credentials there, so the address itself is one: it is signed with a
//! key that only this store has, for one path, one use and some time.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};

use crate::agent::App;
use crate::agent::mlflow::files::encoded;
use crate::base::id::random_u128;
use crate::base::{Fault, Kind, fault::Result};
use crate::db::blobs::hidden;

/// Beneath this, the address is the credential.
const PREFIX: &str = "/wandb/storage/";
/// A client may retry for long.
const HOLDS_SECONDS: i64 = 24 * 3600;

pub(super) type Key = [u8; 32];

/// What may be done at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Get,
    Put,
}

/// Whether requests to this path carry their credential in it.
pub fn is_signed(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// The store's key; made when there is none. It outlives the agent, as uploads do.
async fn key(app: &App) -> Result<Key> {
    let made = app.wandb().key.get_or_try_init(async || {
        let path = hidden("wandb/key");
        let blobs = app.ctx().artifacts.blobs();
        match blobs.read(&path).await {
            Ok(bytes) => bytes.as_ref().try_into().map_err(|_| Fault::bug(format!("{path} holds no key"))),
            Err(fault) if fault.kind == Kind::NotFound => {
                let mut key = Key::default();
                key[..16].copy_from_slice(&random_u128().to_be_bytes());
                key[16..].copy_from_slice(&random_u128().to_be_bytes());
                blobs.put(&path, key.to_vec().into()).await?;
                Ok(key)
            }
            Err(fault) => Err(fault),
        }
    });
    made.await.copied()
}

fn signature(key: &Key, to: Use, until: i64, path: &str) -> blake3::Hash {
    let to = match to {
        Use::Get => "get",
        Use::Put => "put",
    };
    blake3::keyed_hash(key, format!("{to}\0{until}\0{path}").as_bytes())
}

/// The address for one use of a path in the artifact store.
///
/// # Errors
/// `Unavailable` when the key cannot be read.
pub(super) async fn address(app: &App, base: &str, to: Use, path: &str) -> Result<String> {
    let until = app.now().millis() / 1000 + HOLDS_SECONDS;
    let signature = BASE64_URL_SAFE_NO_PAD.encode(signature(&key(app).await?, to, until, path).as_bytes());
    let path: Vec<String> = path.split('/').map(encoded).collect();
    Ok(format!("{base}{PREFIX}{signature}/{until}/{}", path.join("/")))
}

/// # Errors
/// `Denied` when the address was not given out by this store for this use, or is too old.
pub(super) async fn check(app: &App, to: Use, given: &str, until: i64, path: &str) -> Result<()> {
    let given = BASE64_URL_SAFE_NO_PAD.decode(given).ok().and_then(|b| <[u8; 32]>::try_from(b).ok());
    let expected = signature(&key(app).await?, to, until, path);
    // Comparing hashes of this type takes the same time whatever differs.
    if given.is_none_or(|g| blake3::Hash::from(g) != expected) {
        return Err(Fault::denied("this address was not given out here").next("ask for it again"));
    }
    if app.now().millis() / 1000 > until {
        return Err(Fault::denied("this address has expired").next("ask for it again"));
    }
    Ok(())
}
