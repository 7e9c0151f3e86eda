//! Runs in groups from an agent. Where its grammar cannot say the filter, the runs are sifted and put together here.

use super::Agent;
use super::runs::{order, page_query, run, say};
use crate::base::fault::Result;
use crate::capability::tracking::groups::{Grouping, PARENT_TAG};
use crate::capability::tracking::{GroupBy, GroupQuery, RunGroup, RunGroups, RunQuery};
use crate::tui::model::Run;
use crate::tui::msg::{GroupsWant, RunOrder};
use crate::tui::screen::runs::filter;

const SIFT_ROWS: usize = 1000;
const SIFT_PAGES_MAX: usize = 20;

impl Agent {
    pub(super) async fn groups(&self, want: &GroupsWant) -> Result<RunGroups> {
        let (said, all_said) = say(&want.filter);
        let runs = page_query(want.experiment.as_deref(), said.to_string(), want.deleted);
        if all_said {
            let query = GroupQuery { runs, by: want.by.clone(), metrics: want.metrics.clone() };
            return self.client.run_groups(&query).await;
        }
        let mut grouping = Grouping::default();
        for n in 0..SIFT_PAGES_MAX {
            let order_by = vec![order(&RunOrder::Started, true)];
            let part = RunQuery { offset: n * SIFT_ROWS, limit: SIFT_ROWS, order_by, ..runs.clone() };
            let page = self.client.search_runs(&part).await?;
            let rows = page.runs.len();
            for view in page.runs {
                let experiment = view.experiment.to_string();
                let run = run(view);
                if want.filter.matches(|field| filter::held(&run, field)) {
                    add(&mut grouping, &want.by, &run, &experiment, &want.metrics);
                }
            }
            if rows < SIFT_ROWS {
                break;
            }
        }
        Ok(grouping.finish(&want.by))
    }
}

fn add(grouping: &mut Grouping, by: &GroupBy, run: &Run, experiment: &str, metrics: &[String]) {
    let value = match by {
        GroupBy::Experiment => Some(experiment),
        GroupBy::Parent => run.tags.get(PARENT_TAG).map(String::as_str),
        GroupBy::Param(key) => run.params.get(key).map(String::as_str),
    };
    let group: &mut RunGroup = grouping.add(value, run.status, run.started);
    if *by == GroupBy::Experiment {
        group.label.clone_from(&run.experiment);
    }
    for key in metrics {
        if let Some(latest) = run.metrics.get(key) {
            group.metrics.entry(key.clone()).or_default().add(latest.value);
        }
    }
}
