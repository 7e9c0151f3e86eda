//! Uploads in parts: kept aside, where nothing lists or reads them, until all are there; then one file in its place.

use futures::{Stream, StreamExt, TryStreamExt};

use super::artifacts::{Artifacts, write_all};
use crate::base::id::random_u128;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::blobs::{clean_path, hidden};

/// An upload that nobody has completed is swept away after this long.
const ABANDONED_AFTER: std::time::Duration = std::time::Duration::from_hours(7 * 24);
/// As S3 has it.
const PARTS_MAX: usize = 10_000;

/// A part as its sender names it: its number, and the tag that the part's arrival was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub number: u32,
    pub tag: String,
}

fn folder(upload: &str) -> String {
    hidden(&format!("parts/{upload}"))
}

fn part_path(upload: &str, part: &Part) -> String {
    format!("{}/{:05}.{}", folder(upload), part.number, part.tag)
}

fn unknown(upload: &str) -> Fault {
    Fault::not_found(format!("no upload {upload:?} is under way")).next("begin a new one, and send its parts")
}

/// Ids of uploads sort by the moment they began: milliseconds, then random bits, in hexadecimal.
fn new_upload(now: Timestamp) -> String {
    format!("{:012x}{:020x}", now.millis(), random_u128() >> 48)
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Artifacts {
    /// Begins an upload in parts of what will be `path`; answers with its id.
    ///
    /// # Errors
    /// `Invalid` for the path, `Refused` beneath a frozen folder.
    pub async fn begin_parts(&self, path: &str, now: Timestamp) -> Result<String> {
        let path = self.writable(path).await?;
        self.sweep(now).await;
        let upload = new_upload(now);
        self.blobs().put(&format!("{}/target", folder(&upload)), path.into_bytes().into()).await?;
        Ok(upload)
    }

    /// Keeps one part aside; sent again, the later one has another tag. Answers with the tag.
    ///
    /// # Errors
    /// `NotFound` for the upload, `Invalid` for the number or when the sender breaks off.
    pub async fn put_part<E: std::fmt::Display>(
        &self,
        upload: &str,
        number: u32,
        body: impl Stream<Item = Result<bytes::Bytes, E>> + Unpin,
    ) -> Result<String> {
        self.target(upload).await?;
        if number == 0 || number as usize > PARTS_MAX {
            return Err(Fault::invalid(format!("part {number}: parts are numbered from 1 to {PARTS_MAX}")));
        }
        let part = Part { number, tag: format!("{:032x}", random_u128()) };
        let kept = write_all(self.blobs().upload(&part_path(upload, &part))?, body).await?;
        kept.finish().await?;
        Ok(part.tag)
    }

    /// Puts the parts together, in the order of their numbers; then the file is there as a whole.
    ///
    /// # Errors
    /// `NotFound` for the upload, `Invalid` when it is for another path or a part is missing, `Refused` beneath a
    /// frozen folder. The parts stay, so that it can be tried again.
    pub async fn complete_parts(&self, path: &str, upload: &str, mut parts: Vec<Part>) -> Result<()> {
        self.check_target(path, upload).await?;
        parts.sort_by_key(|p| p.number);
        if parts.is_empty() || parts.windows(2).any(|two| two[0].number == two[1].number) {
            return Err(Fault::invalid("an upload is completed with each of its parts once"));
        }
        let mut paths = Vec::with_capacity(parts.len());
        for part in &parts {
            let path = part_path(upload, part);
            let known = is_id(&part.tag) && self.blobs().size(&path).await.is_ok();
            if !known {
                return Err(Fault::invalid(format!("part {} of upload {upload} has not arrived", part.number))
                    .next("send it again, and complete with the ETag of the answer"));
            }
            paths.push(path);
        }
        let blobs = self.blobs().clone();
        let whole = futures::stream::iter(paths)
            .then(move |path| {
                let blobs = blobs.clone();
                async move { blobs.get(&path, None).await.map(|c| c.stream).map_err(std::io::Error::other) }
            })
            .try_flatten();
        self.put(path, whole.boxed()).await?;
        self.forget(upload).await;
        Ok(())
    }

    /// Ends an upload without its file; one that is not there is fine.
    ///
    /// # Errors
    /// `Invalid` when it is for another path.
    pub async fn abort_parts(&self, path: &str, upload: &str) -> Result<()> {
        match self.check_target(path, upload).await {
            Err(fault) if fault.kind == crate::base::Kind::NotFound => return Ok(()),
            other => other?,
        }
        self.forget(upload).await;
        Ok(())
    }

    async fn target(&self, upload: &str) -> Result<String> {
        if !is_id(upload) {
            return Err(unknown(upload));
        }
        let bytes = self.blobs().read(&format!("{}/target", folder(upload))).await.map_err(|_| unknown(upload))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn check_target(&self, path: &str, upload: &str) -> Result<()> {
        if self.target(upload).await? == clean_path(path)? {
            return Ok(());
        }
        Err(Fault::invalid(format!("upload {upload} is for another path than {path}")))
    }

    async fn forget(&self, upload: &str) {
        if let Err(fault) = self.blobs().delete(&folder(upload)).await {
            tracing::warn!("parts of upload {upload} are left over: {fault}");
        }
    }

    async fn sweep(&self, now: Timestamp) {
        let oldest = new_upload(now.minus(ABANDONED_AFTER));
        let uploads = self.blobs().list(&hidden("parts")).await.unwrap_or_default();
        for upload in uploads.iter().filter(|e| is_id(&e.name) && e.name[..12] < oldest[..12]) {
            self.forget(&upload.name).await;
        }
    }
}
