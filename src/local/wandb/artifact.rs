//! Artifacts and alerts that a log holds, brought to the agent in the words of a live client.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::proto::{Field, fields, last};
use crate::base::{Fault, fault::Result};
use crate::client::{Client, pieces};

/// Files that are announced at once.
const FILES_AT_ONCE: usize = 1000;
/// What a run's alerts stand in, as a JSON list.
const ALERT_TAG: &str = "wandb.alert";

/// Where an artifact belongs.
pub struct Home {
    pub project: String,
    pub run: String,
}

impl Home {
    fn with(&self, more: Value) -> Value {
        let mut all = json!({ "projectName": self.project, "runName": self.run });
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more);
        }
        all
    }
}

/// A version of an artifact as its script logged it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Artifact {
    pub name: String,
    kind: String,
    digest: String,
    description: String,
    metadata: String,
    client_id: String,
    aliases: Vec<String>,
    tags: Vec<String>,
    policy: String,
    entries: Vec<Entry>,
    /// Where its list of files lies when it is too long for the log.
    list: String,
}

/// One file of it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Entry {
    path: String,
    digest: String,
    reference: String,
    size: i64,
    /// Where the client kept a copy of it.
    local: String,
    born: String,
}

impl Entry {
    fn read(body: &[u8]) -> Self {
        let mut read = Self::default();
        for (number, field) in fields(body) {
            match number {
                1 => read.path = field.text(),
                2 => read.digest = field.text(),
                3 => read.reference = field.text(),
                4 => read.size = field.int(),
                6 => read.local = field.text(),
                7 => read.born = field.text(),
                _ => {}
            }
        }
        read
    }
}

impl Artifact {
    /// `None` for one that is only used, or has no name.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut read = Self::default();
        let mut finalized = false;
        for (number, field) in fields(body) {
            match number {
                4 => read.kind = field.text(),
                5 => read.name = field.text(),
                6 => read.digest = field.text(),
                7 => read.description = field.text(),
                8 => read.metadata = field.text(),
                11 => read.aliases.push(field.text()),
                12 => read.manifest(field.bytes()),
                14 => finalized = field.int() != 0,
                15 => read.client_id = field.text(),
                19 => read.tags.push(field.text()),
                _ => {}
            }
        }
        (finalized && !read.name.is_empty() && !read.kind.is_empty()).then_some(read)
    }

    fn manifest(&mut self, body: &[u8]) {
        for (number, field) in fields(body) {
            match number {
                2 => self.policy = field.text(),
                4 => self.entries.push(Entry::read(field.bytes())),
                5 => self.list = field.text(),
                _ => {}
            }
        }
    }

    /// Sends it: announced, filled, committed. A version that is there is left alone. Answers how many files were sent.
    ///
    /// # Errors
    /// `Invalid` when a file is gone from this machine, or the agent refuses; `Unavailable`.
    pub async fn bring(&self, client: &Client, home: &Home) -> Result<u64> {
        if self.entries.is_empty() && !self.list.is_empty() {
            return Err(Fault::invalid("its list of files lies beside the log and is not read")
                .next("send it with W&B's own client: wandb sync"));
        }
        let gone = self.entries.iter().find(|e| e.is_kept() && !Path::new(&e.local).is_file());
        let aliases: Vec<Value> = self.aliases.iter().map(|a| json!({ "alias": a })).collect();
        let tags: Vec<Value> = self.tags.iter().map(|t| json!({ "tagName": t })).collect();
        let input = home.with(json!({
            "artifactTypeName": self.kind, "artifactCollectionName": self.name, "digest": self.digest,
            "description": some(&self.description), "metadata": some(&self.metadata), "clientID": self.client_id,
            "aliases": aliases, "tags": tags, "enableDigestDeduplication": true,
        }));
        if let Some(gone) = gone {
            return Err(Fault::invalid(format!("its file {} is not on this machine any more", gone.path))
                .why(format!("the client kept a copy at {}", gone.local))
                .next("import where the script ran"));
        }
        let made = client.wandb("CreateArtifact", &json!({ "input": input })).await?;
        let made = &made["createArtifact"]["artifact"];
        if made["state"] == "COMMITTED" {
            return Ok(0);
        }
        let id = made["id"].as_str().unwrap_or_default();
        let sent = self.send_files(client, id).await?;
        let wanted = json!({ "artifactID": id, "includeUpload": true });
        let manifest = client.wandb("CreateArtifactManifest", &wanted).await?;
        let url = &manifest["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"];
        client.wandb_upload(url.as_str().unwrap_or_default(), self.written().to_string()).await?;
        client.wandb("CommitArtifact", &json!({ "artifactID": id })).await?;
        Ok(sent)
    }

    async fn send_files(&self, client: &Client, id: &str) -> Result<u64> {
        let kept: Vec<&Entry> = self.entries.iter().filter(|e| e.is_kept()).collect();
        for part in kept.chunks(FILES_AT_ONCE) {
            let files: Vec<Value> =
                part.iter().map(|e| json!({ "artifactID": id, "name": e.path, "md5": e.digest })).collect();
            let input = json!({ "input": { "artifactFiles": files, "storageLayout": "V2" } });
            let places = client.wandb("CreateArtifactFiles", &input).await?;
            let places = places["createArtifactFiles"]["files"]["edges"].as_array().cloned().unwrap_or_default();
            for (entry, place) in part.iter().zip(places) {
                let file = tokio::fs::File::open(&entry.local)
                    .await
                    .map_err(|e| Fault::invalid(format!("{} cannot be read", entry.local)).why(e.to_string()))?;
                let url = place["node"]["uploadUrl"].as_str().unwrap_or_default();
                client.wandb_upload(url, reqwest::Body::wrap_stream(pieces(file))).await?;
            }
        }
        Ok(kept.len() as u64)
    }

    /// The manifest as the client would have written it.
    fn written(&self) -> Value {
        let contents: Map<String, Value> = self.entries.iter().map(|e| (e.path.clone(), e.written())).collect();
        let policy = some(&self.policy).unwrap_or("wandb-storage-policy-v1");
        json!({
            "version": 1, "storagePolicy": policy, "storagePolicyConfig": { "storageLayout": "V2" }, "contents": contents,
        })
    }
}

