//! Data versioning: content-addressed versions of files and folders, pinned to runs, with the training profile.
//!
//! Bytes come first, in packs of chunks, each checked against its digest; then one command commits the manifest that
//! names them. A version is known by the digest of its tree: paths, sizes and digests of bytes, the same that a
//! registered model's artifacts have. Invariants: a version names only chunks that are stored; what is stored once is
//! never stored again; a version never changes.

mod apply;
pub mod command;
mod diff;
pub mod digest;
pub mod manifest;
pub mod pack;
pub mod profile;
mod read;
mod store;
mod stored;
pub mod types;

pub use apply::{Prepared, apply, check_name, prepare};
pub use command::Command;
pub use diff::{Diff, FileChange, Named, diff};
pub use digest::Digest;
pub use manifest::{Chunk, FileEntry, Manifest};
pub use read::{PINNED_SOURCE, all, dataset, datasets, meant_by, missing, missing_version, version};
pub use store::STATEMENTS;
pub use stored::{
    check_pack, folder, locate, manifest_bytes, pack_bytes, profile_bytes, put_manifest, put_pack, put_profile,
    read_manifest, read_profile, referenced, remove,
};
pub use types::{
    DatasetVersion, DatasetView, Located, LoggedDataset, PackCheck, PinnedRun, Stored, TableSummary, VersionDoc,
    VersionView,
};
