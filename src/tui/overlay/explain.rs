//! Where a number comes from, in lines, with the read that gives it again.

/// What is told of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    pub title: String,
    /// Label and text.
    pub rows: Vec<(String, String)>,
    /// The command line that gives it again.
    pub query: String,
}

impl Explained {
    pub fn new(title: String, rows: Vec<(String, String)>, query: String) -> Self {
        Self { title, rows, query }
    }
}
