//! How an agent runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::capability;

/// The `[agent]` section; what is empty is filled in from the store's place by [`super::Loaded::agent_settings`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentSettings {
    /// Address of MLflow's, W&B's and opsroom's HTTP API. Port 0 picks a free one.
    pub listen: String,
    /// The store: a path, `sqlite:PATH` or `postgres://…`. Empty: the data folder.
    pub store: String,
    /// Artifacts: a folder or `s3://bucket/prefix`. Empty: beside the store.
    pub artifacts: String,
    /// Unix socket of own clients. Empty: beside the store.
    pub socket: PathBuf,
    /// Host names that may be asked for besides localhost and private addresses; `*` allows all.
    pub allowed_hosts: Vec<String>,
    /// Web origins that may send changes besides localhost; `*` allows all.
    pub allowed_origins: Vec<String>,
    /// What the badge of the room says; `prod` is shown as a warning.
    pub badge: String,
    /// Greatest body of an MLflow JSON request, bytes.
    pub body_bytes_max: usize,
    /// Greatest artifact, bytes.
    pub artifact_bytes_max: u64,
    /// Where signed audit heads go: a file. Empty: beside the store.
    pub audit_heads: String,
    /// An agent ends by itself after this long without requests while no run goes on, seconds; 0 never.
    pub idle_exit_seconds: u64,
    /// Name of this machine among hosts. Empty: the system's.
    pub host: String,
    /// Address of the agent that this one joins as an edge, without a store. Empty: none.
    pub join: String,
    /// Token for it.
    pub token: String,
    /// Where the router takes requests. Empty: 127.0.0.1:6280, once there is a service.
    pub router: String,
    /// Whether the agent may run programs: evals of a policy. Whoever sets one up needs role admin.
    pub exec: bool,
    /// Who is told about incidents: `webhook:URL`, `slack:URL`, `alertmanager:URL`, `pagerduty:KEY`.
    pub notify: Vec<String>,
    /// Host in the line to type that a notice carries. Empty: none.
    pub notify_host: String,
    /// Called as long as the agent lives: a watchdog there pages someone when it stays away. Empty: none.
    pub heartbeat_url: String,
    /// Seconds between two of them.
    pub heartbeat_seconds: u64,
    /// DogStatsD receiver of what the agent knows: `udp:HOST:PORT` or `unix:PATH`. Empty: none.
    pub dogstatsd: String,
    /// OTLP receiver, with its path. Empty: none.
    pub otlp: String,
    /// Headers for it, `NAME=VALUE`.
    pub otlp_headers: Vec<String>,
    /// Seconds between two tellings of these.
    pub telemetry_seconds: u64,
    /// The store goes with this process, as one that holds what a room over files shows.
    #[serde(skip)]
    pub passing: bool,
    /// The rooms' own sections.
    #[serde(skip)]
    pub rooms: capability::Settings,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:6270".to_owned(),
            store: String::new(),
            artifacts: String::new(),
            socket: PathBuf::new(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            badge: "local".to_owned(),
            body_bytes_max: 8 << 20,
            artifact_bytes_max: 100 << 30,
            audit_heads: String::new(),
            idle_exit_seconds: 0,
            host: String::new(),
            join: String::new(),
            token: String::new(),
            router: String::new(),
            exec: false,
            notify: Vec::new(),
            notify_host: String::new(),
            heartbeat_url: String::new(),
            heartbeat_seconds: 60,
            dogstatsd: String::new(),
            otlp: String::new(),
            otlp_headers: Vec::new(),
            telemetry_seconds: 10,
            passing: false,
            rooms: capability::Settings::default(),
        }
    }
}
