//! Runs in groups from an agent.

use super::Agent;
use super::runs::page_query;
use crate::base::fault::Result;
use crate::capability::tracking::{GroupQuery, RunGroups};
use crate::tui::msg::GroupsWant;

impl Agent {
    pub(super) async fn groups(&self, want: &GroupsWant) -> Result<RunGroups> {
        let runs = page_query(want.experiment.as_deref(), &want.filter, want.window, want.deleted);
        let query = GroupQuery { runs, by: want.by.clone(), metrics: want.metrics.clone() };
        self.client.run_groups(&query).await
    }
}
