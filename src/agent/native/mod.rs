//! opsroom's own API, `/api/v1`: the rooms' own types in JSON.

mod artifacts;
mod backup;
mod commands;
mod cost;
mod data;
mod evals;
mod events;
mod export;
mod fleet;
mod hosts;
mod imports;
mod incidents;
mod keeping;
mod openapi;
mod predictions;
mod reads;
mod services;
mod status;
mod versions;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use super::App;

/// All of opsroom's own routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/stop", post(status::stop))
        .route("/api/v1/experiments", get(reads::experiments))
        .route("/api/v1/runs/search", post(reads::search_runs))
        .route("/api/v1/runs/groups", post(reads::run_groups))
        .route("/api/v1/runs/{id}", get(reads::run))
        .route("/api/v1/runs/{id}/history", get(reads::history))
        .route("/api/v1/runs/{id}/artifacts", get(artifacts::list))
        .route("/api/v1/runs/{id}/artifact", get(artifacts::download))
        .route("/api/v1/runs/{id}/outputs", get(artifacts::outputs))
        .route("/api/v1/runs/{id}/output", get(artifacts::output))
        .route("/api/v1/runs/{id}/grade", get(reads::grade))
        .route("/api/v1/runs/{id}/tags", post(reads::tag_run))
        .route("/api/v1/models", get(reads::models))
        .route("/api/v1/models/{name}", get(reads::model))
        .route("/api/v1/evals", get(evals::results))
        .route("/api/v1/evals/suites", get(evals::suites))
        .route("/api/v1/evals/{id}", get(evals::result))
        .route("/api/v1/evals/examples", post(evals::examples).layer(DefaultBodyLimit::max(evals::EXAMPLES_BYTES_MAX)))
        .route("/api/v1/gates", get(evals::standing))
        .route("/api/v1/services", get(services::list))
        .route("/api/v1/services/{name}", get(services::show))
        .route("/api/v1/predictions", post(predictions::predictions))
        .route("/api/v1/labels", post(predictions::labels))
        .route("/api/v1/monitoring", get(predictions::standing))
        .route("/api/v1/monitoring/{service}/quality", get(predictions::quality))
        .route("/api/v1/monitoring/{service}/drift", get(predictions::drift))
        .route("/api/v1/monitoring/{service}/recount", get(predictions::recount))
        .route("/api/v1/cost", get(cost::report))
        .route("/api/v1/cost/book", get(cost::book))
        .route("/api/v1/garbage", get(keeping::garbage))
        .route("/api/v1/hosts", get(hosts::list).post(hosts::tell))
        .route("/api/v1/hosts/{host}/minutes", get(hosts::minutes))
        .route("/api/v1/export", get(export::tables))
        .route("/api/v1/export-files", get(export::files))
        .route("/api/v1/export/{table}", get(export::rows))
        .route("/api/v1/evals/examples/{digest}", get(evals::fetch_examples))
        .route("/api/v1/erase", post(keeping::erase))
        .route("/api/v1/erasures", get(keeping::erasures))
        .route("/api/v1/fleet", get(fleet::overview))
        .route("/api/v1/monitoring/{service}/live", get(fleet::live))
        .route("/api/v1/monitoring/{service}/feature", get(fleet::feature))
        .route("/api/v1/alerts", get(incidents::rules))
        .route("/api/v1/incidents", get(incidents::list))
        .route("/api/v1/incidents/{id}", get(incidents::show))
        .route("/api/v1/gates/check", get(evals::check))
        .route("/api/v1/gates/decisions/{id}", get(evals::decision))
        .route("/api/v1/models/{name}/versions/{version}/files", get(versions::files))
        .route("/api/v1/models/{name}/versions/{version}/file", get(versions::file))
        .route("/api/v1/audit", get(reads::audit_list))
        .route("/api/v1/audit/verify", post(reads::audit_verify))
        .route("/api/v1/audit/{seq}", get(reads::audit_show))
        .route("/api/v1/tokens", get(reads::tokens))
        .route("/api/v1/commands", post(commands::perform))
        .route("/api/v1/openapi.json", get(openapi::openapi))
        .route("/api/v1/backup", post(backup::make))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/import/experiment", post(imports::experiment))
        .route("/api/v1/import/run", post(imports::run).layer(DefaultBodyLimit::max(imports::RUN_BYTES_MAX)))
        .route("/api/v1/import/model", post(imports::model))
        .route("/api/v1/import/wandb", post(imports::wandb_run))
        .route(
            "/api/v1/import/wandb/{id}/lines",
            post(imports::wandb_lines).layer(DefaultBodyLimit::max(imports::LINES_BYTES_MAX)),
        )
        .route("/api/v1/datasets", get(data::datasets))
        .route("/api/v1/datasets/{name}", get(data::dataset))
        .route("/api/v1/datasets/{name}/versions/{version}/manifest", get(data::manifest))
        .route("/api/v1/datasets/{name}/versions/{version}/profile", get(data::profile))
        .route("/api/v1/data/locate", post(data::locate).layer(DefaultBodyLimit::max(data::LOCATE_BYTES_MAX)))
        .route("/api/v1/data/packs", post(data::put_pack))
        .route("/api/v1/data/packs/{pack}", get(data::pack))
        .route("/api/v1/data/packs/{pack}/check", get(data::check_pack))
        .route(
            "/api/v1/data/manifests",
            post(data::put_manifest).layer(DefaultBodyLimit::max(data::DOCUMENT_BYTES_MAX)),
        )
        .route("/api/v1/data/profiles", post(data::put_profile).layer(DefaultBodyLimit::max(data::DOCUMENT_BYTES_MAX)))
}

#[cfg(test)]
mod tests {
    /// The description and the table of routes say the same.
    #[test]
    fn every_route_is_described() {
        let table = include_str!("mod.rs");
        let served: Vec<&str> = table
            .split(".route(")
            .skip(1)
            .filter_map(|rest| rest.split('"').nth(1))
            .filter(|path| path.starts_with("/api/v1/"))
            .collect();
        let described: Vec<&str> = super::openapi::ROUTES.iter().map(|r| r.1).collect();
        for path in &served {
            assert!(described.contains(path), "{path} is not in openapi.json");
        }
        for path in &described {
            assert!(served.contains(path), "{path} is described but not served");
        }
    }
}
