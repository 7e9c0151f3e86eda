//! The rule on numbers worked out by hand, and what holds for all of them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A run by its params and metrics.
struct Made {
    name: &'static str,
    params: BTreeMap<String, String>,
    metrics: Vec<(&'static str, f64)>,
    tags: BTreeMap<String, String>,
    finished: bool,
}

fn made(name: &'static str, params: &[(&str, &str)], metrics: &[(&'static str, f64)]) -> Made {
    let params = params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Made { name, params, metrics: metrics.to_vec(), tags: BTreeMap::new(), finished: true }
}

fn subject(run: &Made) -> Subject<'_> {
    Subject {
        id: run.name,
        name: run.name,
        experiment: "e",
        finished: run.finished,
        params: &run.params,
        metrics: run.metrics.iter().copied().collect(),
        tags: &run.tags,
        inputs: Vec::new(),
        surroundings: &UNCAPTURED,
    }
}

fn subjects(runs: &[Made]) -> Vec<Subject<'_>> {
    runs.iter().map(subject).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn noise_is_pooled_over_groups_and_a_seed_counts_once() {
    let runs = [
        made("a1", &[("lr", "1"), ("seed", "1")], &[("auc", 0.90)]),
        made("a2", &[("lr", "1"), ("seed", "2")], &[("auc", 0.92)]),
        made("a3", &[("lr", "1"), ("seed", "3")], &[("auc", 0.94)]),
        // The same seed again tells nothing.
        made("a1-again", &[("lr", "1"), ("seed", "1")], &[("auc", 0.90)]),
        made("b1", &[("lr", "2"), ("seed", "1")], &[("auc", 0.50)]),
        made("b2", &[("lr", "2"), ("seed", "2")], &[("auc", 0.52)]),
        made("alone", &[("lr", "3"), ("seed", "1")], &[("auc", 0.1)]),
    ];
    let auc = noises(subjects(&runs))["auc"];
    assert_eq!((auc.freedom, auc.groups, auc.runs), (3, 2, 5));
    // (0.0004 + 0 + 0.0004 + 0.0001 + 0.0001) / 3.
    assert!(close(auc.sigma, (0.001_f64 / 3.0).sqrt()), "{}", auc.sigma);
}

#[test]
fn runs_that_differ_in_more_than_the_seed_are_no_repeats() {
    let mut other_code = made("b", &[("lr", "1")], &[("auc", 0.5)]);
    other_code.tags.insert("mlflow.source.git.commit".into(), "c2".into());
    let mut broken_off = made("c", &[("lr", "1")], &[("auc", 0.1)]);
    broken_off.finished = false;
    let bare = || made("d", &[], &[("auc", 0.9)]);
    let runs = [made("a", &[("lr", "1")], &[("auc", 0.9)]), other_code, broken_off, bare(), bare()];
    assert!(noises(subjects(&runs)).is_empty());
}

#[test]
fn seeds_are_known_by_name() {
    for key in ["seed", "random_state", "model.seed", "numpy-seed", "SEED", "a/b_random_state"] {
        assert!(noise::is_seed(key), "{key}");
    }
    for key in ["seeds_tried", "lr", "seedling", "state"] {
        assert!(!noise::is_seed(key), "{key}");
    }
}

#[test]
fn names_say_which_way_is_better() {
    use Better::{Higher, Lower};
    for (key, better) in [
        ("auc", Some(Higher)),
        ("val_rocauc", Some(Higher)),
        ("valAccuracy", Some(Higher)),
        ("f1_score", Some(Higher)),
        ("recall@1%fpr", Some(Higher)),
        ("slice BR auc", Some(Higher)),
        ("tokens_per_second", Some(Higher)),
        ("neg_log_loss", Some(Higher)),
        ("val/loss", Some(Lower)),
        ("logloss", Some(Lower)),
        ("error_rate", Some(Lower)),
        ("p99 ms", Some(Lower)),
        ("train $", Some(Lower)),
        ("ece", Some(Lower)),
        ("piece", None),
        ("lr", None),
        ("epoch", None),
        ("grad_norm", None),
    ] {
        assert_eq!(better::of(key), better, "{key}");
    }
}

