//! The counter store: what came of predictions and labels, as integers that add up exactly over minutes and restarts.
//!
//! What comes in is appended to a journal and acknowledged; it is counted in memory, and from time to time the counts go to
//! their cells together with the journal's position, in one transaction. So a crash neither loses nor doubles anything. The
//! journal's last part stays: it is the ledger of predictions that wait for labels, and what a recount starts from.

mod arm;
mod bytes;
mod check;
mod columns;
mod count;
mod door;
mod erase;
mod events;
mod features;
mod first;
mod fold;
mod ingest;
mod journal;
mod judged;
mod keep;
mod layout;
mod ledger;
mod names;
mod packed;
mod read;
mod rows;
mod scan;
mod scores;
mod spare;
mod state;
mod store;
mod tally;
mod training;
mod words;

pub use arm::{Arm, ArmColumn, CLASSES_MAX, FIRST_WINDOW_ROWS, Found, PREDICTION, SCORE, Task};
pub use check::{Accepted, BODY_BYTES_MAX, Parsed, Rejected, parse_labels, parse_predictions, parse_predictions_with};
pub use door::Admitted;
pub use erase::{ERASED, Erased, Person};
pub use fold::MINUTES_KEPT;
pub use ingest::{Counters, Shed, Since, Standing, VersionStanding};
pub use keep::OldEvents;
pub use read::{Counted, Lived, Recount, Stretch, together};
pub use rows::Rows;
pub use spare::Spare;
pub use state::{Oddities, UNVERSIONED};
pub use store::STATEMENTS;
pub use tally::{ANOTHER, Cell, NUMBER_UNIT, OTHERS, Residuals, SCORE_BINS, ScoreBin, Tally, UNIT, unpaired};
