//! Spaces of parameters: grids, draws and what is refused.

use serde_json::json;

use super::*;

fn space(config: &Value) -> Space {
    Space::parse(&config.to_string()).unwrap()
}

#[test]
fn a_grid_tries_every_combination_once_the_last_turning_fastest() {
    let yaml = "method: grid\nname: all\nrun_cap: 100\nparameters:\n  a:\n    values: [x, y]\n  b:\n    min: 1\n    max: 3\n  \
                c:\n    value: 7\n  deep:\n    parameters:\n      q:\n        distribution: q_uniform\n        min: 0.0\n        \
                max: 1.0\n        q: 0.5\n";
    let space = Space::parse(yaml).unwrap();
    assert_eq!((space.name.as_deref(), space.trials()), (Some("all"), Some(2 * 3 * 3)));
    let all: Vec<_> = (0..18).map(|n| Value::Object(space.trial(1, n))).collect();
    assert_eq!(all[0], json!({ "a": "x", "b": 1, "c": 7, "deep": { "q": 0.0 } }));
    assert_eq!(all[1], json!({ "a": "x", "b": 1, "c": 7, "deep": { "q": 0.5 } }));
    assert_eq!(all[17], json!({ "a": "y", "b": 3, "c": 7, "deep": { "q": 1.0 } }));
    let different: std::collections::HashSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(different.len(), 18);
    let capped = self::space(
        &json!({ "method": "grid", "run_cap": 5, "parameters": { "a": { "values": [1, 2, 3, 4, 5, 6] } } }),
    );
    assert_eq!(capped.trials(), Some(5));
}

#[test]
fn draws_follow_their_distributions_and_are_the_same_again() {
    let space = space(&json!({ "method": "random", "parameters": {
        "i": { "min": -2, "max": 2 }, "u": { "min": 0.5, "max": 1.5 },
        "l": { "distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1 },
        "e": { "distribution": "log_uniform", "min": -3.0, "max": 0.0 },
        "q": { "distribution": "q_uniform", "min": 0, "max": 100, "q": 25 },
        "n": { "distribution": "normal", "mu": 10, "sigma": 2 },
        "w": { "values": ["rare", "often"], "probabilities": [0.1, 0.9] },
    } }));
    assert_eq!(space.trials(), None);
    const N: u64 = 20_000;
    let of = |name: &str| (0..N).map(|n| space.trial(7, n)[name].as_f64().unwrap()).collect::<Vec<f64>>();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let ints = of("i");
    for i in -2..=2 {
        let share = ints.iter().filter(|x| **x == f64::from(i)).count() as f64 / N as f64;
        assert!((share - 0.2).abs() < 0.02, "{i}: {share}");
    }
    assert!((mean(&of("u")) - 1.0).abs() < 0.01);
    let logs: Vec<f64> = of("l").iter().map(|x| x.log10()).collect();
    assert!((mean(&logs) + 3.0).abs() < 0.05 && logs.iter().all(|x| (-5.0..=-1.0).contains(x)));
    assert!(of("e").iter().all(|x| (0.049..=1.0).contains(x)));
    assert!(of("q").iter().all(|x| x % 25.0 == 0.0 && (0.0..=100.0).contains(x)));
    let normal = of("n");
    let sd = (normal.iter().map(|x| (x - 10.0).powi(2)).sum::<f64>() / N as f64).sqrt();
    assert!((mean(&normal) - 10.0).abs() < 0.1 && (sd - 2.0).abs() < 0.1, "{sd}");
    let rare = (0..N).filter(|n| space.trial(7, *n)["w"] == "rare").count() as f64 / N as f64;
    assert!((rare - 0.1).abs() < 0.01);
    assert_eq!(space.trial(7, 5), space.trial(7, 5));
    assert_ne!(space.trial(8, 5), space.trial(7, 5));
}

#[test]
fn what_cannot_be_tried_is_named() {
    let said = |config: Value| Space::parse(&config.to_string()).unwrap_err().to_string();
    let one = |parameter: Value| json!({ "method": "random", "parameters": { "lr": parameter } });
    assert!(said(json!({ "method": "bayes", "parameters": {} })).contains("bayes"));
    assert!(said(json!({ "method": "grid" })).contains("no parameters"));
    assert!(said(one(json!({ "min": 3, "max": 1 }))).contains("above"));
    assert!(said(one(json!({ "values": [] }))).contains("empty"));
    assert!(said(one(json!({ "values": [1, 2], "probabilities": [1] }))).contains("probabilities"));
    assert!(said(one(json!({ "distribution": "beta", "a": 1, "b": 2 }))).contains("beta"));
    assert!(said(one(json!({ "distribution": "log_uniform_values", "min": 0, "max": 1 }))).contains("logarithm"));
    assert!(said(one(json!("x"))).contains("lr"));
    let grid = json!({ "method": "grid", "parameters": { "lr": { "min": 0.1, "max": 0.9 } } });
    assert!(said(grid).contains("list"));
    assert!(said(json!({ "method": "grid", "parameters": { "n": { "min": 0, "max": 10_000_000 } } })).contains("list"));
    assert!(Space::parse(": no yaml: [").is_err());
    let early = space(
        &json!({ "method": "random", "early_terminate": { "type": "hyperband" }, "parameters": { "a": { "value": 1 } } }),
    );
    assert!(early.warnings[0].contains("early_terminate is not carried out") && early.stopping.is_none());
}
