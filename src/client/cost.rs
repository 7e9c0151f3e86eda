//! Calls about what things cost.

use super::Client;
use crate::base::fault::Result;
use crate::capability::cost::{Asked, Book, CostReport};

const NOTHING: [(&str, &str); 0] = [];

impl Client {
    /// # Errors
    /// `Invalid` for a window that is none.
    pub async fn cost(&self, asked: &Asked) -> Result<CostReport> {
        self.get("/api/v1/cost", asked).await
    }

    /// Price lists, what services run on, and budgets.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn cost_book(&self) -> Result<Book> {
        self.get("/api/v1/cost/book", &NOTHING).await
    }
}
