//! Keeps signed heads of the audit chain outside of the database.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{App, woken};
use crate::base::{Fault, fault::Result};
use crate::capability::Hint;
use crate::capability::audit::{self, Head, HeadKey, SignedHead};

/// The file of heads, one JSON object a line, and the key beside it.
pub(super) struct Heads {
    path: PathBuf,
    key: HeadKey,
    last: i64,
}

impl Heads {
    pub(super) fn open(path: &str) -> Result<Self> {
        let path = PathBuf::from(path);
        let mut key = path.as_os_str().to_owned();
        key.push(".key");
        let key = HeadKey::from_pkcs8(&key_bytes(Path::new(&key))?)?;
        let last = read_heads(&path)?.iter().map(|h| h.head.seq).max().unwrap_or(0);
        Ok(Self { path, key, last })
    }

    async fn sign_newest(&mut self, app: &App) -> Result<()> {
        let Some((seq, digest)) = audit::tip(app.ctx().db.read()).await? else { return Ok(()) };
        if seq <= self.last {
            return Ok(());
        }
        let signed = self.key.sign(Head { seq, digest, at: app.now() });
        let line = serde_json::to_string(&signed).map_err(|e| Fault::bug("audit head").why(e.to_string()))?;
        let written = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path).and_then(|mut file| {
            writeln!(file, "{line}")?;
            file.sync_data()
        });
        written.map_err(|e| {
            Fault::unavailable(format!("cannot write audit heads to {}", self.path.display())).why(e.to_string())
        })?;
        self.last = seq;
        Ok(())
    }
}

/// The signed heads in a file; none when there is no file.
///
/// # Errors
/// `Unavailable` when it cannot be read, `Invalid` when a line is no head.
pub fn read_heads(path: &Path) -> Result<Vec<SignedHead>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => {
            return Err(
                Fault::unavailable(format!("cannot read audit heads from {}", path.display())).why(e.to_string())
            );
        }
    };
    let parse = |(i, line): (usize, &str)| {
        serde_json::from_slice(line.as_bytes()).map_err(|e| {
            Fault::invalid(format!("{} line {}: not a signed head", path.display(), i + 1)).why(e.to_string())
        })
    };
    text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()).map(parse).collect()
}

fn key_bytes(path: &Path) -> Result<Vec<u8>> {
    let problem = |e: std::io::Error| {
        Fault::unavailable(format!("the key for audit heads {}", path.display())).why(e.to_string())
    };
    match std::fs::read(path) {
        Ok(bytes) => return Ok(bytes),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(problem(e)),
        Err(_) => {}
    }
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(problem)?;
    }
    let bytes = HeadKey::generate()?;
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).map_err(problem)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(problem)?;
    Ok(bytes)
}

/// Signs the newest record whenever the chain has grown.
pub(super) async fn keep(app: App, mut heads: Heads) {
    let mut hints = app.ctx().hints.listen();
    loop {
        if let Err(fault) = heads.sign_newest(&app).await {
            tracing::warn!("{fault}");
        }
        if !woken(&app, &mut hints, Duration::from_mins(1), |h| *h == Hint::Audit).await {
            break;
        }
    }
    // What came in while the agent was draining.
    if let Err(fault) = heads.sign_newest(&app).await {
        tracing::warn!("{fault}");
    }
}
