//! What still holds a person after an erasure: data, files, backups and texts that are not rewritten, because something stands on
//! their bytes. They are named, so that whoever owns them can decide.

use std::collections::HashMap;

use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::erase::Holder;
use super::store;
use crate::base::{Fault, Timestamp, fault::Result, show};
use crate::capability::{Ctx, datasets};
use crate::db::blobs::HIDDEN;

/// Files that are looked into: larger ones are counted as unread.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Beginnings of files whose bytes do not show what they hold: Parquet, gzip, zip, zstd, xz, bzip2, deflate of numpy.
const PACKED: &[&[u8]] =
    &[b"PAR1", &[0x1f, 0x8b], b"PK\x03\x04", &[0x28, 0xb5, 0x2f, 0xfd], &[0xfd, b'7', b'z'], b"BZh"];

/// Files that could not be looked into.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unread {
    /// Compressed, or of a form whose bytes do not show their text.
    pub packed: u64,
    pub large: u64,
    /// The first of them.
    pub some: Vec<String>,
}

impl Unread {
    const SOME: usize = 20;

    fn add(&mut self, name: String, look: Look) {
        match look {
            Look::Packed => self.packed += 1,
            Look::Large => self.large += 1,
            Look::There | Look::NotThere => return,
        }
        if self.some.len() < Self::SOME {
            self.some.push(name);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    There,
    NotThere,
    Packed,
    Large,
}

/// Looks for a text in all that is kept.
///
/// # Errors
/// The store's.
pub(super) async fn look(ctx: &Ctx, text: &str) -> Result<(Vec<Holder>, Unread)> {
    let (mut holders, mut unread) = (Vec::new(), Unread::default());
    in_datasets(ctx, text, &mut holders, &mut unread).await?;
    for file in ctx.artifacts.blobs().aged().await? {
        if file.path.split('/').next() == Some(HIDDEN) {
            continue;
        }
        let look = if file.bytes > FILE_BYTES_MAX { Look::Large } else { in_file(ctx, &file.path, text).await? };
        if look == Look::There {
            holders.push(holder("artifact", &file.path));
        }
        unread.add(file.path, look);
    }
    let pool = ctx.db.read();
    for (kind, name) in store::mentions(pool, text).await? {
        holders.push(holder(kind, &name));
    }
    for (made, place) in store::backups(pool).await? {
        holders.push(holder("backup", &format!("{place} of {}", show::full(Timestamp(made)))));
    }
    Ok((holders, unread))
}

fn holder(kind: &str, name: &str) -> Holder {
    Holder { kind: kind.to_owned(), name: name.to_owned() }
}

async fn in_datasets(ctx: &Ctx, text: &str, holders: &mut Vec<Holder>, unread: &mut Unread) -> Result<()> {
    let (pool, blobs) = (ctx.db.read(), ctx.artifacts.blobs());
    // A file that several versions have is read once.
    let mut known: HashMap<datasets::Digest, Look> = HashMap::new();
    for version in datasets::all(pool).await? {
        let manifest = datasets::read_manifest(blobs, &version.doc.manifest).await?;
        for file in &manifest.files {
            let name = format!("{}@{} {}", version.dataset, version.version, file.path);
            let look = match known.get(&file.digest) {
                Some(look) => *look,
                None if file.size > FILE_BYTES_MAX => Look::Large,
                None => {
                    let mut search = Search::new(text);
                    for chunk in &file.chunks {
                        let range = chunk.offset..chunk.offset + u64::from(chunk.len);
                        if range.is_empty() {
                            continue;
                        }
                        let pack = &manifest.packs[chunk.pack as usize];
                        let bytes = datasets::pack_bytes(blobs, pack, range).await?.bytes().await?;
                        if search.take(&bytes) {
                            break;
                        }
                    }
                    search.look()
                }
            };
            known.insert(file.digest, look);
            if look == Look::There {
                holders.push(holder("dataset", &name));
            }
            unread.add(name, look);
        }
    }
    Ok(())
}

async fn in_file(ctx: &Ctx, path: &str, text: &str) -> Result<Look> {
    let mut search = Search::new(text);
    let mut content = ctx.artifacts.blobs().get(path, None).await?.stream;
    while let Some(bytes) = content.next().await {
        let bytes = bytes.map_err(|e| Fault::unavailable(format!("artifact {path}")).why(e.to_string()))?;
        if search.take(&bytes) {
            break;
        }
    }
    Ok(search.look())
}

/// A search through bytes that come in pieces.
struct Search<'a> {
    text: &'a [u8],
    /// The end of what came, shorter than the text.
    rest: Vec<u8>,
    look: Look,
    begun: bool,
}

impl<'a> Search<'a> {
    fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), rest: Vec::new(), look: Look::NotThere, begun: false }
    }

    /// Answers whether there is no need to go on.
    fn take(&mut self, bytes: &[u8]) -> bool {
        self.rest.extend_from_slice(bytes);
        if !self.begun && self.rest.len() >= 4 {
            self.begun = true;
            if PACKED.iter().any(|magic| self.rest.starts_with(magic)) {
                self.look = Look::Packed;
                return true;
            }
        }
        if contains(&self.rest, self.text) {
            self.look = Look::There;
            return true;
        }
        let keep = self.rest.len().min(self.text.len().max(4) - 1);
        if self.begun {
            self.rest.drain(..self.rest.len() - keep);
        }
        false
    }

    fn look(&self) -> Look {
        self.look
    }
}

/// By the first byte: most of a file is not it.
fn contains(bytes: &[u8], text: &[u8]) -> bool {
    let Some(first) = text.first() else { return false };
    let mut from = 0;
    while let Some(found) = bytes[from..].iter().position(|b| b == first) {
        let at = from + found;
        if bytes[at..].starts_with(text) {
            return true;
        }
        from = at + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(pieces: &[&[u8]]) -> Look {
        let mut search = Search::new("kim@example");
        let _ = pieces.iter().any(|p| search.take(p));
        search.look()
    }

    #[test]
    fn a_name_is_found_across_pieces_and_packed_files_are_said_to_be_unread() {
        assert_eq!(search(&[b"a,b\ntom,1\nki", b"m@exa", b"mple,2"]), Look::There);
        assert_eq!(search(&[b"k", b"i", b"m", b"@", b"e", b"xample"]), Look::There);
        assert_eq!(search(&[b"a,b\ntom,1\nkim@exampl"]), Look::NotThere);
        assert_eq!(search(&[&[0x1f], &[0x8b, 8, 0, 0], b"kim@example"]), Look::Packed);
        assert_eq!(search(&[b"PAR1 kim@example"]), Look::Packed);
        assert_eq!(search(&[]), Look::NotThere);
    }
}
