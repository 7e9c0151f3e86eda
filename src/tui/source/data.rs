//! Datasets, their versions and profiles from an agent.

use super::Agent;
use crate::base::Kind;
use crate::base::fault::Result;
use crate::capability::datasets::profile::Profile;
use crate::capability::datasets::{DatasetVersion, Diff};
use crate::capability::registry::ModelView;
use crate::tui::model::data::{DataKind, DataRow, ModelUse, VersionId};

impl Agent {
    /// Every version, by dataset and newest first, then what runs logged of no version.
    pub(super) async fn datasets(&self) -> Result<Vec<DataRow>> {
        let (views, models) = tokio::try_join!(self.client.datasets(), self.client.models(None))?;
        let mut rows = Vec::new();
        for view in views {
            for kept in view.versions {
                let models = uses(&models, |digest| kept.version.doc.is_meant_by(digest));
                rows.push(DataRow { dataset: view.name.clone(), what: DataKind::Kept(Box::new(kept)), models });
            }
            for logged in view.logged {
                let models = uses(&models, |digest| digest == logged.digest);
                rows.push(DataRow { dataset: view.name.clone(), what: DataKind::Logged(logged), models });
            }
        }
        Ok(rows)
    }

    /// The training profile; `None` for a version without a table.
    pub(super) async fn profile(&self, of: &VersionId) -> Result<Option<Profile>> {
        match self.client.profile(&of.dataset, of.version).await {
            Err(fault) if fault.kind == Kind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    pub(super) async fn data_diff(&self, from: &VersionId, to: &VersionId) -> Result<Diff> {
        let (a, b) = tokio::try_join!(self.dataset_version(from), self.dataset_version(to))?;
        self.client.data_diff(&a, &b).await
    }

    async fn dataset_version(&self, of: &VersionId) -> Result<DatasetVersion> {
        let view = self.client.dataset(&of.dataset).await?;
        let found = view.versions.into_iter().map(|v| v.version).find(|v| v.version == of.version);
        found.ok_or_else(|| crate::capability::datasets::missing_version(&of.dataset, of.version))
    }
}

/// The registered versions whose data is meant, the model's newest first.
fn uses(models: &[ModelView], meant: impl Fn(&str) -> bool) -> Vec<ModelUse> {
    let all = models.iter().flat_map(|m| &m.versions);
    all.filter(|v| v.doc.datasets.iter().any(|d| meant(&d.digest)))
        .map(|v| ModelUse { model: v.model.clone(), version: v.version, stage: v.stage })
        .collect()
}
