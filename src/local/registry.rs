//! Taking a registry in: models, versions with number and stage, aliases. Everything goes through the commands that
//! anyone would give, so the audit trail says where it came from.

use super::found::{Damage, Registered, Version};
use super::import::{Files, Import};
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::registry::command::Imported;
use crate::capability::registry::{Command as Registry, ModelView, Stage, VersionDoc};
use crate::capability::{Command, Envelope};

pub(super) async fn all(import: &Import<'_>) -> Result<()> {
    let mut damage = Vec::new();
    let found = import.store.registered(&mut damage).await?;
    import.skip(damage);
    for model in &found {
        if let Err(fault) = one(import, model).await {
            import.or_skip(format!("model {}", model.name), fault)?;
        }
    }
    Ok(())
}

async fn one(import: &Import<'_>, model: &Registered) -> Result<()> {
    let here = match import.client.model(&model.name, None).await {
        Ok(view) => Some(view),
        Err(Fault { kind: Kind::NotFound, .. }) => None,
        Err(fault) => return Err(fault),
    };
    if here.is_none() {
        let tags = model.tags.clone().into_iter().collect();
        perform(
            import,
            Registry::CreateModel { model: model.name.clone(), description: model.description.clone(), tags },
        )
        .await?;
    }
    for version in &model.versions {
        match here.as_ref().and_then(|view| view.version(version.number)) {
            Some(known) if known.doc.run_id == version.run_id => import.note(|r| r.versions_known += 1),
            Some(_) => import.skip(vec![Damage::new(
                format!("{} v{}", model.name, version.number),
                "another version has this number here already",
            )]),
            None => take(import, model, version, here.as_ref()).await?,
        }
    }
    for (alias, version) in &model.aliases {
        let set = here.as_ref().is_some_and(|view| view.model.aliases.contains_key(alias));
        if !set {
            let command =
                Registry::SetAlias { model: model.name.clone(), alias: alias.clone(), version: Some(*version) };
            if let Err(fault) = perform(import, command).await {
                import.or_skip(format!("alias {alias} of {}", model.name), fault)?;
            }
        }
    }
    Ok(())
}

async fn take(import: &Import<'_>, model: &Registered, version: &Version, here: Option<&ModelView>) -> Result<()> {
    let stage = stage_here(import, model, version, here);
    let opaque = format!("mlflow:{}", version.source);
    let source = match import.files {
        // What is registered is frozen and gets a copy of its metadata; nothing may be written where we only look.
        Files::Link(_) => opaque.clone(),
        Files::Copy => source_here(version).unwrap_or_else(|| opaque.clone()),
    };
    let command = |source: String| Registry::RegisterVersion {
        model: model.name.clone(),
        create: false,
        import: Some(Imported { version: version.number, stage, created: version.created }),
        doc: VersionDoc {
            description: version.description.clone(),
            source,
            run_id: version.run_id.clone(),
            run_link: version.run_link.clone(),
            user: version.user.clone(),
            tags: version.tags.clone(),
            ..VersionDoc::default()
        },
    };
    let mut done = perform(import, command(source.clone())).await;
    if matches!(&done, Err(f) if matches!(f.kind, Kind::NotFound | Kind::Invalid)) && source != opaque {
        // It names what is not here: the version is kept, with its source as a text.
        done = perform(import, command(opaque)).await;
    }
    match done {
        Ok(()) => import.note(|r| r.versions_new += 1),
        Err(fault) => import.or_skip(format!("{} v{}", model.name, version.number), fault)?,
    }
    Ok(())
}

/// At most one version is prod here; MLflow lets several be. The newest stays.
fn stage_here(import: &Import<'_>, model: &Registered, version: &Version, here: Option<&ModelView>) -> Stage {
    if version.stage != Stage::Prod {
        return version.stage;
    }
    let newer = model.versions.iter().any(|v| v.stage == Stage::Prod && v.number > version.number);
    let taken = here.is_some_and(|view| view.in_stage(Stage::Prod).next().is_some());
    let stage = match (newer, taken) {
        (true, _) => Stage::Archived,
        (false, true) => Stage::Staging,
        (false, false) => return Stage::Prod,
    };
    let why = format!("was prod and came as {}: at most one version is prod here", stage.name());
    import.skip(vec![Damage::new(format!("{} v{}", model.name, version.number), why)]);
    stage
}

/// The source in terms of what was imported; `None` for a path of the other machine that is no run's.
fn source_here(version: &Version) -> Option<String> {
    let source = version.source.as_str();
    if source.starts_with("models:/") || source.starts_with("runs:/") {
        return Some(source.to_owned());
    }
    if let Some(run) = &version.run_id
        && let Some((_, below)) = source.split_once(&format!("/{run}/artifacts/"))
    {
        return Some(format!("runs:/{run}/{below}"));
    }
    let logged = source.split('/').find(|part| part.starts_with("m-") && part.len() == 34);
    if let Some(logged) = logged {
        return Some(format!("models:/{logged}"));
    }
    let remote = source.split_once("://").is_some_and(|(scheme, _)| scheme != "file");
    remote.then(|| source.to_owned())
}

async fn perform(import: &Import<'_>, command: Registry) -> Result<()> {
    import.client.perform(&Envelope::new(Command::Registry(command), import.reason())).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    #[test]
    fn sources_are_said_in_terms_of_what_was_imported() {
        let here = |source: &str| {
            source_here(&Version {
                number: 1,
                created: Timestamp(0),
                stage: Stage::Dev,
                description: String::new(),
                source: source.to_owned(),
                run_id: Some("ab".to_owned()),
                run_link: String::new(),
                user: String::new(),
                tags: std::collections::BTreeMap::new(),
            })
        };
        assert_eq!(here("file:///x/mlruns/0/ab/artifacts/model").as_deref(), Some("runs:/ab/model"));
        assert_eq!(here("s3://b/0/ab/artifacts/m/x").as_deref(), Some("runs:/ab/m/x"));
        let model = format!("m-{}", "0".repeat(32));
        assert_eq!(here(&format!("/x/1/models/{model}/artifacts")), Some(format!("models:/{model}")));
        assert_eq!(here("models:/m-1").as_deref(), Some("models:/m-1"));
        assert_eq!(here("s3://bucket/elsewhere").as_deref(), Some("s3://bucket/elsewhere"));
        assert_eq!(here("/somewhere/else"), None);
    }
}
