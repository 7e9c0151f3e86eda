//! What an Envoy's admin interface tells: which generation it serves by, and what its clusters have answered so far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::{ROUTES, named};
use crate::base::Timestamp;
use crate::base::stats::sketch::Sketch;
use crate::capability::monitoring::{ArmRole, TrafficWindow};
use crate::capability::rollout::RouteTable;

/// A filter of `/stats`: what [`Told`] reads.
pub const TOLD: &str = "version_text|warming_clusters|update_rejected";
/// A filter of `/stats/prometheus`: what [`totals`] reads.
pub const TOTALS: &str = "upstream_rq_.xx|upstream_rq_time";

/// The names and values of `/stats`.
pub struct Told(BTreeMap<String, String>);

impl Told {
    pub fn read(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.rsplit_once(": "));
        Self(lines.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect())
    }

    /// All clusters of this generation are ready to be used.
    pub fn has_clusters(&self, generation: i64) -> bool {
        let is = |name: &str, value: &str| self.0.get(name).is_some_and(|v| v == value);
        is("cluster_manager.cds.version_text", &generation.to_string()) && is("cluster_manager.warming_clusters", "0")
    }

    /// Every listener that asks for our routes serves by this generation.
    pub fn has_routes(&self, generation: i64) -> bool {
        let mut versions = self.routes("version_text").peekable();
        versions.peek().is_some() && versions.all(|v| v == generation.to_string())
    }

    /// Why it does not serve by what was written.
    pub fn why_not(&self) -> String {
        let refused = |n: &str| n.parse::<u64>().is_ok_and(|n| n > 0);
        let clusters = self.0.get("cluster_manager.cds.update_rejected").is_some_and(|n| refused(n));
        if clusters || self.routes("update_rejected").any(refused) {
            return "it refused what was written: see its log".to_owned();
        }
        if self.routes("version_text").next().is_none() {
            return format!("it has no listener with route_config_name {ROUTES}: see config/envoy.yaml");
        }
        "it does not read the folder: is that the one it watches?".to_owned()
    }

    fn routes(&self, what: &str) -> impl Iterator<Item = &str> {
        let end = format!(".rds.{ROUTES}.{what}");
        self.0
            .iter()
            .filter(move |(name, _)| name.starts_with("http.") && name.ends_with(&end))
            .map(|(_, v)| v.as_str())
    }
}

/// What a cluster has answered since its Envoy began.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Total {
    pub requests: u64,
    pub errors: u64,
    /// Requests by bucket of their length, upper bound in milliseconds as it is written.
    pub times: BTreeMap<String, u64>,
}

/// By cluster.
pub type Totals = BTreeMap<String, Total>;

/// The counters of `/stats/prometheus`, of clusters that carry a version.
pub fn totals(text: &str) -> Totals {
    let mut all = Totals::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
        let label = |key: &str| {
            let from = labels.find(&format!("{key}=\""))? + key.len() + 2;
            labels[from..].split('"').next()
        };
        let Some(cluster) = label("envoy_cluster_name").filter(|c| named(c).is_some()) else { continue };
        let Ok(value) = value.trim().parse::<u64>() else { continue };
        match name {
            "envoy_cluster_upstream_rq_xx" => {
                let total = all.entry(cluster.to_owned()).or_default();
                total.requests += value;
                total.errors += if label("envoy_response_code_class") == Some("5") { value } else { 0 };
            }
            "envoy_cluster_upstream_rq_time_bucket" => {
                let Some(upper) = label("le") else { continue };
                all.entry(cluster.to_owned()).or_default().times.insert(upper.to_owned(), value);
            }
            _ => {}
        }
    }
    all
}

/// What came since `before`. An Envoy that began anew counts from nothing.
pub fn since(now: &Totals, before: &Totals) -> Totals {
    let mut grown = Totals::new();
    for (cluster, total) in now {
        let anew = Total::default();
        let before = before.get(cluster).filter(|b| b.requests <= total.requests).unwrap_or(&anew);
        let times = total
            .times
            .iter()
            .map(|(upper, n)| (upper.clone(), n.saturating_sub(before.times.get(upper).copied().unwrap_or_default())));
        let grew = Total {
            requests: total.requests - before.requests,
            errors: total.errors.saturating_sub(before.errors),
            times: times.collect(),
        };
        if grew.requests > 0 || grew.times.values().any(|n| *n > 0) {
            grown.insert(cluster.clone(), grew);
        }
    }
    grown
}

