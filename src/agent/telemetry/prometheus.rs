//! Prometheus' text form (0.0.4), in a stable order.

use std::fmt::Write;

use super::family::{BOUNDS, Buckets, Family, Kind, Labels, Value};

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes all families that have a sample.
pub fn text(families: &[Family]) -> String {
    let mut out = String::with_capacity(families.iter().map(|f| f.samples.len() * 150).sum());
    for family in families.iter().filter(|f| !f.samples.is_empty()) {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(out, "# HELP {} {}\n# TYPE {} {kind}", family.name, family.help, family.name);
        for sample in &family.samples {
            match &sample.value {
                Value::Number(value) => line(&mut out, family.name, "", &sample.labels, None, *value),
                Value::Latency(sketch) => {
                    let buckets = Buckets::of(sketch);
                    for (bound, n) in BOUNDS.iter().zip(buckets.up_to) {
                        line(&mut out, family.name, "_bucket", &sample.labels, Some(&bound.to_string()), n as f64);
                    }
                    line(&mut out, family.name, "_bucket", &sample.labels, Some("+Inf"), buckets.count as f64);
                    line(&mut out, family.name, "_sum", &sample.labels, None, buckets.sum);
                    line(&mut out, family.name, "_count", &sample.labels, None, buckets.count as f64);
                }
            }
        }
    }
    out
}

fn line(out: &mut String, name: &str, ending: &str, labels: &Labels, bound: Option<&str>, value: f64) {
    out.push_str(name);
    out.push_str(ending);
    let mut open = '{';
    let told = labels.iter().map(|(name, value)| (*name, value.as_str())).chain(bound.map(|b| ("le", b)));
    for (name, value) in told.filter(|(_, value)| !value.is_empty()) {
        out.push(open);
        open = ',';
        out.push_str(name);
        out.push_str("=\"");
        escape(out, value);
        out.push('"');
    }
    if open == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

fn escape(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            // Nothing else is forbidden, but a name must not drive the terminal of whoever reads it.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::{Subject, bounded};
    use super::*;
    use crate::base::clock::Stopwatch;
    use crate::base::stats::sketch::Sketch;

    fn subject(service: usize, version: usize) -> Subject {
        Subject {
            model: format!("flight-delay-{service:03}"),
            version: version.to_string(),
            service: format!("flight-delay-{service:03}"),
            stage: "prod".to_owned(),
        }
    }

    #[test]
    fn labels_are_escaped_and_empty_ones_left_out() {
        let mut family = Family::new("opsroom_x", Kind::Gauge, "X.");
        let odd = Subject { model: "a\"b\\c\nd|é\u{1b}".to_owned(), ..Subject::default() };
        family.put(odd.with("column", "c"), 0.5);
        family.put(Vec::new(), f64::NAN);
        family.put(Vec::new(), 3.0);
        assert_eq!(
            text(&[family]),
            "# HELP opsroom_x X.\n# TYPE opsroom_x gauge\n\
             opsroom_x{model_id=\"a\\\"b\\\\c\\nd|é\u{fffd}\",column=\"c\"} 0.5\nopsroom_x 3\n"
        );
    }

    #[test]
    fn a_histogram_counts_what_is_up_to_each_bound() {
        let mut sketch = Sketch::default();
        [3.0, 7.0, 70.0, 20_000.0].into_iter().for_each(|ms| sketch.add(ms));
        let mut family = Family::new("opsroom_s", Kind::Histogram, "S.");
        family.put_latency(Vec::new(), sketch);
        let told = text(&[family]);
        for line in
            ["{le=\"0.005\"} 1", "{le=\"0.01\"} 2", "{le=\"0.1\"} 3", "{le=\"10\"} 3", "{le=\"+Inf\"} 4", "_count 4"]
        {
            assert!(told.contains(line), "{line}\n{told}");
        }
        let sum: f64 = told.lines().find_map(|l| l.strip_prefix("opsroom_s_sum ")).unwrap().parse().unwrap();
        assert!((sum - 20.08).abs() < 0.21, "{sum}");
    }

    /// 200 services of three versions each with all that is ever told of one.
    fn many() -> Vec<Family> {
        let mut latency = Sketch::default();
        (1..=1000).for_each(|i| latency.add(f64::from(i) * 0.37));
        let mut families = Vec::new();
        let mut gauges = |name: &'static str, label: &'static str, values: usize| {
            let mut family = Family::new(name, Kind::Gauge, "A figure.");
            for (s, v) in (0..200).flat_map(|s| (1..=3).map(move |v| (s, v))) {
                for i in 0..values {
                    family.put(subject(s, v).with(label, format!("of_kind_{i}")), 0.123_456_789 + i as f64);
                }
            }
            families.push(family);
        };
        gauges("opsroom_requests_total", "role", 1);
        gauges("opsroom_quality", "metric", 8);
        gauges("opsroom_drift_psi", "column", 5);
        gauges("opsroom_cost_today", "part", 7);
        let mut histogram = Family::new("opsroom_request_duration_seconds", Kind::Histogram, "Latency.");
        for (s, v) in (0..200).flat_map(|s| (1..=3).map(move |v| (s, v))) {
            histogram.put_latency(subject(s, v).with("role", "stable"), latency.clone());
        }
        families.push(histogram);
        families
    }

    #[test]
    fn six_hundred_versions_are_told_at_once() {
        let families = many();
        let watch = Stopwatch::start();
        let told = text(&families);
        let took = watch.elapsed();
        assert!(told.len() < 5 << 20, "{} bytes", told.len());
        // Without optimisation, on a busy machine.
        assert!(took.as_millis() < 500, "{took:?} for {} lines, {} bytes", told.lines().count(), told.len());
        assert_eq!(told, text(&families));
    }

    #[test]
    fn what_is_too_much_is_left_off_and_counted() {
        let mut families = many();
        let all: usize = text(&families).lines().filter(|l| !l.starts_with('#')).count();
        let left_off = bounded(&mut families, 10_000);
        let kept = text(&families).lines().filter(|l| !l.starts_with('#')).count();
        assert!(kept <= 10_000 && kept + left_off == all, "{kept} + {left_off} of {all}");
    }
}