impl Entry {
    /// Its bytes belong to the artifact, and lie nowhere else.
    fn is_kept(&self) -> bool {
        self.reference.is_empty() && self.born.is_empty()
    }

    fn written(&self) -> Value {
        let mut entry = json!({ "digest": self.digest, "size": self.size });
        if !self.reference.is_empty() {
            entry["ref"] = self.reference.as_str().into();
        }
        if !self.born.is_empty() {
            entry["birthArtifactID"] = self.born.as_str().into();
        }
        entry
    }
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}

/// `run.alert(…)`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alert {
    title: String,
    text: String,
    level: String,
}

impl Alert {
    pub fn read(body: &[u8]) -> Self {
        let text = |number| last(body, number).map(Field::text).unwrap_or_default();
        Self { title: text(1), text: text(2), level: text(3) }
    }

    /// Tells the agent of it; of a run that is over it becomes a tag of the run.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn bring(&self, client: &Client, home: &Home, over: bool) -> Result<()> {
        if over {
            let id = crate::capability::tracking::wandb::run_id(&home.project, &home.run);
            let said = if self.text.is_empty() { self.title.clone() } else { format!("{}: {}", self.title, self.text) };
            let key = format!("{ALERT_TAG}.{}", crate::capability::tracking::wandb::line::metric_key(&self.title));
            let said = format!("{} {said}", self.level).trim().to_owned();
            return client.tag_run(id, &[(key, Some(said))].into()).await;
        }
        let alert = home.with(json!({ "title": self.title, "text": self.text, "severity": some(&self.level) }));
        client.wandb("NotifyScriptableRunAlert", &alert).await.map(drop)
    }
}
