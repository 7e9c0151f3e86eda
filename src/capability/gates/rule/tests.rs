//! Gates as they are written.

use super::*;
use crate::capability::evals;
use crate::capability::form::Document;

const SUITE: &str =
    "[suite.later]\ndata='x'\nlabel='y'\ntask='binary'\nmetrics=['auc']\nslices=['carrier']\ncommand=['p']\n";

fn read(gates: &str) -> Result<Vec<Gate>> {
    let text = format!("{SUITE}{gates}");
    let mut document = Document::parse("g.toml", &text)?;
    let suites = evals::parse(&mut document)?;
    parse(&mut document, &suites)
}

#[test]
fn the_example_is_good() {
    let text = include_str!("../../../../config/gates.toml");
    let mut document = Document::parse("config/gates.toml", text).unwrap();
    let suites = evals::parse(&mut document).unwrap();
    assert_eq!((suites.len(), parse(&mut document, &suites).unwrap().len()), (1, 15));
}

#[test]
fn each_kind_is_known_by_its_keys_and_survives_json() {
    for (text, kind) in [
        ("suite='later'\nmetric='roc_auc'\nmin=0.65", "absolute"),
        ("suite='later'\nmetric='latency_ms_p99'\nmax=50", "absolute"),
        ("suite='later'\nmetric='auc'\nmax_drop=0.01", "relative"),
        ("suite='later'\nmetric='auc'\nmargin=0.01", "non-inferiority"),
        ("suite='later'\nmetric='auc'\nslices=['carrier']\nmin=0.6\nadjust='bh'", "slices"),
        ("suite='later'\nflips_max=0.05", "negative-flips"),
        ("bytes_max=1000", "size"),
        ("suite='later'\neval_age_max='30d'", "freshness"),
        ("lineage=true", "lineage"),
        ("profile=true", "data"),
        ("data_like='flights@3'\npsi_max=0.1", "data"),
        ("reproducible='bit-exact'", "reproducible"),
        ("approvals=2", "approvals"),
        ("soak='24h'\npredictions_min=100\nerrors_max=0.01", "soak"),
        ("live='accuracy'\nmin=0.6\nwindow='7d'\nlabels_min=50", "live"),
        ("cost_per_1k_max=0.5\nservice='s'", "cost"),
    ] {
        let gate = read(&format!("[[gate]]\nmodel='m'\nstage='prod'\n{text}\n")).unwrap().remove(0);
        assert_eq!(gate.rule.kind(), kind);
        assert!(!gate.rule.asked().is_empty() && !gate.name.is_empty());
        let json = serde_json::to_string(&gate).unwrap();
        assert_eq!(serde_json::from_slice::<Gate>(json.as_bytes()).unwrap(), gate, "{json}");
    }
}

#[test]
fn what_is_wrong_is_named_by_its_line() {
    for (text, words) in [
        ("stage='prod'\nsuite='later'\nmetric='auk'\nmin=1", "g.toml line 12: unknown metric \"auk\""),
        ("stage='prod'\nsuite='latr'\nmetric='auc'\nmin=1", "line 11: no eval suite \"latr\"; did you mean \"later\"?"),
        ("stage='prod'\nsuite='later'\nmetrc='auc'\nmin=1", "line 12: unknown field `metrc`"),
        ("stage='production line'\napprovals=1", "line 10: a gate stands before staging or prod"),
        ("stage='prod'", "line 8: this gate asks nothing"),
        ("stage='prod'\napprovals=1\nmin=2", "line 12: min does not go with approvals"),
        ("stage='prod'\nmin=2", "line 11: a gate with min needs suite"),
        ("stage='prod'\nsuite='later'\nmetric='auc'\nmargin=-1", "line 13: a margin is 0 or more"),
        (
            "stage='prod'\nsuite='later'\nmetric='auc'\nslices=['hour']\nmin=1",
            "line 13: the suite has no slices by \"hour\"",
        ),
        ("stage='prod'\nreproducible='nearly'", "line 11: unknown grade"),
        ("stage='prod'\napprovals='two'", "line 11: invalid type"),
        ("stage='prod'\nsoak='long'", "line 11: not a length of time"),
        ("stage='prod'\nlive='auc'", "line 8: give min or max"),
        ("stage='prod'\ncost_per_1k_max=-1", "line 11: a cost is 0 or more"),
    ] {
        let fault = read(&format!("[[gate]]\nmodel='m'\n{text}\n")).unwrap_err();
        assert!(fault.what.contains(words), "{text}: {fault}");
    }
    let twice = "[[gate]]\nmodel='m'\nstage='prod'\napprovals=1\n".repeat(2);
    assert!(read(&twice).unwrap_err().what.contains("line 12: a second gate"));
}
