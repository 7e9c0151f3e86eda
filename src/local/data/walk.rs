//! Every file below a path, links followed; a link that leads back to its own folder is a fault.

use std::fs::{self, File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::base::{Fault, fault::Result};

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Below the root, with `/`; the file's name when the root is a file.
    pub path: String,
    pub at: PathBuf,
    pub stat: Stat,
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i64,
    /// When its bytes, name or rights last changed; no program can set it.
    pub changed: i64,
    pub inode: u64,
    pub executable: bool,
}

impl Stat {
    pub fn of(about: &Metadata) -> Self {
        let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Self {
            size: about.size(),
            modified: nanos(about.mtime(), about.mtime_nsec()),
            changed: nanos(about.ctime(), about.ctime_nsec()),
            inode: about.ino(),
            executable: about.mode() & 0o100 != 0,
        }
    }
}

/// Opens files that lie beside one another without walking the whole path for each.
#[derive(Debug, Default)]
pub struct Folder(Option<(PathBuf, OwnedFd)>);

impl Folder {
    /// # Errors
    /// As `File::open`.
    pub fn open(&mut self, path: &Path) -> std::io::Result<File> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return File::open(path) };
        if self.0.as_ref().is_none_or(|(known, _)| known != folder) {
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
            self.0 = Some((folder.to_owned(), rustix::fs::open(folder, flags, Mode::empty())?));
        }
        let Some((_, fd)) = &self.0 else { return File::open(path) };
        Ok(File::from(rustix::fs::openat(fd, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?))
    }
}

/// A file of this machine that cannot be read.
pub fn unreadable(path: &Path, e: &std::io::Error) -> Fault {
    let next = match e.kind() {
        std::io::ErrorKind::PermissionDenied => "let your user read it, or leave it out",
        std::io::ErrorKind::NotFound => "it went away; add again when nothing writes there",
        _ => "see whether the disk is well",
    };
    Fault::invalid(format!("cannot read {}", path.display())).why(e.to_string()).next(next)
}

/// All files below `root`, by path. `root` may be one file.
///
/// # Errors
/// `NotFound` when nothing is there; `Invalid` naming what cannot be read, a name that is no text, a link that leads
/// nowhere or in a circle, or what is neither file nor folder.
pub fn walk(root: &Path) -> Result<Vec<Found>> {
    let about = fs::metadata(root).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Fault::not_found(format!("nothing at {}", root.display())),
        _ => unreadable(root, &e),
    })?;
    let mut found = Vec::new();
    if about.is_dir() {
        let mut above = vec![(about.dev(), about.ino())];
        folder(root, "", &mut above, &mut found)?;
    } else if about.is_file() {
        let name = root.file_name().ok_or_else(|| Fault::invalid(format!("{} has no name", root.display())))?;
        found.push(Found { path: text(root, name)?, at: root.to_owned(), stat: Stat::of(&about) });
    } else {
        return Err(neither(root));
    }
    found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn folder(at: &Path, below: &str, above: &mut Vec<(u64, u64)>, found: &mut Vec<Found>) -> Result<()> {
    for entry in fs::read_dir(at).map_err(|e| unreadable(at, &e))? {
        let entry = entry.map_err(|e| unreadable(at, &e))?;
        let path = entry.path();
        let mut name = text(&path, &entry.file_name())?;
        if !below.is_empty() {
            name = format!("{below}/{name}");
        }
        let kind = entry.file_type().map_err(|e| unreadable(&path, &e))?;
        let about = if kind.is_symlink() {
            fs::metadata(&path).map_err(|e| broken_link(&path, &e))?
        } else {
            // Beside its folder: the path is not walked once more.
            entry.metadata().map_err(|e| unreadable(&path, &e))?
        };
        if about.is_file() {
            found.push(Found { path: name, at: path, stat: Stat::of(&about) });
            continue;
        }
        if !about.is_dir() {
            return Err(neither(&path));
        }
        let this = (about.dev(), about.ino());
        if above.contains(&this) {
            return Err(Fault::invalid(format!("the link {} leads in a circle", path.display()))
                .why("it points to a folder that it lies in itself")
                .next("remove the link, or name the folder beneath it"));
        }
        above.push(this);
        folder(&path, &name, above, found)?;
        above.pop();
    }
    Ok(())
}

fn text(path: &Path, name: &std::ffi::OsStr) -> Result<String> {
    name.to_str().map(ToOwned::to_owned).ok_or_else(|| {
        Fault::invalid(format!("the name of {} is no UTF-8 text", path.display()))
            .why("another machine would not find the same name")
            .next("rename it")
    })
}

fn broken_link(path: &Path, e: &std::io::Error) -> Fault {
    // ELOOP: links that point at one another.
    let why = if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        "it leads in a circle".to_owned()
    } else {
        format!("it leads nowhere: {e}")
    };
    Fault::invalid(format!("the link {} cannot be followed", path.display())).why(why).next("mend or remove it")
}

fn neither(path: &Path) -> Fault {
    Fault::invalid(format!("{} is neither a file nor a folder", path.display())).next("leave it out")
}