/// Windows of what came since, under the tables that it came by: the newest, else the one before.
pub fn windows(grown: &Totals, tables: [&RouteTable; 2], now: Timestamp) -> Vec<TrafficWindow> {
    let window = |(cluster, grew): (&String, &Total)| {
        let (service, version) = named(cluster)?;
        let routes = tables.iter().filter_map(|t| t.routes.iter().find(|r| r.service == service));
        let of_version = |r: &&crate::capability::rollout::Route| r.arms().any(|arm| arm.version == version);
        let route = routes.clone().find(of_version).or_else(|| routes.clone().next());
        let on_its_way = route.and_then(|r| r.candidate.as_ref()).is_some_and(|arm| arm.version == version);
        Some(TrafficWindow {
            service: service.to_owned(),
            version,
            arm: if on_its_way { ArmRole::Candidate } else { ArmRole::Stable },
            minute: now.0.div_euclid(60_000_000),
            weight: route.map_or(0, |r| r.weight),
            requests: grew.requests,
            errors: grew.errors,
            latency: latency(grew),
            differing: 0,
            last: now,
        })
    };
    grown.iter().filter_map(window).collect()
}

/// Envoy's buckets are wide (1, 5, 10, 25 ms …): each request counts as the middle of its own, by ratio.
fn latency(grew: &Total) -> Sketch {
    let mut bounds: Vec<(f64, u64)> =
        grew.times.iter().filter_map(|(upper, n)| Some((upper.trim_start_matches('+').parse().ok()?, *n))).collect();
    bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut sketch, mut lower, mut below) = (Sketch::default(), 0.0, 0);
    for (upper, up_to) in bounds {
        let middle = match (lower > 0.0, upper.is_finite()) {
            (true, true) => f64::sqrt(lower * upper),
            (true, false) => lower,
            (false, _) => upper / 2.0,
        };
        sketch.add_many(middle, up_to.saturating_sub(below));
        (lower, below) = (upper, up_to.max(below));
    }
    sketch
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PROMETHEUS: &str = "# TYPE envoy_cluster_upstream_rq_xx counter\n\
        envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"delay_v1\"} 101\n\
        envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"5\",envoy_cluster_name=\"delay_v1\"} 4\n\
        envoy_cluster_external_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"delay_v1\"} 101\n\
        envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"other\"} 9\n\
        envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"delay_v1\",le=\"0.5\"} 2\n\
        envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"delay_v1\",le=\"1\"} 10\n\
        envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"delay_v1\",le=\"+Inf\"} 11\n";

    #[test]
    fn counters_are_read_and_only_what_grew_counts() {
        let first = totals(PROMETHEUS);
        assert_eq!(first.keys().collect::<Vec<_>>(), ["delay_v1"]);
        assert_eq!((first["delay_v1"].requests, first["delay_v1"].errors), (105, 4));
        assert!(since(&first, &first).is_empty());
        let second = totals(&PROMETHEUS.replace("} 101", "} 103"));
        let grown = since(&second, &first);
        assert_eq!((grown["delay_v1"].requests, grown["delay_v1"].errors), (2, 0));
        // Begun anew: all that it tells is new.
        assert_eq!(since(&first, &second)["delay_v1"].requests, 105);
    }

    #[test]
    fn what_came_stands_under_the_table_that_it_came_by() {
        let arm = |version: u32| json!({ "version": version, "urls": [] });
        let table = |candidate: Option<u32>, weight: u16| RouteTable {
            generation: 1,
            routes: vec![
                serde_json::from_value(json!({
                    "service": "delay", "model": "m", "protocol": "json", "key": "none", "salt": "",
                    "stable": arm(2), "candidate": candidate.map(arm), "weight": weight,
                }))
                .unwrap(),
            ],
        };
        let grown = since(&totals(PROMETHEUS), &Totals::new());
        let of = |now: RouteTable| windows(&grown, [&now, &table(Some(1), 500)], Timestamp(61_000_000)).remove(0);
        let window = of(table(None, 0));
        assert_eq!((window.arm, window.weight, window.minute), (ArmRole::Candidate, 500, 1));
        assert_eq!(window.latency.count(), 11);
        let median = window.latency.quantile(0.5).unwrap();
        assert!((median - f64::sqrt(0.5)).abs() < 0.02, "{median}");
    }

    #[test]
    fn an_envoy_says_what_it_serves_by_or_why_not() {
        let text = "cluster_manager.cds.version_text: \"7\"\ncluster_manager.warming_clusters: 0\n\
                    http.models.rds.opsroom.version_text: \"6\"\nhttp.models.rds.opsroom.update_rejected: 0\n";
        let told = Told::read(text);
        assert!(told.has_clusters(7) && !told.has_clusters(8) && told.has_routes(6) && !told.has_routes(7));
        assert!(told.why_not().contains("does not read the folder"));
        assert!(Told::read(&text.replace("rejected: 0", "rejected: 1")).why_not().contains("refused"));
        assert!(Told::read("cluster_manager.cds.version_text: \"7\"").why_not().contains("route_config_name"));
        assert!(!Told::read(&text.replace("clusters: 0", "clusters: 1")).has_clusters(7));
    }
}
