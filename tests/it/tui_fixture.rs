//! A room on fixed data: every load is answered from here, and the clock stands where the test puts it.
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, clippy::cast_possible_truncation)] // small made-up numbers
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use opsroom::base::Timestamp;
use opsroom::capability::gates::{Decision, Finding, Verdict as Judged};
use opsroom::capability::tracking::compare::{Noise, Noises};
use opsroom::tui::glyph::{self, Glyphs};
use opsroom::tui::key::{Code, Key};
use opsroom::tui::keymap::Keymap;
use opsroom::tui::model::*;
use opsroom::tui::msg::{Effect, Msg, Page, Want};
use opsroom::tui::overlay::sheet::ARMING_US;
use opsroom::tui::state::{Setup, State};
use opsroom::tui::theme::{Depth, Theme};
use opsroom::tui::update::update;
use opsroom::tui::view::view;
use opsroom::tui::widget::Scroll;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// 2026-11-22T03:14:07Z.
pub const NOW: Timestamp = Timestamp(1_795_317_247_000_000);

pub struct Room {
    pub state: State,
    pub scroll: Scroll,
    pub now: Timestamp,
    pub performed: Vec<Envelope>,
    /// The number of the last change that was sent.
    pub last_request: u64,
    pub copied: Vec<String>,
    pub exported: Vec<opsroom::tui::export::Job>,
    pub quit: bool,
    /// What loads are answered with; `None` is an agent that does not answer.
    pub answer: Option<fn(&Want) -> Page>,
}

impl Room {
    pub fn open(size: (u16, u16), glyphs: Glyphs) -> Self {
        Self::with(size, glyphs, answer)
    }

    pub fn with(size: (u16, u16), glyphs: Glyphs, answer: fn(&Want) -> Page) -> Self {
        let setup = Setup {
            keys: Keymap::shipped(),
            glyphs,
            session: "5e55".into(),
            read_only: None,
            banners: Vec::new(),
            mouse: false,
            context: "prod".into(),
            contexts: vec!["prod".into(), "staging".into()],
        };
        let state = State::new(setup, size, NOW);
        let (performed, copied) = (Vec::new(), Vec::new());
        let mut room = Self {
            state,
            scroll: Scroll::default(),
            now: NOW,
            performed,
            last_request: 0,
            copied,
            exported: Vec::new(),
            quit: false,
            answer: Some(answer),
        };
        room.give(Msg::Events(Ok(())));
        room.give(Msg::Tick);
        room
    }

    /// Gives a message, and answers every load it leads to.
    pub fn give(&mut self, msg: Msg) {
        let mut waiting = vec![msg];
        while let Some(msg) = waiting.pop() {
            for effect in update(&mut self.state, self.now, msg) {
                match (effect, self.answer) {
                    (Effect::Load(id, want), Some(answer)) => {
                        waiting.push(Msg::Loaded(id, Box::new(Ok(answer(&want)))));
                    }
                    (Effect::Load(id, _), None) => {
                        let gone = opsroom::base::Fault::unavailable("no agent answers").why("connection refused");
                        waiting.push(Msg::Loaded(id, Box::new(Err(gone))));
                    }
                    (Effect::Perform(id, envelope), _) => {
                        self.last_request = id;
                        self.performed.push(envelope);
                    }
                    (Effect::Copy(text), _) => self.copied.push(text),
                    (Effect::Export(job), _) => self.exported.push(*job),
                    (Effect::Quit, _) => self.quit = true,
                    _ => {}
                }
            }
        }
    }

    pub fn wait(&mut self, micros: i64) {
        self.now = Timestamp(self.now.0 + micros);
        self.give(Msg::Tick);
    }

    /// Presses keys a person's pace apart: `j`, `G`, `enter`, `ctrl-d`.
    pub fn keys(&mut self, keys: &str) {
        for text in keys.split_whitespace() {
            for key in Key::parse_sequence(text).unwrap() {
                self.now = Timestamp(self.now.0 + 150_000);
                self.give(Msg::Key(key));
            }
        }
    }

    pub fn types(&mut self, text: &str) {
        for c in text.chars() {
            self.now = Timestamp(self.now.0 + 100_000);
            self.give(Msg::Key(Key::plain(Code::Char(c))));
        }
    }

    /// The terminal has shown the sheet, and the person has looked at it.
    pub fn look_at_sheet(&mut self) {
        let token = self.state.sheet().expect("a sheet is open").token();
        self.give(Msg::Drawn(token));
        self.wait(ARMING_US + 1);
    }

