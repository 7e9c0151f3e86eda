//! The flags of `opsroom demo`.

use std::path::PathBuf;

use clap::Args;

/// Plays the whole story on real flights, in a store of its own.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Folder of the demonstration's store; by default below the data folder
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Without a terminal: one line an event, and exit code 0 when the story ends as expected
    #[arg(long)]
    pub headless: bool,
    /// How many times faster than comfortable to watch; headless it does not wait
    #[arg(long, value_name = "X")]
    pub speed: Option<f64>,
}
