//! The registry at a past moment: also of what is gone since, and of models that moved more often than a page shows.

use opsroom::base::{Kind, Timestamp};
use opsroom::capability::registry::{self, Command as R, ModelView, Stage, VersionDoc};
use opsroom::capability::{Command, Ctx, Envelope, Outcome, perform};
use opsroom::db::Source;

use super::stores::{kim, on_each_engine};

async fn act(ctx: &Ctx, command: R) -> Outcome {
    perform(ctx, &kim(), Envelope::new(Command::Registry(command), "as the test says")).await.unwrap()
}

async fn register(ctx: &Ctx, model: &str) -> u32 {
    let doc = VersionDoc { source: "s3://elsewhere/model".to_owned(), ..VersionDoc::default() };
    act(ctx, R::RegisterVersion { model: model.to_owned(), create: true, import: None, doc }).await.version.unwrap()
}

async fn stage(ctx: &Ctx, model: &str, version: u32, stage: Stage) -> Outcome {
    act(ctx, R::SetStage { model: model.to_owned(), version, stage, archive_others: false }).await
}

async fn alias(ctx: &Ctx, model: &str, alias: &str, version: Option<u32>) {
    act(ctx, R::SetAlias { model: model.to_owned(), alias: alias.to_owned(), version }).await;
}

async fn at(ctx: &Ctx, model: &str, moment: Timestamp) -> ModelView {
    registry::model(Source::Pool(ctx.db.read()), model, Some(moment)).await.unwrap()
}

async fn all_at(ctx: &Ctx, moment: Timestamp) -> Vec<ModelView> {
    registry::models(Source::Pool(ctx.db.read()), Some(moment)).await.unwrap()
}

/// `v2 prod best, v1 archived`.
fn told(view: &ModelView) -> String {
    let one = |v: &registry::ModelVersion| format!("v{} {} {}", v.version, v.stage.name(), v.aliases.join("+"));
    view.versions.iter().map(|v| one(v).trim_end().to_owned()).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn versions_and_models_that_are_gone_stood_there_then() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        let before = ctx.clock.now();
        register(&ctx, "m").await;
        register(&ctx, "m").await;
        stage(&ctx, "m", 1, Stage::Prod).await;
        alias(&ctx, "m", "best", Some(1)).await;
        let first = ctx.clock.now();
        stage(&ctx, "m", 2, Stage::Prod).await;
        alias(&ctx, "m", "best", Some(2)).await;
        let second = ctx.clock.now();
        act(&ctx, R::DeleteVersion { model: "m".into(), version: 1 }).await;
        let third = ctx.clock.now();
        alias(&ctx, "m", "best", None).await;
        act(&ctx, R::DeleteModel { model: "m".into() }).await;
        let last = ctx.clock.now();

        for (moment, expected) in
            [(first, "v2 dev, v1 prod best"), (second, "v2 prod best, v1 archived"), (third, "v2 prod best")]
        {
            let one = at(&ctx, "m", moment).await;
            assert_eq!(told(&one), expected);
            assert_eq!((one.as_of, one.model.description.as_str()), (Some(moment), "deleted since then"));
            let all = all_at(&ctx, moment).await;
            assert_eq!(all.iter().map(told).collect::<Vec<_>>(), [expected], "the list says the same");
        }
        assert!(all_at(&ctx, before).await.is_empty());
        assert!(all_at(&ctx, last).await.is_empty(), "a model that is deleted is not there after it");
        let early = registry::model(Source::Pool(ctx.db.read()), "m", Some(before)).await.unwrap_err();
        assert_eq!(early.kind, Kind::NotFound);
        let now = registry::model(Source::Pool(ctx.db.read()), "m", None).await.unwrap_err();
        assert_eq!(now.kind, Kind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_name_that_is_given_again_does_not_lend_its_words_to_the_past() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        register(&ctx, "m").await;
        stage(&ctx, "m", 1, Stage::Staging).await;
        let first_life = ctx.clock.now();
        act(&ctx, R::DeleteModel { model: "m".into() }).await;
        let between = ctx.clock.now();
        act(&ctx, R::CreateModel { model: "m".into(), description: "the second".into(), tags: Vec::new() }).await;
        let empty = ctx.clock.now();
        register(&ctx, "m").await;

        let then = at(&ctx, "m", first_life).await;
        assert_eq!(told(&then), "v1 staging");
        assert_eq!(then.versions[0].doc.description, "deleted since then");
        assert_eq!(then.model.description, "deleted since then");
        assert!(all_at(&ctx, between).await.is_empty());
        let made = all_at(&ctx, empty).await;
        assert_eq!((made.len(), made[0].model.description.as_str(), told(&made[0])), (1, "the second", String::new()));
    })
    .await;
}

#[tokio::test]
async fn a_model_that_moved_more_often_than_is_shown_is_right_at_any_moment() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        register(&ctx, "m").await;
        register(&ctx, "m").await;
        stage(&ctx, "m", 2, Stage::Staging).await;
        let early = ctx.clock.now();
        // Version 2 is left alone from here on: its stage lies behind everything that a page of history holds.
        for n in 0..2_100 {
            stage(&ctx, "m", 1, if n % 2 == 0 { Stage::Archived } else { Stage::Dev }).await;
        }
        let late = ctx.clock.now();
        assert_eq!(told(&at(&ctx, "m", late).await), "v2 staging, v1 dev");
        assert_eq!(told(&at(&ctx, "m", early).await), "v2 staging, v1 dev");
        assert_eq!(at(&ctx, "m", late).await.history.len(), 2_000, "the newest entries are shown");
        assert_eq!(at(&ctx, "m", early).await.history.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn history_names_the_audit_record_of_each_change() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        register(&ctx, "m").await;
        let moved = stage(&ctx, "m", 1, Stage::Prod).await;
        let view = registry::model(Source::Pool(ctx.db.read()), "m", None).await.unwrap();
        let shown: Vec<_> = view.history.iter().map(|h| (h.value.as_deref(), h.audit, h.reason.as_str())).collect();
        assert_eq!(
            shown,
            [(Some("prod"), Some(moved.audit), "as the test says"), (Some("dev"), Some(1), "as the test says")]
        );
    })
    .await;
}