    pub fn draw(&mut self) -> Buffer {
        self.draw_in(&Theme::shipped("dark", Depth::True).unwrap())
    }

    pub fn draw_in(&mut self, theme: &Theme) -> Buffer {
        let area = Rect::new(0, 0, self.state.size.0, self.state.size.1);
        let mut buffer = Buffer::empty(area);
        view(&self.state, &mut self.scroll, theme, area, &mut buffer);
        buffer
    }

    pub fn text(&mut self) -> String {
        text_of(&self.draw())
    }
}

pub fn text_of(buffer: &Buffer) -> String {
    let area = buffer.area;
    let line = |y| -> String {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..area.width {
            let symbol = buffer[(x, y)].symbol();
            if skip == 0 {
                line.push_str(symbol);
                skip = unicode_width::UnicodeWidthStr::width(symbol).max(1);
            }
            skip -= 1;
        }
        line.trim_end().to_owned()
    };
    (0..area.height).map(line).collect::<Vec<_>>().join("\n")
}

pub const UNICODE: Glyphs = glyph::UNICODE;
pub const ASCII: Glyphs = glyph::ASCII;

fn ago(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 - seconds * 1_000_000)
}

fn map<V: Clone>(pairs: &[(&str, V)]) -> BTreeMap<String, V> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
}

const NAMES: [&str; 8] = [
    "live-lark-42",
    "geo_v3 retry",
    "stalled-mole-3",
    "calm-heron-729",
    "tidy-lynx-803",
    "日本語-run-🚀",
    "keen\u{202e}wolf",
    "amber-fox",
];

pub fn run(i: usize) -> Run {
    let status = match i {
        0 | 2 => RunStatus::Running,
        3 => RunStatus::Failed,
        4 => RunStatus::Killed,
        _ => RunStatus::Finished,
    };
    let started = ago(5_400 * (i as i64 + 1));
    let last = if i == 0 { ago(1) } else { Timestamp(started.0 + 3_000_000_000) };
    let latest = |value| Latest { value, step: 1000 * (i as i64 + 1), at: last, count: 600 };
    let loss = if i == 3 { f64::NAN } else { 0.15 + 0.003 * i as f64 };
    Run {
        id: format!("{:032x}", 0xa81f_0e20_u128 + i as u128),
        name: if i < NAMES.len() { NAMES[i].into() } else { format!("sweep-{i:03}") },
        experiment: if i % 4 == 3 { "flights-trees" } else { "flight-delay" }.into(),
        status,
        user: "kim".into(),
        started,
        ended: (status != RunStatus::Running).then_some(Timestamp(started.0 + 3_600_000_000)),
        params: map(&[
            ("lr", ["0.001", "0.0005", "3e-4"][i % 3].into()),
            ("batch_size", "1024".into()),
            ("penalty", "l2".into()),
        ]),
        metrics: map(&[
            ("val_loss", latest(loss)),
            ("val_auc", latest(0.94 - 0.001 * i as f64)),
            ("system/cpu", latest(91.0)),
        ]),
        tags: map(&[
            ("mlflow.user", "kim".into()),
            ("mlflow.source.git.commit", "a81f0e2b".into()),
            ("team", "risk".into()),
        ]),
        inputs: vec![data()],
        models: vec![format!("m-{:032x}", 0x77_u128 + i as u128)],
        artifact_uri: "mlflow-artifacts:/1/a/artifacts".into(),
        host: None,
    }
}

fn data() -> Input {
    Input {
        name: "nycflights-jan-feb".into(),
        digest: "9f2c81aa".into(),
        context: "training".into(),
        source: "nycflights13".into(),
    }
}

fn version(number: u32, stage: Stage, days: i64, reason: &str) -> Version {
    let came = run(number as usize % 8);
    let mut moves = vec![Move { at: ago(days * 86_400), stage: Some(stage), by: "lee".into(), reason: reason.into() }];
    if stage == Stage::Archived {
        moves.push(Move {
            at: ago(days * 86_400 + 9_000_000),
            stage: Some(Stage::Prod),
            by: "lee".into(),
            reason: "geo fix".into(),
        });
    }
    Version {
        number,
        stage,
        aliases: if stage == Stage::Prod { vec!["champion".into()] } else { Vec::new() },
        run: Some(came.id),
        run_name: Some(came.name),
        source: format!("models:/m-{number:032x}"),
        digest: Some("blake3:1f9c8872ac".into()),
        size: Some(412 << 20),
        files: Some(3),
        created: ago((days + 1) * 86_400),
        by: "ci".into(),
        description: String::new(),
        inputs: vec![data()],
        params: map(&[
            ("lr", if number.is_multiple_of(2) { "0.001" } else { "0.0005" }.into()),
            ("penalty", "l2".into()),
        ]),
        metrics: map(&[("val_auc", 0.90 + f64::from(number) / 1000.0), ("brier", 0.11)]),
        tags: BTreeMap::new(),
        moves,
    }
}

