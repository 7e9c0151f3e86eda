//! Calls about datasets: what is stored, and bytes in packs.

use bytes::Bytes;
use reqwest::Method;

use super::Client;
use super::calls::encode;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::datasets::profile::Profile;
use crate::capability::datasets::{
    DatasetVersion, DatasetView, Diff, Digest, Located, Manifest, PackCheck, Stored, diff,
};

const NOTHING: [(&str, &str); 0] = [];

impl Client {
    /// # Errors
    /// `Unavailable`.
    pub async fn datasets(&self) -> Result<Vec<DatasetView>> {
        self.get("/api/v1/datasets", &NOTHING).await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn dataset(&self, name: &str) -> Result<DatasetView> {
        self.get(&format!("/api/v1/datasets/{}", encode(name)), &NOTHING).await
    }

    /// # Errors
    /// `NotFound`, `Unavailable` when it is damaged.
    pub async fn manifest(&self, name: &str, version: u32) -> Result<Manifest> {
        let path = format!("/api/v1/datasets/{}/versions/{version}/manifest", encode(name));
        Manifest::decode(&self.bytes(self.request(Method::GET, &path)).await?)
    }

    /// # Errors
    /// `NotFound`, also when the version has no table; `Unavailable` when it is damaged.
    pub async fn profile(&self, name: &str, version: u32) -> Result<Profile> {
        let path = format!("/api/v1/datasets/{}/versions/{version}/profile", encode(name));
        let bytes = self.bytes(self.request(Method::GET, &path)).await?;
        serde_json::from_slice(&bytes).map_err(|e| {
            Fault::bug("the profile cannot be read")
                .why(e.to_string())
                .next("run the same version of opsroom on both sides")
        })
    }

    /// What is different between two versions; distributions only where both have a profile.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn data_diff(&self, a: &DatasetVersion, b: &DatasetVersion) -> Result<Diff> {
        let (from, to) = (self.manifest(&a.dataset, a.version).await?, self.manifest(&b.dataset, b.version).await?);
        let profiles = (self.profile_if_any(a).await?, self.profile_if_any(b).await?);
        Ok(diff((a, &from, profiles.0.as_ref()), (b, &to, profiles.1.as_ref())))
    }

    async fn profile_if_any(&self, version: &DatasetVersion) -> Result<Option<Profile>> {
        match self.profile(&version.dataset, version.version).await {
            Err(fault) if fault.kind == Kind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// Which of these chunks the store has.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn locate(&self, chunks: &[Digest]) -> Result<Located> {
        let body: Vec<u8> = chunks.iter().flat_map(|d| d.0).collect();
        self.json(self.request(Method::POST, "/api/v1/data/locate").body(body)).await
    }

    /// # Errors
    /// `Invalid` when a chunk is not what its digest says.
    pub async fn put_pack(&self, pack: Bytes) -> Result<Stored> {
        self.json(self.request(Method::POST, "/api/v1/data/packs").body(pack)).await
    }

    /// # Errors
    /// `Invalid` when it names what is not stored.
    pub async fn put_manifest(&self, manifest: Vec<u8>) -> Result<Stored> {
        self.json(self.request(Method::POST, "/api/v1/data/manifests").body(manifest)).await
    }

    /// # Errors
    /// `Invalid`.
    pub async fn put_profile(&self, profile: Vec<u8>) -> Result<Stored> {
        self.json(self.request(Method::POST, "/api/v1/data/profiles").body(profile)).await
    }

    /// A range of a pack's bytes.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn pack_bytes(&self, pack: &Digest, range: std::ops::Range<u64>) -> Result<Bytes> {
        let request = self.request(Method::GET, &format!("/api/v1/data/packs/{pack}"));
        self.bytes(request.query(&[("from", range.start), ("to", range.end)])).await
    }

    /// # Errors
    /// `NotFound`.
    pub async fn check_pack(&self, pack: &Digest) -> Result<PackCheck> {
        self.get(&format!("/api/v1/data/packs/{pack}/check"), &NOTHING).await
    }

    async fn bytes(&self, request: reqwest::RequestBuilder) -> Result<Bytes> {
        let broke =
            |e: reqwest::Error| Fault::unavailable("the download broke off").why(e.to_string()).next("try again");
        self.send(request).await?.bytes().await.map_err(broke)
    }
}
