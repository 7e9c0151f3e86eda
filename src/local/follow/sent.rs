//! What a run has more than was sent of it, and sending that.

use std::collections::{BTreeMap, HashSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::base::fault::Result;
use crate::base::id::{ModelId, RunId};
use crate::capability::tracking::points::Point;
use crate::capability::tracking::{DatasetInput, RunView};
use crate::client::Client;
use crate::local::found::TakenRun;

const METRICS_A_REQUEST: usize = 1000;
const TEXTS_A_REQUEST: usize = 100;

/// What was sent of a run that goes on.
pub(super) struct Sent {
    pub mark: u128,
    /// Of each series; none: some of it is here, and the agent knows which points.
    points: BTreeMap<String, Option<Course>>,
    params: HashSet<String>,
    tags: BTreeMap<String, String>,
    /// Name and digest.
    datasets: HashSet<(String, String)>,
    used: HashSet<ModelId>,
    made: HashSet<ModelId>,
}

/// So many points of a series, and a digest of them in their order.
#[derive(Debug, Clone, Copy)]
struct Course {
    count: usize,
    digest: blake3::Hash,
}

impl Sent {
    /// Some of what is missing may have arrived, or not: what is here is to be looked at.
    pub fn doubt(&mut self) {
        self.points.values_mut().for_each(|course| *course = None);
    }
}

/// Sends what a run has more than was sent before.
pub(super) async fn send(client: &Client, run: &TakenRun, before: &Sent) -> Result<()> {
    let id = run.run.id;
    for batch in batches(run, before, &unsent(client, run, before).await?) {
        let body = with_run(batch, id);
        client.mlflow(Method::POST, "/api/2.0/mlflow/runs/log-batch", &body).await?;
    }
    let new = |input: &&DatasetInput| !before.datasets.contains(&(input.name.clone(), input.digest.clone()));
    let datasets: Vec<Value> = run.run.inputs.iter().filter(new).map(dataset).collect();
    let used = run.run.model_inputs.iter().filter(|id| !before.used.contains(id));
    let used: Vec<Value> = used.map(|id| json!({ "model_id": id.to_string() })).collect();
    if !datasets.is_empty() || !used.is_empty() {
        let body = with_run(json!({ "datasets": datasets, "models": used }), id);
        client.mlflow(Method::POST, "/api/2.0/mlflow/runs/log-inputs", &body).await?;
    }
    let made = run.run.model_outputs.iter().filter(|o| !before.made.contains(&o.model_id));
    let made: Vec<Value> = made.map(|o| json!({ "model_id": o.model_id.to_string(), "step": o.step })).collect();
    if !made.is_empty() {
        let body = with_run(json!({ "models": made }), id);
        client.mlflow(Method::POST, "/api/2.0/mlflow/runs/outputs", &body).await?;
    }
    let mut stands = json!({ "status": run.run.status.name() });
    if let Some(end) = run.run.end_ms {
        stands["end_time"] = end.into();
    }
    client.mlflow(Method::POST, "/api/2.0/mlflow/runs/update", &with_run(stands, id)).await?;
    Ok(())
}

fn with_run(mut body: Value, id: RunId) -> Value {
    body["run_id"] = id.to_string().into();
    body
}

fn dataset(input: &DatasetInput) -> Value {
    let tags: Vec<Value> = input.tags.iter().map(|(k, v)| json!({ "key": k, "value": v })).collect();
    let mut dataset = json!({
        "name": input.name, "digest": input.digest, "source_type": input.source_type, "source": input.source,
    });
    let more = [("schema", &input.schema), ("profile", &input.profile)];
    for (field, text) in more.into_iter().filter_map(|(field, text)| Some((field, text.as_ref()?))) {
        dataset[field] = text.as_str().into();
    }
    json!({ "dataset": dataset, "tags": tags })
}

pub(super) fn sent(run: &TakenRun, mark: u128) -> Sent {
    let course = |points: &[Point]| Some(Course { count: points.len(), digest: digest(points) });
    Sent {
        mark,
        points: run.series.iter().map(|(k, p)| (k.clone(), course(p))).collect(),
        params: run.run.params.iter().map(|(k, _)| k.to_string()).collect(),
        tags: run.run.tags.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        datasets: run.run.inputs.iter().map(|i| (i.name.clone(), i.digest.clone())).collect(),
        used: run.run.model_inputs.iter().copied().collect(),
        made: run.run.model_outputs.iter().map(|o| o.model_id).collect(),
    }
}

/// What is here of a run that an earlier process sent.
pub(super) fn sent_before(run: &RunView) -> Sent {
    Sent {
        // No mark is 0: the next look sends the difference.
        mark: 0,
        points: run.metrics.keys().map(|k| (k.clone(), None)).collect(),
        params: run.params.keys().cloned().collect(),
        tags: run.tags.clone(),
        datasets: run.inputs.iter().map(|i| (i.name.clone(), i.digest.clone())).collect(),
        used: HashSet::new(),
        made: run.models.iter().copied().collect(),
    }
}

fn digest(points: &[Point]) -> blake3::Hash {
    let mut digest = blake3::Hasher::new();
    for point in points {
        let (step, timestamp, value) = bits(point);
        digest.update(&step.to_le_bytes()).update(&timestamp.to_le_bytes()).update(&value.to_le_bytes());
    }
    digest.finalize()
}

fn bits(point: &Point) -> (i64, i64, u64) {
    (point.step, point.timestamp, point.value.to_bits())
}

/// The points that have not been sent, by metric. A series usually grows at its end; servers of MLflow's order points by
/// time, so one that comes late, or from a machine whose clock is behind, stands among the others, and what is here is asked
/// for.
async fn unsent(client: &Client, run: &TakenRun, before: &Sent) -> Result<BTreeMap<String, Vec<Point>>> {
    let mut new = BTreeMap::new();
    for (key, points) in &run.series {
        let sent = match before.points.get(key) {
            None => Some(0),
            Some(course) => course
                .and_then(|c| Some((c, points.get(..c.count)?)))
                .and_then(|(c, head)| (digest(head) == c.digest).then_some(c.count)),
        };
        let points = if let Some(count) = sent {
            points[count..].to_vec()
        } else {
            let here: HashSet<_> = client.points(run.run.id, key).await?.iter().map(bits).collect();
            points.iter().filter(|p| !here.contains(&bits(p))).copied().collect()
        };
        new.insert(key.clone(), points);
    }
    Ok(new)
}

/// What a run has more than was sent, in requests of the sizes that are taken.
fn batches(run: &TakenRun, before: &Sent, points: &BTreeMap<String, Vec<Point>>) -> Vec<Value> {
    let mut metrics = Vec::new();
    for (key, points) in points {
        for p in points {
            let value = crate::base::number::word(p.value).map_or_else(|| json!(p.value), Into::into);
            metrics.push(json!({ "key": key, "value": value, "timestamp": p.timestamp, "step": p.step }));
        }
    }
    let text = |k: &str, v: &str| json!({ "key": k, "value": v });
    let params = run.run.params.iter().filter(|(k, _)| !before.params.contains(k.as_str()));
    let params: Vec<Value> = params.map(|(k, v)| text(&k, v)).collect();
    let tags =
        run.run.tags.iter().filter(|(k, v)| before.tags.get(k.as_str()).is_none_or(|b| b.as_str() != v.as_str()));
    let tags: Vec<Value> = tags.map(|(k, v)| text(&k, v)).collect();
    let metrics = metrics.chunks(METRICS_A_REQUEST).map(|c| json!({ "metrics": c }));
    let params = params.chunks(TEXTS_A_REQUEST).map(|c| json!({ "params": c }));
    let tags = tags.chunks(TEXTS_A_REQUEST).map(|c| json!({ "tags": c }));
    metrics.chain(params).chain(tags).collect()
}
