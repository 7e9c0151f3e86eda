//! Cost from the request to the bill: prices applied, predictions counted, parts that come to the whole, and what is refused.

use opsroom::base::Timestamp;
use serde_json::{Value, json};

use super::support::Agent;

const HOUR: i64 = 3_600_000_000;

const PRICES: &str = "[rates]\ncpu_hour = 0.05\n[rates.host.h1]\nhour = 2.4\n[rates.tokens.summary]\ninput = 1.5\noutput = 6\n\
    [[serving]]\nservice = 'delay'\nhost = 'h1'\nconcurrency = 2\n[[serving]]\nservice = 'fraud'\nhost = 'h1'\nconcurrency = 2\n\
    [[budget]]\nname = 'all'\nmonth = 5000\n";

/// Begin of the hour that goes on.
fn hour() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    now / HOUR * HOUR
}

/// Begin of the last whole hour but one, an hour earlier where midnight lies between them: a bill is cut there, and its shares
/// with it.
fn begin() -> i64 {
    let begin = hour() - 2 * HOUR;
    if begin % (24 * HOUR) == 23 * HOUR { begin - HOUR } else { begin }
}

fn put(agent: &Agent, name: &str, text: &str) {
    std::fs::write(agent.home().path().join(name), text).unwrap();
}

fn post(agent: &Agent, begin: i64) {
    let at = Timestamp(begin + HOUR / 2).to_string();
    let event = |service: &str, i: usize| {
        json!({"id": format!("{service}{i}"), "service": service, "version": "1", "time": at, "prediction": 1,
            "latency_ms": 30_000.0, "slices": {"country": if i.is_multiple_of(4) { "BR" } else { "US" }}})
    };
    let mut lines: Vec<Value> = (0..120).map(|i| event("delay", i)).collect();
    lines.extend((0..60).map(|i| event("fraud", i)));
    lines.push(json!({"id": "s", "service": "summary", "version": "3", "time": at, "prediction": "text",
        "usage": {"input_tokens": 1_000_000, "output_tokens": 500_000}}));
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    put(agent, "p.ndjson", &text.join("\n"));
    let labels: Vec<String> =
        (0..120).map(|i| json!({"id": format!("delay{i}"), "label": u8::from(i % 4 != 0)}).to_string()).collect();
    put(agent, "l.ndjson", &labels.join("\n"));
    agent.cli(&["predictions", "add", "p.ndjson"]).expect(0);
    agent.cli(&["labels", "add", "l.ndjson"]).expect(0);
}

fn micros(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or_else(|| panic!("{key} of {value}"))
}

#[test]
fn what_predictions_cost_is_told_by_service_version_and_slice() {
    let agent = Agent::start();
    let begin = begin();
    post(&agent, begin);
    let (since, to) = (Timestamp(begin).to_string(), Timestamp(begin + 2 * HOUR).to_string());
    let window = ["--since", &since, "--to", &to, "--json"];
    let cost = |more: &[&str]| agent.cli(&[&["cost"], &window[..], more].concat()).expect(0).json();
    // Nothing says what they run on, so nothing is known: unknown is not zero.
    let before = cost(&[]);
    assert_eq!(
        (before["complete"].as_bool(), &before["rows"][0]["total_micros"]),
        (Some(false), &Value::Null),
        "{before}"
    );

    put(&agent, "rates.toml", PRICES);
    let applied = agent.cli(&["apply", "rates.toml", "--reason", "prices", "--json"]).expect(0).json();
    assert_eq!(applied["differences"].as_array().unwrap().len(), 4, "{applied}");
    let again = agent.cli(&["apply", "rates.toml", "--json"]).expect(0).json();
    assert_eq!(again["differences"], json!([]));

    let told = cost(&[]);
    let row = |name: &str| told["rows"].as_array().unwrap().iter().find(|r| r["what"] == name).unwrap().clone();
    let (delay, fraud, summary) = (row("delay"), row("fraud"), row("summary"));
    // Two hours of the host, and 1.5 + 3 for tokens.
    assert_eq!(micros(&delay, "total_micros") + micros(&fraud, "total_micros"), 4_800_000);
    assert_eq!(micros(&summary, "tokens_micros"), 4_500_000);
    assert_eq!(micros(&told, "total_micros"), 9_300_000);
    let parts = ["busy", "idle", "kept", "storage", "egress", "tokens", "training"];
    assert_eq!(parts.iter().map(|p| micros(&told, &format!("{p}_micros"))).sum::<i64>(), 9_300_000);
    // An hour's work of eight slot hours is 0.60; latencies are kept to one per cent. The idle rest goes by work: two to one.
    assert!((micros(&delay, "busy_micros") - 600_000).abs() < 6_000, "{delay}");
    assert!((micros(&delay, "total_micros") - 3_200_000).abs() < 2, "{delay}");
    let each = delay["per_prediction"].as_f64().unwrap();
    assert!((each - 3.2 / 120.0).abs() < 1e-6);
    assert!((delay["per_correct"]["value"].as_f64().unwrap() - each / 0.75).abs() < 1e-9);
    let ends = |k: &str| delay["per_correct"][k].as_f64().unwrap();
    assert!(ends("low") < ends("value") && ends("value") < ends("high"));
    assert!(summary["unknown"][0].as_str().unwrap().contains("[[serving]]"), "{summary}");
    assert_eq!(told["budgets"][0]["name"], "all");

    let slices = cost(&["--by", "slice"]);
    let of = |slice: &str| {
        let name = format!("delay country={slice}");
        slices["rows"].as_array().unwrap().iter().find(|r| r["what"] == name.as_str()).unwrap().clone()
    };
    assert_eq!(micros(&of("BR"), "total_micros") + micros(&of("US"), "total_micros"), micros(&delay, "total_micros"));
    assert_eq!(cost(&["--by", "version"])["rows"][1]["version"], "1");
    let csv = agent.cli(&["cost", "--since", &since, "--to", &to, "--csv"]).expect(0).stdout;
    assert!(csv.starts_with("what,kind,service,") && csv.contains("\nsummary,serve,summary,"), "{csv}");
    agent.cli(&["cost", "--since", &since, "--days", "3"]).expect(0);
}

