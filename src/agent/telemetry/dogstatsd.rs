//! DogStatsD: datagrams over UDP or a Unix socket. What cannot be sent at once is dropped and counted: nothing waits for a
//! receiver.

use std::collections::HashMap;
use std::fmt::Write;

use tokio::net::{UdpSocket, UnixDatagram};

use super::family::{Family, Kind, Labels, Value};
use crate::base::stats::sketch::Sketch;
use crate::base::{Fault, fault::Result};

/// A datagram that fits in one Ethernet frame, and one that a Unix socket takes by default.
const UDP_BYTES_MAX: usize = 1432;
const UNIX_BYTES_MAX: usize = 8192;
/// Datadog cuts tags there.
const TAG_CHARS_MAX: usize = 200;

/// Where datagrams go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Udp(String),
    Unix(std::path::PathBuf),
}

impl Target {
    /// `udp:HOST:PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn parse(text: &str) -> Result<Self> {
        let port = |rest: &str| {
            rest.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>().ok())?)
        };
        match text.split_once(':') {
            Some(("udp", rest)) if port(rest).is_some() => Ok(Self::Udp(rest.to_owned())),
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            _ => Err(Fault::invalid(format!("agent.dogstatsd: {text:?} is no receiver"))
                .next("write udp:HOST:PORT or unix:PATH")),
        }
    }
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

/// A receiver of datagrams with what it was told last.
pub struct DogStatsD {
    target: Target,
    socket: Option<Socket>,
    /// Counters as they stood, since a count is told as what came on top.
    before: HashMap<String, Before>,
}

#[derive(Clone)]
enum Before {
    Number(f64),
    Latency(Sketch),
}

impl DogStatsD {
    pub fn new(target: Target) -> Self {
        Self { target, socket: None, before: HashMap::new() }
    }

    /// Tells all; answers how many lines were dropped.
    pub async fn tell(&mut self, families: &[Family]) -> u64 {
        let lines = self.lines(families);
        if self.socket.is_none() {
            self.socket = self.connect().await.inspect_err(|e| tracing::debug!("dogstatsd: {e}")).ok();
        }
        let most = if matches!(self.target, Target::Udp(_)) { UDP_BYTES_MAX } else { UNIX_BYTES_MAX };
        let mut dropped = 0;
        for packet in packets(&lines, most) {
            let sent = match &self.socket {
                Some(Socket::Udp(socket)) => socket.try_send(packet.as_bytes()),
                Some(Socket::Unix(socket)) => socket.try_send(packet.as_bytes()),
                None => Err(std::io::ErrorKind::NotConnected.into()),
            };
            if let Err(e) = sent {
                dropped += packet.lines().count() as u64;
                // Full is not gone: only what is gone is connected to anew.
                if e.kind() != std::io::ErrorKind::WouldBlock {
                    self.socket = None;
                }
            }
        }
        dropped
    }

    async fn connect(&self) -> std::io::Result<Socket> {
        match &self.target {
            Target::Udp(address) => {
                let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(address).await?;
                socket.writable().await?;
                Ok(Socket::Udp(socket))
            }
            Target::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.writable().await?;
                Ok(Socket::Unix(socket))
            }
        }
    }

    fn lines(&mut self, families: &[Family]) -> Vec<String> {
        let mut lines = Vec::new();
        for family in families {
            let name = family.name.trim_start_matches("opsroom_").trim_end_matches("_total");
            for sample in &family.samples {
                let tags = tags(&sample.labels);
                let key = format!("{name}{tags}");
                match (&sample.value, family.kind) {
                    (Value::Number(value), Kind::Counter) => {
                        let before = self.before.insert(key, Before::Number(*value));
                        let Some(Before::Number(before)) = before else { continue };
                        // A count that went down has begun anew.
                        let came = if *value < before { *value } else { value - before };
                        if came > 0.0 {
                            lines.push(format!("opsroom.{name}:{came}|c{tags}"));
                        }
                    }
                    (Value::Number(value), _) => lines.push(format!("opsroom.{name}:{value}|g{tags}")),
                    (Value::Latency(sketch), _) => {
                        let before = self.before.insert(key, Before::Latency((**sketch).clone()));
                        let Some(Before::Latency(before)) = before else { continue };
                        let came = sketch.since(&before);
                        for (word, q) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
                            if let Some(ms) = came.quantile(q) {
                                lines.push(format!("opsroom.{name}.{word}:{}|g{tags}", ms / 1000.0));
                            }
                        }
                    }
                }
            }
        }
        lines
    }
}

