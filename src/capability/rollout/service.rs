//! A service: a registered model behind an address, where its versions answer, and how a new one takes over. Written in
//! TOML as `[service.NAME]`.

use serde::{Deserialize, Serialize};

use super::judge::Guards;
use super::split::BUCKETS;
use super::{Answers, Limits, Protocol, StickyKey};
use crate::base::fault::Result;
use crate::capability::form::{self, Document, Entry};

/// A service as it is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub name: String,
    pub model: String,
    pub protocol: Protocol,
    pub key: StickyKey,
    #[serde(default)]
    pub answers: Answers,
    /// Features that its predictions are sliced by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
    pub backend: Vec<Backend>,
    /// How versions without a backend are started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<Launch>,
    /// Who carries the traffic.
    #[serde(default)]
    pub traffic: Traffic,
    /// How the team's own deployment is told; only where opsroom does not route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Deploy>,
    /// `HOST:PORT` of its own, beside `/SERVICE/…` on the router's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Path of a health check at each address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    pub rollout: Plan,
    #[serde(default)]
    pub guards: Guards,
    #[serde(default)]
    pub limits: Limits,
}

/// Where a version answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    pub version: u32,
    pub url: String,
}

/// Who carries the requests of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// opsroom's own router.
    #[default]
    Router,
    /// The team's deployment: opsroom decides, tells it, and looks which version the predictions name.
    External,
}

/// How a version is started, and what it may use. `{artifact}`, `{port}`, `{model}` and `{version}` stand for the
/// version's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    pub command: Vec<String>,
    /// Path that answers 2xx once it is ready.
    #[serde(default = "ready")]
    pub ready: String,
    /// It is started anew when it is not ready by then.
    #[serde(default = "ready_seconds")]
    pub ready_seconds: u64,
    /// Resident memory of all its processes, beyond which it is started anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
}

/// What takes a version to production outside of opsroom; `{version}`, `{model}` and `{service}` stand for what they say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    pub command: Vec<String>,
    /// The agent runs it; otherwise the line is shown, and a person runs it.
    #[serde(default)]
    pub run: bool,
}

fn ready() -> String {
    "/ping".to_owned()
}

fn ready_seconds() -> u64 {
    60
}

/// How a new version takes over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Goes from step to step by itself, and to prod at the end when the gates let it.
    pub automatic: bool,
    /// The candidate answers too before the first step, and nobody sees it.
    #[serde(default)]
    pub shadow: bool,
}

/// One step of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Buckets of 10,000.
    pub weight: u16,
    pub seconds: u64,
    /// Requests that the candidate must have answered at this weight.
    pub requests: u64,
}

impl Default for Plan {
    fn default() -> Self {
        let step =
            |percent: u16, minutes: u64, requests| Step { weight: percent * 100, seconds: minutes * 60, requests };
        Self { steps: vec![step(5, 10, 1000), step(25, 10, 1000), step(50, 10, 1000)], automatic: false, shadow: false }
    }
}

impl Service {
    /// Addresses of a version.
    pub fn urls(&self, version: u32) -> Vec<String> {
        self.backend.iter().filter(|b| b.version == version).map(|b| b.url.clone()).collect()
    }

    /// Whether a version can answer: it has an address, can be started, is deployed by the team, or answers in batches.
    pub fn can_serve(&self, version: u32) -> bool {
        let told = self.traffic == Traffic::External || self.protocol == Protocol::None;
        told || self.launch.is_some() || self.backend.iter().any(|b| b.version == version)
    }

    /// Whether opsroom starts this version itself.
    pub fn launches(&self, version: u32) -> bool {
        self.launch.is_some() && !self.backend.iter().any(|b| b.version == version)
    }

    /// Whether the agent runs programs for it.
    pub fn runs_programs(&self) -> bool {
        self.launch.is_some() || self.deploy.as_ref().is_some_and(|d| d.run)
    }

    /// The line that deploys a version; empty when none is given.
    pub fn deploy_line(&self, version: u32) -> Vec<String> {
        let command = self.deploy.as_ref().map(|d| d.command.as_slice()).unwrap_or_default();
        let fill = |word: &String| {
            let word = word.replace("{version}", &version.to_string());
            word.replace("{model}", &self.model).replace("{service}", &self.name)
        };
        command.iter().map(fill).collect()
    }

    /// Sticky by caller.
    pub fn is_sticky(&self) -> bool {
        self.key != StickyKey::None
    }
}