fn known(sigma: f64, freedom: u32) -> Noise {
    Noise { sigma, freedom, groups: 1, runs: freedom + 1 }
}

#[test]
fn grades_follow_the_direction_and_ask_more_of_few_repeats() {
    let runs =
        [made("base", &[], &[("auc", 0.900), ("loss", 0.2)]), made("new", &[], &[("auc", 0.914), ("loss", 0.2)])];
    let graded = |freedom| {
        let noises =
            Noises::from([("auc".to_owned(), known(0.002, freedom)), ("loss".to_owned(), known(0.01, freedom))]);
        compare(&subjects(&runs), 0, &noises, &BTreeMap::new())
    };
    let many = graded(1000);
    // 0.014 / (0.002 · √2) = 4.95 standard deviations.
    let auc = &many.metrics[0].cells[1];
    assert_eq!((auc.grade, many.metrics[1].cells[1].grade), (Grade::MuchBetter, Grade::Luck));
    assert!((auc.sigmas.unwrap() - 4.949_747).abs() < 1e-5);
    assert_eq!(many.verdict.winner, Some(1));
    let few = graded(2);
    assert_eq!(few.metrics[0].cells[1].grade, Grade::Better, "two degrees of freedom say less");
    assert!(few.verdict.winner.is_none() && few.verdict.text.starts_with("new may be better"), "{}", few.verdict.text);
    // Whoever says that less is better turns it around.
    let said = BTreeMap::from([("auc".to_owned(), Better::Lower)]);
    let noises = Noises::from([("auc".to_owned(), known(0.002, 1000))]);
    assert_eq!(compare(&subjects(&runs), 0, &noises, &said).metrics[0].cells[1].grade, Grade::MuchWorse);
}

#[test]
fn what_is_not_known_is_a_question_with_its_reason() {
    let runs = [
        made("base", &[], &[("auc", 0.9), ("odd", 1.0), ("loss", f64::NAN)]),
        made("new", &[], &[("auc", 0.95), ("odd", 2.0), ("loss", 0.1), ("extra", 1.0)]),
    ];
    let noises = Noises::from([("odd".to_owned(), known(0.1, 100))]);
    let found = compare(&subjects(&runs), 0, &noises, &BTreeMap::new());
    let why = |key: &str| found.metrics.iter().find(|m| m.key == key).and_then(|m| m.cells[1].why).unwrap_or_default();
    assert!(why("auc").contains("no repeats"));
    assert!(why("odd").contains("which way"));
    assert!(why("loss").contains("not a number"));
    assert!(why("extra").contains("the base has no such metric"));
    assert!(found.metrics.iter().all(|m| m.cells[1].grade == Grade::Unknown));
    let words = found.verdict.text;
    assert!(words.contains("new leads in auc (+0.050)") && words.contains("3 seeds"), "{words}");
}

#[test]
fn a_gain_that_costs_elsewhere_names_no_winner() {
    let runs = [
        made("base", &[], &[("auc", 0.90), ("ece", 0.02), ("train_auc", 0.9)]),
        made("new", &[], &[("auc", 0.95), ("ece", 0.05), ("train_auc", 0.8)]),
    ];
    let of = |key: &str| (key.to_owned(), known(0.001, 50));
    let noises = Noises::from([of("auc"), of("ece"), of("train_auc")]);
    let verdict = compare(&subjects(&runs), 0, &noises, &BTreeMap::new()).verdict;
    assert_eq!(verdict.winner, None);
    assert_eq!(verdict.text, "new wins auc (+0.050, 35.4σ) against base but loses ece (+0.030, 21.2σ).");
    let back = compare(&subjects(&runs[..1]), 0, &noises, &BTreeMap::new()).verdict;
    assert_eq!(back.winner, None);
}

