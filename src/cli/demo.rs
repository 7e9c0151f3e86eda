//! The flags of `opsroom demo`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Plays the whole story on real flights, in a store of its own.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Demo {
    #[command(subcommand)]
    pub verb: Option<DemoVerb>,
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

#[derive(Debug, Clone, Subcommand)]
pub enum DemoVerb {
    /// Score a table with a model of the demonstration, as its eval suite does
    Predict {
        /// Folder that holds model.json
        artifact: PathBuf,
        /// CSV file
        data: PathBuf,
        /// Where the scores go
        out: PathBuf,
    },
    /// Serve a model of the demonstration, as its service does
    Serve {
        /// Folder that holds model.json
        artifact: PathBuf,
        #[arg(long)]
        port: u16,
    },
}
