//! Where files with any name are kept.

use crate::base::fault::Result;
use crate::db::blobs::clean_path;

/// A file's name as a path beneath its run: what would lead out of there, or nowhere, is written otherwise.
///
/// # Errors
/// `Invalid` for a name that is too long.
pub fn file_path(name: &str) -> Result<String> {
    let part = |part: &str| match part {
        "" | "." | ".." => "_".to_owned(),
        part => part.replace(['\\', '\0', '\n'], "_").replace("%2e%2e", "_"),
    };
    let path = name.trim_matches('/').split('/').map(part).collect::<Vec<_>>().join("/");
    let drive = path.as_bytes().get(1) == Some(&b':');
    clean_path(&if drive { path.replacen(':', "_", 1) } else { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_become_paths_beneath_the_run() {
        let path = |name| file_path(name).unwrap();
        assert_eq!(path("media/table/a b_1.json"), "media/table/a b_1.json");
        assert_eq!(path("../../etc/passwd"), "_/_/etc/passwd");
        assert_eq!(path("/a//b\\c"), "a/_/b_c");
        assert_eq!(path("C:/x"), "C_/x");
    }
}
