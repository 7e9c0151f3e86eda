//! MLflow's and Weights & Biases' own Python clients against the real agent, on both engines. The tests themselves are in `tests/clients`.

use std::path::Path;
use std::process::Command;

use opsroom::capability::access::{self, Role, digest, secret};
use opsroom::capability::{self, Envelope};

use crate::support::{Agent, Home};

#[tokio::test]
async fn python_clients_on_sqlite() {
    let Some(python) = python() else { return };
    suite(&python, &Agent::start()).await;
}

#[tokio::test]
async fn python_clients_on_postgres() {
    let Some(python) = python() else { return };
    let Ok(server) = std::env::var("OPSROOM_TEST_POSTGRES") else {
        return skipped("PostgreSQL", "OPSROOM_TEST_POSTGRES", "a server's URL");
    };
    let store = database(&server, "clients").await;
    suite(&python, &Agent::start_in(Home::new(), &["--store", &store])).await;
}

fn python() -> Option<String> {
    let python = std::env::var("OPSROOM_TEST_PYTHON").ok();
    if python.is_none() {
        skipped("the Python clients", "OPSROOM_TEST_PYTHON", "a Python with tests/clients/requirements.txt installed");
    }
    python
}

/// Says so on a developer's machine; fails where everything must be tested.
fn skipped(what: &str, variable: &str, value: &str) {
    assert!(std::env::var_os("CI").is_none(), "{variable} must be set in CI");
    eprintln!("skipped: tests of {what} need {variable}: {value}");
}

/// A fresh database on the server.
async fn database(server: &str, name: &str) -> String {
    use sqlx::Connection as _;
    let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
    let name = format!("opsroom_{name}_{}", std::process::id());
    let statement = sqlx::AssertSqlSafe(format!("create database {name}"));
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

async fn suite(python: &str, agent: &Agent) {
    let token = secret();
    let create = access::Command::CreateToken {
        name: "clients".to_owned(),
        role: Role::Operator,
        digest: digest(&token),
        expires: None,
    };
    agent.client().perform(&Envelope::new(capability::Command::Access(create), "tests")).await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let work = tempfile::tempdir().unwrap();
    let ended = Command::new(python)
        .args(["-m", "pytest", "-q", "-x", "-rs", "-p", "no:cacheprovider"])
        .arg(&folder)
        .current_dir(work.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("OPSROOM_URL", agent.url())
        .env("OPSROOM_TOKEN", token)
        .status()
        .unwrap();
    assert!(ended.success(), "the Python clients' tests failed, see above");
}
