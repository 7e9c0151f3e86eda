//! Artifacts of runs that a mirror brought: their bytes stay with MLflow's server, and whoever looks asks it for them.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde::Deserialize;

use crate::base::{Fault, Kind, fault::Result};
use crate::capability::wire::ArtifactEntry;

/// What stands between a server's address and a path in its artifacts.
const BELOW: &str = "/api/2.0/mlflow-artifacts/artifacts/";
const CONNECT: Duration = Duration::from_secs(5);
/// Without a byte for so long, a server is taken to be away.
const SILENCE: Duration = Duration::from_mins(1);

/// A run's artifacts on a server of MLflow's.
pub(super) struct Place {
    http: reqwest::Client,
    server: String,
    root: String,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    path: String,
    #[serde(default)]
    is_dir: bool,
    #[serde(default, rename = "file_size")]
    size: Option<u64>,
}

impl Place {
    /// `None` for artifacts that no server of MLflow's has.
    pub(super) fn of(uri: &str) -> Option<Self> {
        if !uri.starts_with("http://") && !uri.starts_with("https://") {
            return None;
        }
        let (server, root) = uri.split_once(BELOW)?;
        let http = reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).build().ok()?;
        Some(Self { http, server: server.to_owned(), root: root.trim_matches('/').to_owned() })
    }

    /// What lies in a folder.
    ///
    /// # Errors
    /// `Unavailable` when the server is away, `NotFound`, `Denied`.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<ArtifactEntry>> {
        let folder = clean(folder)?;
        let request = self.http.get(format!("{}{}", self.server, BELOW.trim_end_matches('/')));
        let answer = self.send(request.query(&[("path", &joined(&self.root, &folder))])).await?;
        let listing: Listing = answer.json().await.map_err(|e| {
            Fault::invalid(format!("{} answers otherwise than MLflow does", self.server)).why(e.to_string())
        })?;
        let entry = |f: File| {
            let name = f.path.rsplit('/').next().unwrap_or_default();
            ArtifactEntry { path: joined(&folder, name), is_dir: f.is_dir, size: f.size.unwrap_or(0) }
        };
        Ok(listing.files.into_iter().map(entry).collect())
    }

    /// A file, as it comes.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub(super) async fn get(&self, path: &str) -> Result<Response> {
        let path = joined(&self.root, &clean(path)?);
        let path: Vec<String> = path.split('/').map(super::calls::encode).collect();
        self.send(self.http.get(format!("{}{BELOW}{}", self.server, path.join("/")))).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let away = |e: reqwest::Error| {
            Fault::unavailable(format!("{} does not answer", self.server))
                .why(e.without_url().to_string())
                .next("the run was mirrored from there, and its artifacts stay there: see whether MLflow runs")
        };
        let response = self.with_key(request).send().await.map_err(away)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let kind = match status.as_u16() {
            401 => Kind::Unauthenticated,
            403 => Kind::Denied,
            404 => Kind::NotFound,
            500..=599 => Kind::Unavailable,
            _ => Kind::Invalid,
        };
        Err(Fault::new(kind, format!("{} answered {status} for an artifact", self.server)))
    }

    /// The caller's key goes only where the caller's own settings say that MLflow is: the address came with a run.
    fn with_key(&self, request: RequestBuilder) -> RequestBuilder {
        let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        if set("MLFLOW_TRACKING_URI").is_none_or(|uri| uri.trim_end_matches('/') != self.server) {
            return request;
        }
        match (set("MLFLOW_TRACKING_TOKEN"), set("MLFLOW_TRACKING_USERNAME")) {
            (Some(token), _) => request.bearer_auth(token),
            (None, Some(user)) => request.basic_auth(user, set("MLFLOW_TRACKING_PASSWORD")),
            (None, None) => request,
        }
    }
}

fn clean(path: &str) -> Result<String> {
    let path = path.trim_matches('/');
    if path.split('/').any(|part| part == "..") {
        return Err(Fault::invalid(format!("Invalid path: {path}")));
    }
    Ok(path.to_owned())
}

fn joined(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_of_mlflows_has_a_place() {
        let place = Place::of("http://h:1/x/api/2.0/mlflow-artifacts/artifacts/1/ab/artifacts").unwrap();
        assert_eq!((place.server.as_str(), place.root.as_str()), ("http://h:1/x", "1/ab/artifacts"));
        for other in
            ["mlflow-artifacts:/1/ab", "s3://bucket/api/2.0/mlflow-artifacts/artifacts/x", "http://h/latest/meta"]
        {
            assert!(Place::of(other).is_none(), "{other}");
        }
        assert!(clean("a/../../b").is_err());
        assert_eq!((joined("", "a"), joined("a", ""), joined("a", "b")), ("a".into(), "a".into(), "a/b".into()));
    }
}