#[test]
fn settings_show_params_data_code_and_own_tags() {
    let mut new = made("new", &[("lr", "2"), ("l2", "0")], &[]);
    new.tags.insert("mlflow.source.git.commit".into(), "c2".into());
    new.tags.insert("mlflow.user".into(), "kim".into());
    new.tags.insert("team".into(), "risk".into());
    let runs = [made("base", &[("lr", "1"), ("l2", "0")], &[]), new];
    let mut subjects = subjects(&runs);
    subjects[1].inputs = vec![Dataset { context: "training", name: "flights", digest: "9f2c" }];
    let (found, verdict) = {
        let compared = compare(&subjects, 0, &Noises::new(), &BTreeMap::new());
        (compared.settings, compared.verdict.text)
    };
    assert!(!verdict.contains("different data"), "training on other data is what one compares");
    subjects[0].inputs = vec![Dataset { context: "evaluation", name: "flights", digest: "1" }];
    subjects[1].inputs = vec![Dataset { context: "evaluation", name: "flights", digest: "2" }];
    let verdict = compare(&subjects, 0, &Noises::new(), &BTreeMap::new()).verdict.text;
    assert!(verdict.ends_with("They were judged on different data."), "{verdict}");
    let keys: Vec<(Section, &str, bool)> = found.iter().map(|s| (s.section, s.key.as_str(), s.differs())).collect();
    assert_eq!(
        keys,
        [
            (Section::Params, "l2", false),
            (Section::Params, "lr", true),
            (Section::Data, "training", true),
            (Section::Code, "commit", true),
            (Section::Tags, "team", true),
        ]
    );
}

proptest! {
    /// Exchanging base and candidate turns every grade around, and a shift of all values changes nothing but rounding.
    #[test]
    fn grades_are_antisymmetric(a in -1e3_f64..1e3, b in -1e3_f64..1e3, sigma in 1e-6_f64..10.0, freedom in 1_u32..200) {
        let runs = [made("a", &[], &[("auc", a)]), made("b", &[], &[("auc", b)])];
        let noises = Noises::from([("auc".to_owned(), known(sigma, freedom))]);
        let there = compare(&subjects(&runs), 0, &noises, &BTreeMap::new()).metrics[0].cells[1].grade;
        let back = compare(&subjects(&runs), 1, &noises, &BTreeMap::new()).metrics[0].cells[0].grade;
        let turned = match there {
            Grade::MuchBetter => Grade::MuchWorse,
            Grade::Better => Grade::Worse,
            Grade::Worse => Grade::Better,
            Grade::MuchWorse => Grade::MuchBetter,
            other => other,
        };
        prop_assert_eq!(back, turned);
    }

    /// More repeats never make a grade weaker: what is beyond luck with few is so with many.
    #[test]
    fn thresholds_fall_towards_one_and_three(freedom in 1_u32..5000) {
        let (now, more) = (known(1.0, freedom), known(1.0, freedom + 1));
        prop_assert!(now.beyond_one() >= more.beyond_one() && more.beyond_one() > 1.0);
        prop_assert!(now.beyond_three() >= more.beyond_three() && more.beyond_three() > 3.0);
    }

    /// Whatever the names and values, nothing panics, and all runs have a cell in every row.
    #[test]
    fn any_runs_can_be_compared(values in proptest::collection::vec(proptest::option::of(any::<f64>()), 1..6)) {
        let runs: Vec<Made> =
            values.iter().map(|v| made("r", &[("lr", "1")], &v.map(|v| ("auc", v)).into_iter().collect::<Vec<_>>())).collect();
        let noises = noises(subjects(&runs));
        for base in 0..values.len() {
            let found = compare(&subjects(&runs), base, &noises, &BTreeMap::new());
            prop_assert!(found.metrics.iter().all(|m| m.cells.len() == values.len() && m.cells[base].grade == Grade::Base));
        }
    }
}
