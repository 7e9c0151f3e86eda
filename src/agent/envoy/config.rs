//! A route table in Envoy's words: one document of clusters (CDS), one of routes (RDS), each with the table's generation as
//! its version, so that Envoy can say which one it serves by.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::capability::rollout::split::BUCKETS;
use crate::capability::rollout::{Arm, Limits, Route, RouteTable, StickyKey};

/// The name of the routes: an Envoy's `route_config_name`.
pub const ROUTES: &str = "opsroom";

/// A version's cluster; its counts carry this name.
pub fn cluster_name(service: &str, version: u32) -> String {
    format!("{service}_v{version}")
}

/// What [`cluster_name`] was made of.
pub fn named(cluster: &str) -> Option<(&str, u32)> {
    let (service, version) = cluster.rsplit_once("_v")?;
    Some((service, version.parse().ok()?))
}

/// All clusters that any of these tables names. While one table follows another both are known, so that no route ever
/// leads nowhere.
pub fn clusters(tables: [&RouteTable; 2]) -> Value {
    let mut all = BTreeMap::new();
    for route in tables.into_iter().flat_map(|t| &t.routes) {
        for arm in route.arms() {
            all.insert(cluster_name(&route.service, arm.version), cluster(route, arm));
        }
    }
    let generation = tables.iter().map(|t| t.generation).max().unwrap_or_default();
    let all: Vec<Value> = all.into_values().collect();
    json!({ "version_info": generation.to_string(), "resources": all })
}

/// The routes of one table.
pub fn routes(table: &RouteTable) -> Value {
    let routes: Vec<Value> = table.routes.iter().flat_map(route).collect();
    json!({
        "version_info": table.generation.to_string(),
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": ROUTES,
            "virtual_hosts": [{ "name": "models", "domains": ["*"], "routes": routes }],
        }],
    })
}

fn cluster(route: &Route, arm: &Arm) -> Value {
    let addresses: Vec<(&str, u16)> = arm.urls.iter().filter_map(|url| address(url)).collect();
    let fixed = addresses.iter().all(|(host, _)| host.parse::<IpAddr>().is_ok());
    let endpoint = |(host, port): &(&str, u16)| {
        let host = host.trim_matches(['[', ']']);
        json!({ "endpoint": { "address": { "socket_address": { "address": host, "port_value": port } } } })
    };
    let name = cluster_name(&route.service, arm.version);
    let mut cluster = json!({
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": if fixed { "STATIC" } else { "STRICT_DNS" },
        "connect_timeout": milliseconds(route.limits.connect_timeout_ms),
        "circuit_breakers": { "thresholds": [{
            "max_requests": route.limits.requests_max,
            "max_pending_requests": route.limits.requests_max,
            "max_connections": route.limits.requests_max,
        }] },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>() }],
        },
    });
    if let Some(path) = &arm.health {
        cluster["health_checks"] = json!([{
            "timeout": "2s", "interval": "2s", "no_traffic_interval": "2s",
            "unhealthy_threshold": 2, "healthy_threshold": 1,
            "http_health_check": { "path": path },
        }]);
    }
    cluster
}

/// Host and port of `http://HOST[:PORT]`.
fn address(url: &str) -> Option<(&str, u16)> {
    let host = url.strip_prefix("http://")?.split('/').next()?;
    match host.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => Some((host, port.parse().ok()?)),
        _ => Some((host, 80)),
    }
}

fn milliseconds(ms: u64) -> String {
    format!("{}.{:03}s", ms / 1000, ms % 1000)
}

/// A service below its name, and its name alone.
fn route(route: &Route) -> [Value; 2] {
    let action = action(route);
    let below = json!({ "match": { "prefix": format!("/{}/", route.service) }, "route": action });
    let alone = json!({ "match": { "path": format!("/{}", route.service) }, "route": action });
    [below, alone]
}

