//! CPU, memory and GPU use of a command with all its descendants, from time to time.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Clock ticks a second in /proc: fixed for programs on Linux, whatever the kernel's own tick is.
const TICKS: f64 = 100.0;

/// Totals at a moment.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    cpu_seconds: f64,
    memory_bytes: u64,
}

/// Watches a session, which is known by its first process.
pub struct Sampler {
    session: u32,
    last: Totals,
    /// GiB times seconds, so far.
    memory: f64,
    /// Seconds that each GPU worked, so far.
    worked: BTreeMap<String, f64>,
    gpus: Option<Gpus>,
}

impl Sampler {
    pub fn new(session: u32) -> Self {
        let gpus = Gpus::watch(Path::new(NVIDIA));
        Self { session, last: Totals::default(), memory: 0.0, worked: BTreeMap::new(), gpus }
    }

    /// Metrics since the last look.
    pub fn look(&mut self, since: Duration) -> Vec<(String, f64)> {
        let Some(now) = totals(self.session) else { return Vec::new() };
        // A child that ended takes its time with it until its parent has waited for it.
        let used = (now.cpu_seconds - self.last.cpu_seconds).max(0.0);
        // What ended and was not waited for is not taken back.
        self.last = Totals { cpu_seconds: now.cpu_seconds.max(self.last.cpu_seconds), ..now };
        self.memory += now.memory_bytes as f64 / f64::from(1 << 30) * since.as_secs_f64();
        let mut metrics = vec![
            // Sums, which cost is told by.
            ("system/process_cpu_seconds".to_owned(), self.last.cpu_seconds),
            ("system/process_memory_gib_seconds".to_owned(), self.memory),
            ("system/process_cpu_percent".to_owned(), 100.0 * used / since.as_secs_f64().max(1e-3)),
            ("system/process_memory_megabytes".to_owned(), now.memory_bytes as f64 / 1e6),
        ];
        if let Some(gpus) = &self.gpus {
            for (key, value) in gpus.metrics() {
                if let Some(gpu) = key.strip_suffix("_utilization_percentage") {
                    let worked = self.worked.entry(format!("{gpu}_busy_seconds")).or_default();
                    *worked += value / 100.0 * since.as_secs_f64();
                }
                metrics.push((key, value));
            }
            metrics.extend(self.worked.iter().map(|(key, seconds)| (key.clone(), *seconds)));
        }
        metrics
    }
}

/// A process of a session: its number, and the numbers of its `stat` from its state on.
struct Process {
    pid: u32,
    is_zombie: bool,
    fields: Vec<u64>,
}

/// `None` where there is no /proc.
fn in_session(session: u32) -> Option<impl Iterator<Item = Process>> {
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    Some(entries.filter_map(move |entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        // Processes come and go while one looks.
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name in parentheses may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let is_zombie = rest.trim_start().starts_with('Z');
        let fields: Vec<u64> = rest.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
        (fields.get(3) == Some(&u64::from(session))).then_some(Process { pid, is_zombie, fields })
    }))
}

/// What still goes on of a session. What ended and was not waited for does not.
pub fn alive(session: u32) -> Vec<u32> {
    in_session(session).into_iter().flatten().filter(|p| !p.is_zombie).map(|p| p.pid).collect()
}

fn totals(session: u32) -> Option<Totals> {
    let mut totals = Totals::default();
    for process in in_session(session)? {
        // Its own time, and that of children it has waited for.
        totals.cpu_seconds += process.fields.iter().skip(11).take(4).sum::<u64>() as f64 / TICKS;
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap_or_default();
        let resident =
            status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
        totals.memory_bytes += resident.unwrap_or(0) * 1024;
    }
    Some(totals)
}

const NVIDIA: &str = "nvidia-smi";
/// Asked for, and the names of the metrics: those that MLflow gives them.
const GPU_FIELDS: &str = "--query-gpu=index,utilization.gpu,memory.used,power.draw";
const GPU_NAMES: [&str; 3] = ["utilization_percentage", "memory_usage_megabytes", "power_usage_watts"];