/// Every move as an entry of the history, and an alias, newest first.
fn history(versions: &[Version]) -> Vec<Event> {
    let moves = versions.iter().flat_map(|v| {
        v.moves.iter().map(|m| Event {
            at: m.at,
            version: v.number,
            what: m.stage.map_or(Happened::Deleted, Happened::Stage),
            by: m.by.clone(),
            reason: m.reason.clone(),
            audit: Some(i64::from(v.number) + 340),
        })
    });
    let aliases = versions.iter().flat_map(|v| {
        v.aliases.iter().map(|a| Event {
            at: v.moves[0].at,
            version: v.number,
            what: Happened::Alias(a.clone()),
            by: "kim".into(),
            reason: String::new(),
            audit: None,
        })
    });
    let mut all: Vec<Event> = moves.chain(aliases).collect();
    all.sort_by_key(|e| std::cmp::Reverse(e.at));
    all
}

/// The registry as it stood: v41 was in prod, and v42 to v44 were not there yet.
pub fn models_then() -> Vec<Model> {
    let mut models = models();
    models.retain(|m| m.name == "flight-delay");
    for model in &mut models {
        model.versions.retain(|v| v.number <= 41);
        model.versions[0].stage = Stage::Prod;
        model.history.retain(|e| e.version <= 41);
    }
    models
}

fn card(model: &str, version: u32) -> Card {
    let file = |path: &str, size, digest: &str| CardFile { path: path.into(), size, digest: Some(digest.into()) };
    Card {
        model: model.into(),
        version,
        files: vec![
            file("MLmodel", 1_204, "5e1f00aa11bb22cc"),
            file("model.json", 8_812, &format!("{version:016x}")),
            file("README.md", 640, "77aa00aa11bb22cc"),
        ],
        inputs: ["hour long", "distance double", "carrier string?"].map(String::from).into(),
        outputs: vec!["score double".into()],
        flavors: vec!["python_function".into(), "sklearn".into()],
        readme: format!(
            "# flight-delay\nScore: the probability of an arrival 15 minutes late.\nLearned by v{version}.\nNot for other airports."
        ),
        note: String::new(),
    }
}

pub fn models() -> Vec<Model> {
    let model = |name: &str, generation, versions: Vec<Version>| Model {
        name: name.into(),
        description: String::new(),
        generation,
        history: history(&versions),
        versions,
        tags: BTreeMap::new(),
    };
    vec![
        model("churn-daily", 7, vec![version(2, Stage::Dev, 1, "first try")]),
        model(
            "flight-delay",
            118,
            vec![
                version(44, Stage::Dev, 0, "registered by CI"),
                version(43, Stage::Staging, 2, "beats v42 on the evaluation set"),
                version(42, Stage::Prod, 12, "q4 refresh"),
                version(41, Stage::Archived, 30, "replaced by v42"),
                version(40, Stage::Archived, 200, "replaced by v41"),
            ],
        ),
    ]
}

fn record(seq: i64) -> Record {
    let refused = seq % 5 == 3;
    Record {
        seq,
        at: ago((400 - seq) * 700),
        actor: ["kim", "lee", "ci"][(seq % 3) as usize].into(),
        verified: seq % 3 != 2,
        via: ["tui", "cli", "api"][(seq % 3) as usize].into(),
        action: "set-stage".into(),
        target: format!("flight-delay v{}", 40 + seq % 4),
        from: "staging".into(),
        to: "prod".into(),
        ok: !refused,
        result: if refused { "prod needs a reason".into() } else { "ok".into() },
        reason: "better on the evaluation set".into(),
        before: serde_json::json!({"model": "flight-delay", "stage": "staging"}),
        after: serde_json::json!({"model": "flight-delay", "stage": "prod"}),
        generation: Some(118),
        idempotency_key: Some("tui-7c1e-1-0".into()),
        previous: "51ae09".into(),
        digest: "9b02ff".into(),
        link: Some(Link::Model { name: "flight-delay".into(), version: Some((40 + seq % 4) as u32) }),
        erased: false,
    }
}

fn window<T>(offset: usize, limit: usize, total: usize, row: impl Fn(usize) -> T) -> Window<T> {
    let end = (offset + limit).min(total);
    Window { offset, total, rows: (offset.min(end)..end).map(row).collect() }
}