fn action(route: &Route) -> Value {
    // The candidate first: a caller's number below its weight stays below when the weight is raised.
    let candidate = route.candidate.as_ref().filter(|_| route.weight > 0).map(|arm| share(route, arm, route.weight));
    let stable = BUCKETS.saturating_sub(if candidate.is_some() { route.weight } else { 0 });
    let stable = (stable > 0).then(|| share(route, &route.stable, stable));
    let shares: Vec<Value> = candidate.into_iter().chain(stable).collect();
    let mut action = json!({
        "prefix_rewrite": "/",
        "timeout": milliseconds(route.limits.timeout_ms),
        "retry_policy": retry(&route.limits),
        "weighted_clusters": { "clusters": shares },
    });
    let key = match &route.key {
        StickyKey::Header(name) => Some(json!({ "header": { "header_name": name } })),
        StickyKey::Cookie(name) => Some(json!({ "cookie": { "name": name } })),
        StickyKey::Json(_) | StickyKey::None => None,
    };
    if let Some(key) = key {
        action["hash_policy"] = json!([key]);
        action["weighted_clusters"]["use_hash_policy"] = json!(true);
    }
    action
}

/// Only what cannot have reached a model: a connection that was refused.
fn retry(limits: &Limits) -> Value {
    let on = if limits.retry_post { "connect-failure,refused-stream,reset" } else { "connect-failure,refused-stream" };
    json!({ "retry_on": on, "num_retries": 1 })
}

fn share(route: &Route, arm: &Arm, weight: u16) -> Value {
    let set = |key: &str, value: &str, action: &str| json!({ "header": { "key": key, "value": value }, "append_action": action });
    let version = arm.version.to_string();
    let (always, absent) = ("OVERWRITE_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT");
    json!({
        "name": cluster_name(&route.service, arm.version),
        "weight": weight,
        "request_headers_to_add": [
            set("x-opsroom-version", &version, always),
            set("x-opsroom-prediction-id", "%REQ(x-request-id)%", absent),
        ],
        "response_headers_to_add": [
            set("x-opsroom-model", &route.model, always),
            set("x-opsroom-version", &version, always),
            set("x-opsroom-prediction-id", "%REQ(x-opsroom-prediction-id)%", always),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(generation: i64, candidate: Option<u32>, weight: u16) -> RouteTable {
        let arm = |version: u32| json!({ "version": version, "urls": [format!("http://127.0.0.1:900{version}")] });
        let route = json!({
            "service": "delay", "model": "m", "protocol": "json", "key": "header:x-user", "salt": "s",
            "stable": arm(1), "candidate": candidate.map(arm), "weight": weight,
        });
        RouteTable { generation, routes: vec![serde_json::from_value(route).unwrap()] }
    }

    #[test]
    fn weights_come_to_the_whole_and_the_candidate_stands_first() {
        let routes = routes(&table(7, Some(2), 500));
        assert_eq!(routes["version_info"], "7");
        let action = &routes["resources"][0]["virtual_hosts"][0]["routes"][0]["route"];
        let shares = action["weighted_clusters"]["clusters"].as_array().unwrap();
        let weights: Vec<(&str, u64)> =
            shares.iter().map(|s| (s["name"].as_str().unwrap(), s["weight"].as_u64().unwrap())).collect();
        assert_eq!(weights, [("delay_v2", 500), ("delay_v1", 9500)]);
        assert_eq!(action["weighted_clusters"]["use_hash_policy"], true);
    }

    #[test]
    fn while_one_table_follows_another_the_clusters_of_both_are_known() {
        let clusters = clusters([&table(8, None, 0), &table(7, Some(2), 500)]);
        assert_eq!(clusters["version_info"], "8");
        let names: Vec<&str> =
            clusters["resources"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["delay_v1", "delay_v2"]);
    }

    #[test]
    fn names_and_addresses_are_read_back() {
        assert_eq!(named("a_v2_v13"), Some(("a_v2", 13)));
        assert_eq!(named("admin"), None);
        assert_eq!(address("http://10.0.0.1:9001"), Some(("10.0.0.1", 9001)));
        assert_eq!(address("http://models.internal"), Some(("models.internal", 80)));
        assert_eq!(address("http://[::1]:9001"), Some(("[::1]", 9001)));
        assert_eq!(address("http://[::1]"), Some(("[::1]", 80)));
    }
}