/// By GPU, what was read last.
type Latest = Arc<Mutex<BTreeMap<u32, Vec<(String, f64)>>>>;

/// What GPUs do, told by one `nvidia-smi` that goes on: a driver in trouble answers late, and nothing may wait for it.
struct Gpus {
    child: Child,
    latest: Latest,
}

impl Gpus {
    /// `None` without such a program.
    fn watch(program: &Path) -> Option<Self> {
        let mut command = Command::new(program);
        command.args([GPU_FIELDS, "--format=csv,noheader,nounits", "--loop-ms=2000"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let lines = BufReader::new(child.stdout.take()?).lines();
        let latest = Latest::default();
        let told = latest.clone();
        // Ends with the program.
        std::thread::spawn(move || {
            for (gpu, metrics) in lines.map_while(Result::ok).filter_map(|line| gpu_metrics(&line)) {
                told.lock().unwrap_or_else(PoisonError::into_inner).insert(gpu, metrics);
            }
        });
        Some(Self { child, latest })
    }

    fn metrics(&self) -> Vec<(String, f64)> {
        // Each reading counts once: a program that went silent does not repeat its last word for ever.
        let latest = std::mem::take(&mut *self.latest.lock().unwrap_or_else(PoisonError::into_inner));
        latest.into_values().flatten().collect()
    }
}

impl Drop for Gpus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One line of `nvidia-smi`: which GPU, and what it can tell of it. What a card does not measure is left out.
fn gpu_metrics(line: &str) -> Option<(u32, Vec<(String, f64)>)> {
    let mut fields = line.split(',').map(str::trim);
    let gpu: u32 = fields.next()?.parse().ok()?;
    let known = GPU_NAMES.iter().zip(fields).filter_map(|(name, value)| {
        let value: f64 = value.parse().ok()?;
        value.is_finite().then(|| (format!("system/gpu_{gpu}_{name}"), value))
    });
    Some((gpu, known.collect()))
}

/// Name and driver of every GPU; none without `nvidia-smi`.
pub fn gpus() -> Vec<String> {
    let mut command = Command::new(NVIDIA);
    command.args(["--query-gpu=name,driver_version", "--format=csv,noheader,nounits"]);
    let Ok(output) = command.stdin(Stdio::null()).stderr(Stdio::null()).output() else { return Vec::new() };
    if !output.status.success() {
        return Vec::new();
    }
    String::from_utf8_lossy(&output.stdout).lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_line_tells_of_one_gpu_what_it_measures() {
        let told =
            |line: &str| gpu_metrics(line).map(|(gpu, m)| (gpu, m.into_iter().map(|(_, v)| v).collect::<Vec<_>>()));
        assert_eq!(told("0, 37, 1024, 120.50"), Some((0, vec![37.0, 1024.0, 120.5])));
        assert_eq!(told("7, [N/A], 512, [Not Supported]"), Some((7, vec![512.0])));
        assert_eq!(gpu_metrics("1, 5, 2").unwrap().1[0].0, "system/gpu_1_utilization_percentage");
        for odd in ["", "No devices were found", "x, 1, 2", "NVIDIA-SMI has failed"] {
            assert_eq!(told(odd), None, "{odd}");
        }
    }

    #[test]
    fn readings_arrive_once_and_the_program_ends_with_the_watch() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("smi");
        let pid = folder.path().join("pid");
        let script = format!(
            "#!/bin/sh\necho $$ > {}\necho '0, 11, 100, 9'\necho '1, 12, 200, 8'\nexec sleep 60\n",
            pid.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let gpus = Gpus::watch(&program).unwrap();
        let mut seen = Vec::new();
        for _ in 0..500 {
            seen.extend(gpus.metrics());
            if seen.len() == 6 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(seen.len(), 6, "{seen:?}");
        assert!(gpus.metrics().is_empty());
        drop(gpus);
        let pid = std::fs::read_to_string(pid).unwrap();
        assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists());
        assert!(Gpus::watch(&folder.path().join("none")).is_none());
    }
}