pub fn curve(id: &str, key: &str, points: usize) -> Curve {
    let seed = id.bytes().map(usize::from).sum::<usize>();
    let point = |p: usize| {
        let share = p as f64 / points as f64;
        let wave = (((p * 7919 + seed * 31) % 100) as f64 / 100.0 - 0.5) * 0.01;
        let value =
            if key.contains("loss") { 0.15 + 0.3 * (-share * 4.0).exp() } else { 0.94 - 0.3 * (-share * 5.0).exp() };
        Point {
            step: (share * 60_000.0) as i64,
            at: Timestamp(ago(5_400).0 + (share * 3e9) as i64),
            value: value + wave,
        }
    };
    Curve { run: id.into(), key: key.into(), points: (0..points).map(point).collect(), not_finite: 0 }
}

fn status() -> Status {
    Status {
        context: "prod".into(),
        user: "kim".into(),
        role: "operator".into(),
        tracking_uri: "http://127.0.0.1:6270".into(),
        router: String::new(),
        read_only: None,
    }
}

pub fn answer(want: &Want) -> Page {
    match want {
        Want::Status => Page::Status(status()),
        Want::Experiments => {
            let one = |id: &str, name: &str| Experiment { id: id.into(), name: name.into() };
            Page::Experiments(vec![one("1", "flight-delay"), one("2", "flights-trees")])
        }
        Want::Runs(w) if w.within.is_some() => Page::Runs(window(w.offset, w.limit, 7, |i| run(i * 3))),
        Want::Runs(w) => Page::Runs(window(w.offset, w.limit, 418, run)),
        Want::RunGroups(want) => Page::RunGroups(groups(want)),
        Want::Run(id) => Page::Run(Box::new((0..418).map(run).find(|r| r.id == *id).unwrap_or_else(|| run(0)))),
        Want::Curves { of, points } => Page::Curves(of.iter().map(|(run, key)| curve(run, key, *points)).collect()),
        Want::Artifacts { path, .. } => Page::Artifacts(artifacts(path)),
        Want::Tail { path, .. } => {
            let text = (1..200).map(|i| format!("epoch {i} loss {:.3}\n", 1.0 / f64::from(i))).collect();
            Page::Preview(Preview { path: path.clone(), text, note: String::new() })
        }
        Want::Logged(ids) => {
            let one = |id: &String| Logged {
                id: id.clone(),
                name: "model".into(),
                kind: "sklearn".into(),
                status: "ready".into(),
                metrics: vec![("auc".into(), 0.94)],
            };
            Page::Logged(ids.iter().map(one).collect())
        }
        Want::Preview { path, .. } => {
            Page::Preview(Preview { path: path.clone(), text: "{\n  \"auc\": 0.941\n}".into(), note: "17 B".into() })
        }
        Want::Models => Page::Models(models()),
        Want::Gates { model, version, stage } => Page::Gates(Box::new(decision(model, *version, *stage, Judged::Pass))),
        Want::Audit(w) => Page::Audit(window(w.offset, w.limit, 400, |i| record(400 - i as i64))),
        Want::Compared(ids) => {
            Page::Compared(ids.iter().filter_map(|id| (0..418).map(run).find(|r| r.id == *id)).collect())
        }
        Want::Fleet { .. } | Want::Incidents | Want::Incident(_) | Want::Live(_) | Want::Feature { .. } => {
            super::tui_fleet::nothing(want).unwrap()
        }
        Want::Services { .. } => Page::Services(Vec::new()),
        Want::Service { .. } => super::tui_rollouts::answer(want).unwrap(),
        Want::Cost(_) | Want::Readiness => super::tui_cost::answer(want).unwrap(),
        Want::Noise(_) => Page::Noise(noises()),
        Want::Around(_) => Page::Around(BTreeMap::new()),
        Want::Measured | Want::Standing => super::tui_gates::answer(want).unwrap(),
        Want::Origin { .. } => super::tui_data::origin(),
        Want::Datasets | Want::Profile(_) | Want::DataDiff { .. } => super::tui_data::answer(want).unwrap(),
        Want::ModelsAt(_) => Page::Models(models_then()),
        Want::Card { model, version, .. } => Page::Card(Box::new(card(model, *version))),
        Want::Verify => Page::Verify(Verdict { records: 398, broken: None, first_bad: None, erased: 0, heads: 3 }),
    }
}

/// Many runs of two setups: no noise is known of the machine's own figures.
fn noises() -> Noises {
    let of = |key: &str, sigma| (key.to_owned(), Noise { sigma, freedom: 40, groups: 2, runs: 42 });
    Noises::from([of("val_auc", 0.0004), of("val_loss", 0.002)])
}