/// `|#a:b,c:d`; nothing without tags. What would end a tag is replaced, as the official clients do.
fn tags(labels: &Labels) -> String {
    let mut text = String::new();
    for (name, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
        let clean: String = value
            .chars()
            .map(|c| if c == '|' || c == ',' || c.is_control() { '_' } else { c })
            .take(TAG_CHARS_MAX - name.len() - 1)
            .collect();
        let _ = write!(text, "{}{name}:{clean}", if text.is_empty() { "|#" } else { "," });
    }
    text
}

/// As many whole lines in each datagram as fit; a line that fits in none is alone and is cut by nobody.
fn packets(lines: &[String], most: usize) -> Vec<String> {
    let mut packets: Vec<String> = Vec::new();
    for line in lines {
        match packets.last_mut() {
            Some(last) if last.len() + line.len() < most => {
                last.push_str(line);
                last.push('\n');
            }
            _ => packets.push(format!("{line}\n")),
        }
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::super::family::Subject;
    use super::*;

    fn counter(value: f64) -> Vec<Family> {
        let mut family = Family::new("opsroom_requests_total", Kind::Counter, "R.");
        let odd = Subject { model: "a|b:c,d\ne".to_owned(), version: "é".to_owned(), ..Subject::default() };
        family.put(odd.labels(), value);
        vec![family]
    }

    #[test]
    fn counts_are_told_as_what_came_on_top_with_clean_tags() {
        let mut one = DogStatsD::new(Target::Udp(String::new()));
        assert!(one.lines(&counter(5.0)).is_empty());
        // The value that the official client sends for the same tag.
        assert_eq!(one.lines(&counter(12.0)), ["opsroom.requests:7|c|#model_id:a_b:c_d_e,version:é"]);
        assert!(one.lines(&counter(12.0)).is_empty());
        assert_eq!(one.lines(&counter(3.0)).len(), 1, "begun anew");
    }

    #[test]
    fn datagrams_hold_whole_lines() {
        let lines: Vec<String> = (0..100).map(|i| format!("opsroom.x:{i}|g|#model_id:m")).collect();
        let packets = packets(&lines, UDP_BYTES_MAX);
        assert!(packets.iter().all(|p| p.len() <= UDP_BYTES_MAX && p.ends_with('\n')));
        assert_eq!(packets.concat().lines().count(), 100);
    }

    #[test]
    fn a_receiver_is_written_in_one_of_two_ways() {
        assert_eq!(Target::parse("udp:127.0.0.1:8125").unwrap(), Target::Udp("127.0.0.1:8125".to_owned()));
        assert!(matches!(Target::parse("unix:/run/dsd.sock").unwrap(), Target::Unix(_)));
        for odd in ["", "udp:", "udp:8125", "tcp:a:1", "udp:a:x"] {
            assert!(Target::parse(odd).is_err(), "{odd}");
        }
    }

    #[tokio::test]
    async fn a_receiver_that_is_away_costs_only_what_it_would_have_heard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dsd.sock");
        let mut one = DogStatsD::new(Target::Unix(path.clone()));
        let mut gauge = Family::new("opsroom_quality", Kind::Gauge, "Q.");
        gauge.put(Subject { model: "m".to_owned(), ..Subject::default() }.labels(), 0.5);
        assert_eq!(one.tell(std::slice::from_ref(&gauge)).await, 1);
        let receiver = UnixDatagram::bind(&path).unwrap();
        assert_eq!(one.tell(std::slice::from_ref(&gauge)).await, 0);
        let mut bytes = [0; 200];
        let n = receiver.recv(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..n], b"opsroom.quality:0.5|g|#model_id:m\n");
        // One that reads nothing fills up, and then drops.
        let mut dropped = 0;
        for _ in 0..3000 {
            dropped += one.tell(std::slice::from_ref(&gauge)).await;
        }
        assert!(dropped > 0);
    }
}
