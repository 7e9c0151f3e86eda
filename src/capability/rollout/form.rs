//! A service as it is written: `[service.NAME]` in TOML, and what is wrong with it by file and line.

use serde::Deserialize;

use super::judge::Guards;
use super::service::{Backend, Deploy, Envoy, Launch, Plan, Service, Step, Traffic, buckets};
use super::{Answers, Limits, Protocol, StickyKey};
use crate::base::fault::Result;
use crate::capability::form::{self, Document, Entry};

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
    envoy: Option<Envoy>,
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
    form.guards.check().map_err(|what| entry.fault("guards", what))?;
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
        envoy: form.envoy,
        listen: form.listen,
        health: form.health,
        rollout,
        guards: form.guards,
        limits: form.limits,
    })
}

/// Each way of serving with what it needs, and nothing that it would not use.
fn check_ways(entry: &Entry<'_>, form: &Form) -> Result<()> {
    let routed = form.protocol != Protocol::None && form.traffic != Traffic::External;
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
    check_envoy(entry, form)?;
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

/// What Envoy can be told, and nothing that it would leave out in silence.
fn check_envoy(entry: &Entry<'_>, form: &Form) -> Result<()> {
    if form.traffic != Traffic::Envoy {
        return match form.envoy {
            Some(_) => Err(entry.fault("envoy", "envoy is for traffic = \"envoy\"; here another one routes")),
            None => Ok(()),
        };
    }
    let admin = form.envoy.as_ref().map(|e| e.admin.as_slice()).unwrap_or_default();
    if admin.is_empty() {
        return Err(entry
            .fault("envoy", "traffic = \"envoy\" needs envoy = { admin = [\"http://127.0.0.1:9901\"] }")
            .why("only Envoy itself can tell that it serves by what was decided"));
    }
    if let Some(url) = admin.iter().find(|url| !url.starts_with("http://") || url.len() < 8) {
        return Err(entry.fault("envoy", format!("{url:?} is no address such as http://127.0.0.1:9901")));
    }
    let with_path = form.backend.iter().find(|b| b.url.trim_end_matches('/').splitn(4, '/').nth(3).is_some());
    let shadow = form.rollout.as_ref().is_some_and(|r| r.shadow);
    let refused = [
        ("protocol", form.protocol == Protocol::None, "protocol = \"none\" routes nothing: leave traffic out"),
        ("listen", form.listen.is_some(), "listen is not used: Envoy's own listener takes the requests"),
        ("backend", with_path.is_some(), "behind Envoy a backend is a host and a port, without a path"),
        ("rollout", shadow, "behind Envoy nobody compares a shadow's answers: leave shadow out"),
        ("", entry.name.contains('.'), "behind Envoy a service's name has no dot: its counts are named by it"),
    ];
    match refused.into_iter().find(|(_, wrong, _)| *wrong) {
        Some((key, _, what)) => Err(entry.fault(key, what)),
        None => Ok(()),
    }
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
        assert_eq!(serde_json::from_slice::<Service>(json.as_bytes()).unwrap(), service);
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
        let outside = text.replace("# traffic = \"external\"", "traffic = \"external\"").replace("# deploy", "deploy");
        let before = outside.find("backend = [").unwrap();
        let after = before + outside[before..].find("]\n").unwrap() + 2;
        let outside = one(&format!("{}{}", &outside[..before], &outside[after..])).unwrap();
        assert_eq!(outside.deploy_line(3), ["./deploy.sh", "flight-delay", "3"]);
        let envoy = text.replace("# traffic = \"envoy\"", "traffic = \"envoy\"").replace("# envoy = ", "envoy = ");
        let envoy = one(&envoy).unwrap();
        assert_eq!(envoy.envoy.unwrap().admin, ["http://127.0.0.1:9901"]);
    }

    #[test]
    fn what_envoy_cannot_split_by_is_said() {
        let text = GOOD.replace("'header:x-user'", "'json:/user'");
        assert!(one(&text).unwrap().is_sticky());
        let text =
            text.replace("protocol =", "traffic = 'envoy'\nenvoy = { admin = ['http://127.0.0.1:9901'] }\nprotocol =");
        let service = one(&text).unwrap();
        assert!(!service.is_sticky());
        assert!(service.splits_otherwise().unwrap().contains("by itself"));
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
            ("launch = { command = ['s', '{port}'] }\nenvoy = { admin = ['http://a:1'] }", "envoy is for traffic"),
            ("traffic = 'envoy'\nlaunch = { command = ['s', '{port}'] }", "needs envoy = { admin"),
            (
                "traffic = 'envoy'\nenvoy = { admin = ['http://a:1'] }\nbackend = [{ version = '1', url = 'http://b:2/x' }]",
                "without a path",
            ),
        ] {
            let fault = one(&format!("{head}{more}\n")).unwrap_err();
            assert!(fault.to_string().contains(words), "{more}: {fault}");
        }
    }
}
