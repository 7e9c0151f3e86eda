//! Applies `[retention]`: once a day, and soon after a start.

use std::time::Duration;

use super::App;
use crate::base::fault::Result;
use crate::capability::access::Role;
use crate::capability::command::{monitor, perform};
use crate::capability::{Actor, Command, Envelope, keeping};

const FIRST: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_hours(24);

pub(super) async fn keep(app: App) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = app.stopped() => return,
        }
        wait = EVERY;
        if let Err(fault) = apply(&app).await {
            tracing::warn!("retention: {fault}");
        }
    }
}

async fn apply(app: &App) -> Result<()> {
    let plan = keeping::plan(app.ctx(), false).await?.plan;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    if plan.items.is_empty() {
        return Ok(());
    }
    let command = Command::Keeping(keeping::Command::CollectGarbage { unreferenced: false });
    let actor = Actor { role: Role::Admin, ..monitor("retention") };
    perform(app.ctx(), &actor, Envelope::new(command, "days of [retention]")).await.map(drop)
}
