//! Suites, their results, and how versions stand to their gates, from an agent.

use futures::StreamExt;

use super::Agent;
use crate::base::fault::Result;
use crate::capability::gates::Standing;
use crate::tui::model::evals::Measured;

/// Requests at once, and results kept of a model.
const AT_ONCE: usize = 8;
const RESULTS_MAX: usize = 500;

impl Agent {
    pub(super) async fn standing(&self) -> Result<Standing> {
        self.client.gates(None).await
    }

    /// All suites, and every model's results, newest first.
    pub(super) async fn measured(&self) -> Result<Measured> {
        let (suites, models) = tokio::try_join!(self.client.suites(), self.client.models(None))?;
        let of = futures::stream::iter(models)
            .map(|m| async move { self.client.evals(&m.model.name, None).await })
            .buffered(AT_ONCE);
        let mut results = Vec::new();
        for all in of.collect::<Vec<_>>().await {
            results.extend(all?.into_iter().take(RESULTS_MAX));
        }
        results.sort_by(|a, b| b.at.cmp(&a.at).then(b.id.cmp(&a.id)));
        Ok(Measured { suites, results })
    }
}