/// Two gates: the first passes, the second says what is given.
pub fn decision(model: &str, version: u32, stage: Stage, second: Judged) -> Decision {
    let finding = |name: &str, verdict, why: &str| Finding {
        name: name.into(),
        kind: "metric".into(),
        verdict,
        observed: serde_json::Value::Null,
        bound: String::new(),
        why: why.into(),
        next: String::new(),
        rows_missing: None,
        waived: None,
        slices: Vec::new(),
    };
    Decision {
        id: 0,
        at: NOW,
        model: model.into(),
        version,
        stage,
        verdict: second,
        ungated: false,
        gates: vec![
            finding("offline-auc", Judged::Pass, "auc 0.943 >= 0.935"),
            finding("slice-floor", second, "country=BR 0.402, wanted >= 0.750"),
        ],
        by: String::new(),
        digest: String::new(),
        case: None,
    }
}

/// The first sixty runs put together as the agent would.
fn groups(want: &opsroom::tui::msg::GroupsWant) -> opsroom::capability::tracking::RunGroups {
    use opsroom::capability::tracking::{GroupBy, groups::Grouping};
    let mut grouping = Grouping::default();
    for run in (0..60).map(run) {
        let value = match &want.by {
            GroupBy::Experiment => Some(run.experiment.as_str()),
            GroupBy::Parent => run.tags.get("mlflow.parentRunId").map(String::as_str),
            GroupBy::Param(key) => run.params.get(key).map(String::as_str),
            GroupBy::Tag(key) => run.tags.get(key).map(String::as_str),
        };
        let group = grouping.add(value, run.status, run.started);
        for key in &want.metrics {
            if let Some(latest) = run.metrics.get(key) {
                group.metrics.entry(key.clone()).or_default().add(latest.value);
            }
        }
    }
    grouping.finish(&want.by)
}

fn artifacts(path: &str) -> Vec<Artifact> {
    let one = |path: &str, size| Artifact { path: path.into(), is_dir: size == 0, size: (size > 0).then_some(size) };
    match path {
        "" => vec![one("logs", 0), one("model", 0), one("metrics.json", 812)],
        "logs" => vec![one("logs/console.log", 9_000)],
        _ => vec![one("model/MLmodel", 1_200), one("model/model.pkl", 88 << 20)],
    }
}

/// Names of 500 characters, emoji, text from right to left, thousands of params, and a metric full of NaN.
pub fn hostile(want: &Want) -> Page {
    let long = "a-name-that-does-not-end-".repeat(20);
    let mut run = run(0);
    run.name = format!("{long}🚀");
    run.params
        .extend((0..5_000).map(|i| (format!("param-{i:04}-{}", &long[..i % 500]), format!("value of {}", i + 1))));
    for (key, value) in [
        ("👩‍🚀 crew", "👨‍👩‍👧‍👦 ❤️"),
        ("שלום", "مرحبا بالعالم"),
        ("\u{1b}[2J", "\u{202e}evil"),
        ("e\u{301}\u{301}\u{301}", "日本語"),
    ] {
        run.params.insert(key.into(), value.into());
        run.tags.insert(key.into(), value.into());
    }
    let nan = Latest { value: f64::NAN, step: 9, at: NOW, count: 1_000_000 };
    run.metrics.insert("!all nan ❤️".into(), nan);
    run.metrics.insert(long, nan);
    match want {
        Want::Runs(_) => Page::Runs(Window { offset: 0, total: 1, rows: vec![run] }),
        Want::Run(_) => Page::Run(Box::new(run)),
        Want::Curves { of, points } => Page::Curves(
            of.iter()
                .map(|(id, key)| {
                    let mut curve = curve(id, key, *points);
                    if !key.contains("val") {
                        curve.points.iter_mut().for_each(|p| p.value = f64::NAN);
                        curve.not_finite = 1_000_000;
                    }
                    curve
                })
                .collect(),
        ),
        other => answer(other),
    }
}

/// An agent with nothing in it.
pub fn nothing(want: &Want) -> Page {
    match want {
        Want::Runs(_) => Page::Runs(Window::default()),
        Want::Models => Page::Models(Vec::new()),
        Want::Datasets => Page::Datasets(Vec::new()),
        Want::Measured => Page::Measured(Box::default()),
        Want::Audit(_) => Page::Audit(Window::default()),
        Want::Experiments => Page::Experiments(Vec::new()),
        other => answer(other),
    }
}
