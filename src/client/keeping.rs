//! Calls about how long things are kept.

use super::Client;
use crate::base::fault::Result;
use crate::capability::keeping::{Asked, Erasure, Plan};

impl Client {
    /// What `gc` would take away now.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn garbage(&self, unreferenced: bool) -> Result<Plan> {
        self.get("/api/v1/garbage", &[("unreferenced", unreferenced)]).await
    }

    /// Begins to erase a person, or only looks.
    ///
    /// # Errors
    /// `Denied`, `Invalid`.
    pub async fn erase(&self, asked: &Asked) -> Result<Erasure> {
        self.post("/api/v1/erase", asked).await
    }

    /// # Errors
    /// `Unavailable`.
    pub async fn erasures(&self) -> Result<Vec<Erasure>> {
        self.get("/api/v1/erasures", &[("", ""); 0]).await
    }
}
