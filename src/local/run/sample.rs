//! CPU, memory and GPU use of a command with all its descendants, from time to time.

use std::process::{Command, Stdio};
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
    gpu: bool,
}

impl Sampler {
    pub fn new(session: u32) -> Self {
        Self { session, last: Totals::default(), gpu: !nvidia(&["--query-gpu=name"]).is_empty() }
    }

    /// Metrics since the last look.
    pub fn look(&mut self, since: Duration) -> Vec<(String, f64)> {
        let Some(now) = totals(self.session) else { return Vec::new() };
        // A child that ended takes its time with it until its parent has waited for it.
        let used = (now.cpu_seconds - self.last.cpu_seconds).max(0.0);
        self.last = now;
        let mut metrics = vec![
            ("system/process_cpu_percent".to_owned(), 100.0 * used / since.as_secs_f64().max(1e-3)),
            ("system/process_memory_megabytes".to_owned(), now.memory_bytes as f64 / 1e6),
        ];
        if self.gpu {
            let lines = nvidia(&["--query-gpu=utilization.gpu,memory.used"]);
            for (nth, line) in lines.iter().enumerate() {
                let mut numbers = line.split(',').map(|n| n.trim().parse::<f64>().ok());
                let names = ["utilization_percentage", "memory_usage_megabytes"];
                for name in names {
                    let value = numbers.next().flatten();
                    metrics.extend(value.map(|v| (format!("system/gpu_{nth}_{name}"), v)));
                }
            }
        }
        metrics
    }
}

/// `None` where there is no /proc.
fn totals(session: u32) -> Option<Totals> {
    let mut totals = Totals::default();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        // Processes come and go while one looks.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name in parentheses may hold anything.
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        if number(3) != u64::from(session) {
            continue;
        }
        // Its own time, and that of children it has waited for.
        totals.cpu_seconds += (11..15).map(number).sum::<u64>() as f64 / TICKS;
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let resident =
            status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
        totals.memory_bytes += resident.unwrap_or(0) * 1024;
    }
    Some(totals)
}

/// Lines that nvidia-smi answers; none without it.
pub fn nvidia(query: &[&str]) -> Vec<String> {
    let mut command = Command::new("nvidia-smi");
    command.args(query).arg("--format=csv,noheader,nounits").stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(output) = command.output() else { return Vec::new() };
    if !output.status.success() {
        return Vec::new();
    }
    String::from_utf8_lossy(&output.stdout).lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect()
}