/// `5`, `0.5`: per cent as buckets.
///
/// # Errors
/// Outside of 0 to 100, or finer than a hundredth of a per cent.
pub fn buckets(percent: f64) -> Result<u16, String> {
    let exact = percent * f64::from(BUCKETS) / 100.0;
    if !(0.0..=f64::from(BUCKETS)).contains(&exact) || (exact - exact.round()).abs() > 1e-6 {
        return Err(format!("a weight is a per cent between 0 and 100, in hundredths, not {percent}"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked above
    Ok(exact.round() as u16)
}

/// Buckets as per cent.
pub fn percent(weight: u16) -> f64 {
    f64::from(weight) * 100.0 / f64::from(BUCKETS)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    model: String,
    protocol: Protocol,
    #[serde(default = "none")]
    key: StickyKey,
    #[serde(default)]
    answers: Answers,
    #[serde(default)]
    slices: Vec<String>,
    #[serde(default)]
    backend: Vec<BackendForm>,
    launch: Option<Launch>,
    #[serde(default)]
    traffic: Traffic,
    deploy: Option<Deploy>,
    listen: Option<String>,
    health: Option<String>,
    rollout: Option<PlanForm>,
    #[serde(default)]
    guards: Guards,
    #[serde(default)]
    limits: Limits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackendForm {
    version: String,
    url: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanForm {
    steps: Vec<StepForm>,
    #[serde(default)]
    automatic: bool,
    #[serde(default)]
    shadow: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepForm {
    weight: f64,
    #[serde(rename = "for", default = "no_time")]
    time: String,
    #[serde(default)]
    requests: u64,
}

fn none() -> StickyKey {
    StickyKey::None
}

fn no_time() -> String {
    "0s".to_owned()
}

/// The `[service.NAME]` tables of a file.
///
/// # Errors
/// `Invalid` with file and line.
pub fn parse(document: &mut Document<'_>) -> Result<Vec<Service>> {
    document.entries("service", true)?.iter().map(read).collect()
}

fn read(entry: &Entry<'_>) -> Result<Service> {
    let form: Form = entry.read()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if entry.name.is_empty() || !entry.name.chars().all(fits) {
        let what =
            format!("a service's name is a part of its path: letters, digits, - _ and . only, not {:?}", entry.name);
        return Err(entry.fault("", what));
    }
    check_ways(entry, &form)?;
    let mut backend = Vec::new();
    for one in &form.backend {
        let version = one.version.trim_start_matches('v').parse();
        let version =
            version.map_err(|_| entry.fault("backend", format!("{:?} is no version's number", one.version)))?;
        if !one.url.starts_with("http://") || one.url.len() < 8 {
            let what = format!("{:?} is no address such as http://127.0.0.1:9001", one.url);
            return Err(entry.fault("backend", what));
        }
        backend.push(Backend { version, url: one.url.trim_end_matches('/').to_owned() });
    }
    let rollout = match form.rollout {
        None => Plan::default(),
        Some(plan) => plan_of(entry, &plan)?,
    };
    if !(0.0..=1.0).contains(&form.guards.error_margin) {
        return Err(entry.fault("guards", "error_margin is a share of requests, between 0 and 1"));
    }
    Ok(Service {
        name: entry.name.clone(),
        model: form.model,
        protocol: form.protocol,
        key: form.key,
        answers: form.answers,
        slices: form.slices,
        backend,
        launch: form.launch,
        traffic: form.traffic,
        deploy: form.deploy,
        listen: form.listen,
        health: form.health,
        rollout,
        guards: form.guards,
        limits: form.limits,
    })
}

/// Each way of serving with what it needs, and nothing that it would not use.
fn check_ways(entry: &Entry<'_>, form: &Form) -> Result<()> {
    let routed = form.protocol != Protocol::None && form.traffic == Traffic::Router;
    if routed && form.backend.is_empty() && form.launch.is_none() {
        return Err(entry
            .fault("backend", "a service that is routed needs a backend or a launch command")
            .why("a version and its URL each, or launch = { command = [...] }"));
    }
    if form.traffic == Traffic::External {
        let unused = [("backend", !form.backend.is_empty()), ("launch", form.launch.is_some())];
        if let Some((key, _)) = unused.into_iter().find(|(_, given)| *given) {
            return Err(entry.fault(key, format!("{key} is not used where traffic is external")));
        }
    }
    if form.deploy.is_some() && form.traffic != Traffic::External {
        return Err(entry.fault("deploy", "deploy is for traffic = \"external\"; here opsroom routes"));
    }
    for (key, command) in
        [("launch", form.launch.as_ref().map(|l| &l.command)), ("deploy", form.deploy.as_ref().map(|d| &d.command))]
    {
        if command.is_some_and(|c| c.first().is_none_or(String::is_empty)) {
            return Err(entry.fault(key, format!("{key}.command names no program")));
        }
    }
    if let Some(launch) = &form.launch
        && !launch.command.iter().any(|word| word.contains("{port}"))
    {
        return Err(entry
            .fault("launch", "launch.command does not say which port to listen on")
            .why("each version gets a port of its own: write {port} where it belongs"));
    }
    if let Some(listen) = &form.listen
        && listen.parse::<std::net::SocketAddr>().is_err()
    {
        return Err(entry.fault("listen", format!("{listen:?} is no address such as 127.0.0.1:8080")));
    }
    Ok(())
}

fn plan_of(entry: &Entry<'_>, form: &PlanForm) -> Result<Plan> {
    let wrong = |what: String| entry.fault("rollout", what);
    let mut steps: Vec<Step> = Vec::new();
    for step in &form.steps {
        let weight = buckets(step.weight).map_err(wrong)?;
        let seconds = form::seconds(&step.time)
            .ok_or_else(|| wrong(format!("not a length of time: {:?}; write 90s, 10m or 2h", step.time)))?;
        if steps.last().is_some_and(|before| before.weight >= weight) {
            return Err(wrong("each step's weight is greater than the one before".to_owned()));
        }
        steps.push(Step { weight, seconds, requests: step.requests });
    }
    if steps.is_empty() {
        return Err(wrong("a rollout has one step at least".to_owned()));
    }
    Ok(Plan { steps, automatic: form.automatic, shadow: form.shadow })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[service.delay]\nmodel = 'flight-delay'\nprotocol = 'mlflow'\nkey = 'header:x-user'\n\
        backend = [{ version = '1', url = 'http://127.0.0.1:9001/' }, { version = '2', url = 'http://127.0.0.1:9002' }]\n\
        rollout = { steps = [{ weight = 0.5, for = '10m', requests = 100 }, { weight = 50 }], automatic = true }\n";

    fn one(text: &str) -> Result<Service> {
        parse(&mut Document::parse("s.toml", text).unwrap()).map(|mut all| all.remove(0))
    }

    #[test]
    fn a_service_is_read_and_kept_the_same() {
        let service = one(GOOD).unwrap();
        assert_eq!(service.urls(1), ["http://127.0.0.1:9001"]);
        assert_eq!(service.rollout.steps[0], Step { weight: 50, seconds: 600, requests: 100 });
        let json = serde_json::to_string(&service).unwrap();
        assert_eq!(serde_json::from_str::<Service>(&json).unwrap(), service);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for (from, to, words) in [
            ("'header:x-user'", "'user'", "s.toml line 4"),
            ("weight = 50", "weight = 0.4", "s.toml line 6: each step's weight"),
            ("weight = 50", "weight = 101", "s.toml line 6: a weight is a per cent"),
            ("for = '10m'", "for = 'soon'", "s.toml line 6: not a length of time"),
            ("'1', url = 'http:", "'1', url = 'ftp:", "s.toml line 5: \"ftp://127.0.0.1:9001/\" is no address"),
            ("model =", "modle =", "s.toml line 2: unknown field"),
            ("[service.delay]", "[service.'a/b']", "s.toml line 1: a service's name"),
        ] {
            let fault = one(&GOOD.replace(from, to)).unwrap_err();
            assert!(fault.to_string().contains(words), "{fault}");
        }
    }

    #[test]
    fn the_example_is_read_and_says_the_defaults() {
        let text = include_str!("../../../config/service.toml");
        let service = one(text).unwrap();
        assert_eq!((service.name.as_str(), service.backend.len()), ("flight-delay", 2));
        assert_eq!((service.guards, service.limits.clone()), (Guards::default(), Limits::default()));
        // Commented defaults are the defaults, and what else there is can be read.
        let all: String = text.lines().map(|l| l.trim_start_matches("# ").to_owned() + "\n").collect();
        let start = all.find("[service.flight-delay.guards]").unwrap();
        let read = one(&format!("{}{}", &text[..text.find("[service.flight-delay.guards]").unwrap()], &all[start..]));
        let read = read.unwrap();
        assert_eq!((read.guards, read.limits), (Guards::default(), Limits::default()));
        for line in ["launch = ", "listen = "] {
            assert!(one(&text.replace(&format!("# {line}"), line)).is_ok(), "{line}");
        }
        let outside = text.replace("# traffic", "traffic").replace("# deploy", "deploy");
        let before = outside.find("backend = [").unwrap();
        let after = before + outside[before..].find("]\n").unwrap() + 2;
        let outside = one(&format!("{}{}", &outside[..before], &outside[after..])).unwrap();
        assert_eq!(outside.deploy_line(3), ["./deploy.sh", "flight-delay", "3"]);
    }

    #[test]
    fn each_way_of_serving_gets_what_it_needs_and_nothing_else() {
        let head = "[service.d]\nmodel = 'm'\nprotocol = 'json'\n";
        for (more, words) in [
            ("", "needs a backend or a launch command"),
            ("launch = { command = ['serve'] }", "does not say which port"),
            ("launch = { command = [] }", "launch.command names no program"),
            ("traffic = 'external'\nlaunch = { command = ['s', '{port}'] }", "launch is not used"),
            ("launch = { command = ['s', '{port}'] }\ndeploy = { command = ['d'] }", "deploy is for traffic"),
            ("launch = { command = ['s', '{port}'] }\nlisten = 'here'", "is no address"),
        ] {
            let fault = one(&format!("{head}{more}\n")).unwrap_err();
            assert!(fault.to_string().contains(words), "{more}: {fault}");
        }
    }
}