#[test]
fn what_is_no_price_changes_nothing_and_names_its_line() {
    let agent = Agent::start();
    for (text, words) in [
        ("[rates]\ncpu_hour = -1\n", "bad.toml line 2: cpu_hour: a price is a number of 0 or more, not -1"),
        ("[rates]\n\ngpu_hour = 1e9\n", "bad.toml line 3: gpu_hour: 1000000000 is beyond all measure"),
        ("[rates]\nsince = '2026-11-01T00:30:00Z'\n", "bad.toml line 2: since"),
        ("[[serving]]\nservice = 'a'\n", "bad.toml line 1: a service runs on"),
    ] {
        put(&agent, "bad.toml", text);
        let refused = agent.cli(&["apply", "bad.toml"]).expect(2);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    let command = json!({"room": "cost", "do": "set-rates", "since": null, "rates": {"currency": "USD", "cpu": -5, "memory": 0,
        "gpu": 0, "storage": 0, "egress": 0}});
    let answer = super::support::wait(async {
        let body = json!({"command": command, "reason": "x"});
        agent.client().perform(&serde_json::from_value(body).unwrap()).await
    });
    assert!(answer.unwrap_err().to_string().contains("is no price of cpu"));
    assert_eq!(agent.cli(&["cost", "--json"]).expect(0).json()["prices"][0]["defaults"], true);
}

#[test]
fn a_captured_run_tells_what_it_took_and_a_price_may_change_on_the_way() {
    let agent = Agent::start();
    agent
        .cli(&["run", "--name", "burn", "--", "sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 5"])
        .expect(0);
    let rows = agent.cli(&["cost", "--by", "run", "--json"]).expect(0).json()["rows"].clone();
    let run = &rows[0];
    assert_eq!((run["what"].as_str(), run["kind"].as_str()), (Some("burn"), Some("train")), "{rows}");
    let (cpu, memory) = (micros(&run["detail"], "cpu_micros"), micros(&run["detail"], "memory_micros"));
    assert_eq!(micros(run, "total_micros"), cpu + memory, "{run}");
    assert!(cpu > 0, "{run}");
    // From the coming hour on another price; what was, stays.
    let next = Timestamp(hour() + HOUR).to_string();
    put(&agent, "later.toml", &format!("[rates]\nsince = '{next}'\ncpu_hour = 1\n"));
    agent.cli(&["apply", "later.toml", "--reason", "a new contract"]).expect(0);
    put(&agent, "now.toml", "[rates]\nsince = '2026-01-01'\n");
    agent.cli(&["apply", "now.toml", "--reason", "the old one"]).expect(0);
    let again = agent.cli(&["cost", "--by", "run", "--json"]).expect(0).json();
    assert_eq!(again["rows"][0]["total_micros"], run["total_micros"]);
    let foreign = "[rates]\ncurrency = 'EUR'\n";
    put(&agent, "eur.toml", foreign);
    let refused = agent.cli(&["apply", "eur.toml", "--reason", "x"]).expect(2);
    assert!(refused.stderr.contains("nothing is converted"), "{}", refused.stderr);
}

#[test]
fn a_host_without_a_price_is_unknown_and_never_free() {
    let agent = Agent::start();
    let begin = begin();
    post(&agent, begin);
    put(&agent, "on.toml", "[[serving]]\nservice = 'delay'\nhost = 'nobody-priced-it'\nconcurrency = 2\n");
    agent.cli(&["apply", "on.toml", "--reason", "where it runs"]).expect(0);
    let (since, to) = (Timestamp(begin).to_string(), Timestamp(begin + 2 * HOUR).to_string());
    let told = agent.cli(&["cost", "--since", &since, "--to", &to, "--json"]).expect(0).json();
    let row = told["rows"].as_array().unwrap().iter().find(|r| r["what"] == "delay").unwrap();
    assert_eq!((&row["total_micros"], &row["per_prediction"]), (&Value::Null, &Value::Null), "{row}");
    assert!(row["unknown"][0].as_str().unwrap().contains("nobody-priced-it"), "{row}");
    assert_eq!(told["complete"], false);
    let shown = agent.cli(&["cost", "--since", &since, "--to", &to]).expect(0).stdout;
    assert!(shown.contains("unknown: delay: ") && shown.contains("nobody-priced-it"), "{shown}");
}

#[test]
fn a_price_that_changes_within_the_window_holds_from_its_hour_on() {
    let agent = Agent::start();
    let begin = begin();
    post(&agent, begin);
    put(&agent, "rates.toml", PRICES);
    agent.cli(&["apply", "rates.toml", "--reason", "prices"]).expect(0);
    let (since, to) = (Timestamp(begin).to_string(), Timestamp(begin + 2 * HOUR).to_string());
    let total = || {
        let told = agent.cli(&["cost", "--since", &since, "--to", &to, "--json"]).expect(0).json();
        let rows = told["rows"].as_array().unwrap().clone();
        let host = rows.iter().filter(|r| r["what"] != "summary").map(|r| micros(r, "total_micros")).sum::<i64>();
        (host, told["prices"].as_array().unwrap().len())
    };
    assert_eq!(total(), (4_800_000, 1), "two hours at 2.40");
    // The second hour costs 5: the first one stays as it was.
    let middle = Timestamp(begin + HOUR).to_string();
    let later = PRICES.replace("[rates]\n", &format!("[rates]\nsince = '{middle}'\n")).replace("2.4", "5");
    put(&agent, "later.toml", &later);
    agent.cli(&["apply", "later.toml", "--reason", "a new contract"]).expect(0);
    assert_eq!(total(), (7_400_000, 2));
    // And a moment of the past is billed as of then.
    let ask = |at: &str| agent.cli(&["cost", "--since", &since, "--as-of", at, "--json"]).expect(0).json();
    let then = ask(&middle);
    let host = then["rows"].as_array().unwrap().iter().filter(|r| r["what"] != "summary");
    assert_eq!(host.map(|r| micros(r, "total_micros")).sum::<i64>(), 2_400_000, "{then}");
    assert_eq!(then["window"]["to"], middle);
    assert_eq!((&then["advice"], &then["hosts"]), (&json!([]), &json!([])));
    // Within an hour it is told up to that hour.
    let within = ask(&Timestamp(begin + HOUR + HOUR / 2).to_string());
    assert_eq!((&within["window"], &within["total_micros"]), (&then["window"], &then["total_micros"]));
}

#[test]
fn what_a_run_cannot_have_taken_is_not_billed() {
    let agent = Agent::start();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let client = agent.client();
    let post = |path: &str, body: Value| -> Value {
        super::support::wait(client.mlflow(reqwest::Method::POST, &format!("/api/2.0/mlflow/runs/{path}"), &body))
            .unwrap()
    };
    for (name, start, seconds) in [
        ("absurd", now - 3_600_000, 1e300),
        ("negative", now - 3_600_000, -5.0),
        ("before all time", i64::MIN / 2, 7200.0),
        ("running", i64::MIN / 2, 1e300),
        ("well", now - 3_600_000, 3600.0),
    ] {
        let tags = json!([{"key": "mlflow.runName", "value": name}]);
        let made = post("create", json!({"experiment_id": "0", "start_time": start, "tags": tags}));
        let id = made["run"]["info"]["run_id"].clone();
        for key in ["system/process_cpu_seconds", "system/process_memory_gib_seconds", "system/gpu_0_busy_seconds"] {
            post("log-metric", json!({"run_id": id, "key": key, "value": seconds, "timestamp": now, "step": 0}));
        }
        if name != "running" {
            post("update", json!({"run_id": id, "status": "FINISHED", "end_time": now}));
        }
    }
    let told = agent.cli(&["cost", "--by", "run", "--json", "--since", "40d"]).expect(0).json();
    let row = |name: &str| told["rows"].as_array().unwrap().iter().find(|r| r["what"] == name).unwrap().clone();
    for name in ["absurd", "negative"] {
        assert_eq!(row(name)["detail"]["cpu_micros"], Value::Null, "{told}");
    }
    // An hour of a core and of a GiB, at the default prices.
    assert_eq!(micros(&row("well")["detail"], "cpu_micros"), 31_611);
    assert!(micros(&told, "total_micros") < 1_000_000, "{told}");
    agent.cli(&["cost"]).expect(0);
}
