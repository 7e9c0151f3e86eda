//! OTLP metrics over HTTP, as protobuf that is written here: the few messages of it that are needed.
//!
//! What a receiver does not take is kept, up to a bound, and sent again in order; what is older goes, and is counted.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::http;
use super::family::{BOUNDS, Buckets, Family, Kind, Labels, Value};
use crate::base::{Fault, Timestamp, fault::Result};

/// Messages that wait for a receiver, and all their bytes.
const WAITING_MAX: usize = 30;
const WAITING_BYTES_MAX: usize = 32 << 20;
const PATIENCE: Duration = Duration::from_secs(5);
const CUMULATIVE: u64 = 2;

/// A message, field by field.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            #[allow(clippy::cast_possible_truncation)] // seven bits
            self.0.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        #[allow(clippy::cast_possible_truncation)] // below 128
        self.0.push(n as u8);
    }

    fn varint(&mut self, field: u64, n: u64) {
        self.number(field << 3);
        self.number(n);
    }

    fn fixed(&mut self, field: u64, bits: u64) {
        self.number(field << 3 | 1);
        self.0.extend(bits.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.number(field << 3 | 2);
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// Numbers of eight bytes, packed.
    fn packed(&mut self, field: u64, all: impl Iterator<Item = u64>) {
        let bytes: Vec<u8> = all.flat_map(u64::to_le_bytes).collect();
        self.bytes(field, &bytes);
    }

    fn attribute(&mut self, field: u64, key: &str, value: &str) {
        self.message(field, |pair| {
            pair.text(1, key);
            pair.message(2, |any| any.text(1, value));
        });
    }

    fn attributes(&mut self, field: u64, labels: &Labels) {
        for (name, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
            self.attribute(field, name, value);
        }
    }
}

/// An `ExportMetricsServiceRequest`.
pub fn request(families: &[Family], host: &str, since: Timestamp, now: Timestamp) -> Vec<u8> {
    let nanos = |t: Timestamp| u64::try_from(t.0).unwrap_or(0).saturating_mul(1000);
    let (since, now) = (nanos(since), nanos(now));
    let mut all = Message::default();
    all.message(1, |resource_metrics| {
        resource_metrics.message(1, |resource| {
            resource.attribute(1, "service.name", "opsroom");
            resource.attribute(1, "service.version", env!("CARGO_PKG_VERSION"));
            resource.attribute(1, "host.name", host);
        });
        resource_metrics.message(2, |scope_metrics| {
            scope_metrics.message(1, |scope| scope.text(1, "opsroom"));
            for family in families.iter().filter(|f| !f.samples.is_empty()) {
                scope_metrics.message(2, |metric| write(metric, family, since, now));
            }
        });
    });
    all.0
}

fn write(metric: &mut Message, family: &Family, since: u64, now: u64) {
    let name = family.name.trim_end_matches("_total").replacen('_', ".", 1);
    metric.text(1, &name);
    metric.text(2, family.help);
    let point = |out: &mut Message, labels: &Labels, value: f64| {
        out.message(1, |p| {
            p.fixed(2, since);
            p.fixed(3, now);
            p.fixed(4, value.to_bits());
            p.attributes(7, labels);
        });
    };
    match family.kind {
        Kind::Gauge | Kind::Counter => {
            let field = if family.kind == Kind::Gauge { 5 } else { 7 };
            metric.message(field, |data| {
                for sample in &family.samples {
                    if let Value::Number(value) = sample.value {
                        point(data, &sample.labels, value);
                    }
                }
                if family.kind == Kind::Counter {
                    data.varint(2, CUMULATIVE);
                    data.varint(3, 1);
                }
            });
        }
        Kind::Histogram => {
            metric.text(3, "s");
            metric.message(9, |data| {
                for sample in &family.samples {
                    if let Value::Latency(sketch) = &sample.value {
                        data.message(1, |p| histogram(p, &sample.labels, &Buckets::of(sketch), since, now));
                    }
                }
                data.varint(2, CUMULATIVE);
            });
        }
    }
}

fn histogram(p: &mut Message, labels: &Labels, buckets: &Buckets, since: u64, now: u64) {
    p.fixed(2, since);
    p.fixed(3, now);
    p.fixed(4, buckets.count);
    p.fixed(5, buckets.sum.to_bits());
    let mut before = 0;
    let mut each: Vec<u64> = buckets.up_to.iter().map(|n| n - std::mem::replace(&mut before, *n)).collect();
    each.push(buckets.count - before);
    p.packed(6, each.into_iter());
    p.packed(7, BOUNDS.iter().map(|b| b.to_bits()));
    p.attributes(9, labels);
}

/// A receiver with what it has not taken yet.
pub struct Otlp {
    url: reqwest::Url,
    headers: Vec<(String, String)>,
    http: reqwest::Client,
    waiting: VecDeque<(Vec<u8>, u64)>,
}

impl Otlp {
    /// `url` with its path, such as `http://127.0.0.1:4318/v1/metrics`; headers as `NAME=VALUE`.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn new(url: &str, headers: &[String]) -> Result<Self> {
        let wrong = |what: &str| {
            Fault::invalid(format!("agent.otlp: {what}"))
                .next("write http://HOST:4318/v1/metrics, and headers as NAME=VALUE")
        };
        let parsed = reqwest::Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
        let split = |h: &String| h.split_once('=').map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned()));
        let headers =
            headers.iter().map(split).collect::<Option<Vec<_>>>().ok_or_else(|| wrong("a header has no ="))?;
        Ok(Self {
            url: parsed.ok_or_else(|| wrong("not a URL"))?,
            headers,
            http: http::client(PATIENCE, [url])?,
            waiting: VecDeque::new(),
        })
    }

    /// Sends what waits, oldest first, and this. Answers how many points were given up.
    pub async fn tell(&mut self, message: Vec<u8>, points: u64) -> u64 {
        self.waiting.push_back((message, points));
        let mut dropped = 0;
        let bytes = |w: &VecDeque<(Vec<u8>, u64)>| w.iter().map(|(m, _)| m.len()).sum::<usize>();
        while self.waiting.len() > WAITING_MAX || (self.waiting.len() > 1 && bytes(&self.waiting) > WAITING_BYTES_MAX) {
            dropped += self.waiting.pop_front().map_or(0, |(_, points)| points);
        }
        while let Some((message, points)) = self.waiting.front() {
            let mut request = self.http.post(self.url.clone()).header("content-type", "application/x-protobuf");
            for (name, value) in &self.headers {
                request = request.header(name, value);
            }
            match request.body(message.clone()).send().await {
                Ok(answer) if answer.status().is_success() => {}
                // What it will never take is not sent for ever.
                Ok(answer) if answer.status().is_client_error() && answer.status().as_u16() != 429 => {
                    tracing::warn!("otlp: {} at {}", answer.status(), self.url.host_str().unwrap_or("?"));
                    dropped += points;
                }
                Ok(_) | Err(_) => return dropped,
            }
            self.waiting.pop_front();
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::Subject;
    use super::*;
    use crate::base::stats::sketch::Sketch;

    #[test]
    fn messages_have_the_bytes_of_protobuf() {
        let mut message = Message::default();
        message.varint(1, 300);
        message.text(2, "hi");
        message.fixed(3, 1);
        message.packed(4, [2].into_iter());
        // By the encoding's own documentation: 0x08 0xac 0x02 is field 1 with 300.
        assert_eq!(message.0[..3], [0x08, 0xac, 0x02]);
        assert_eq!(message.0[3..7], [0x12, 2, b'h', b'i']);
        assert_eq!(message.0[7..16], [0x19, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(message.0[16..], [0x22, 8, 2, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn buckets_are_told_one_by_one() {
        let mut sketch = Sketch::default();
        [3.0, 7.0, 20_000.0].into_iter().for_each(|ms| sketch.add(ms));
        let mut message = Message::default();
        histogram(&mut message, &Subject::default().labels(), &Buckets::of(&sketch), 0, 0);
        let counts: Vec<u8> = [1_u64, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1].iter().flat_map(|n| n.to_le_bytes()).collect();
        assert!(message.0.windows(counts.len()).any(|w| w == counts));
    }

    #[tokio::test]
    async fn what_nobody_takes_is_kept_up_to_a_bound() {
        // Nobody listens on a port that was just free.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut otlp = Otlp::new(&format!("http://{address}/v1/metrics"), &[]).unwrap();
        let mut dropped = 0;
        for _ in 0..WAITING_MAX + 5 {
            dropped += otlp.tell(vec![0; 10], 7).await;
        }
        assert_eq!((dropped, otlp.waiting.len()), (35, WAITING_MAX));
        assert!(Otlp::new("ftp://x", &[]).is_err() && Otlp::new("http://x/y", &["a".to_owned()]).is_err());
    }
}
