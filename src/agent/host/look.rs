//! One look at the machine: /proc, the file system, and `nvidia-smi` where there is one.

use std::path::PathBuf;
use std::time::Duration;

use crate::capability::hosts::{Figures, Gpu};

const GPU_QUERY: &[&str] =
    &["--query-gpu=index,name,utilization.gpu,memory.used,memory.total,power.draw", "--format=csv,noheader,nounits"];
/// A driver that hangs is no reason to wait.
const GPU_PATIENCE: Duration = Duration::from_secs(5);
/// After so many failures in a row it is asked only now and then: once in so many looks.
const GPU_TRIES: u32 = 3;
const GPU_RESTS: u32 = 60;

/// Remembers what is needed to tell a rate.
pub(in crate::agent) struct Looker {
    disk: PathBuf,
    /// Busy and all ticks.
    before: Option<(u64, u64)>,
    /// The program that tells of cards.
    gpu_program: PathBuf,
    gpu_failures: u32,
}

impl Looker {
    pub(super) fn new(disk: PathBuf) -> Self {
        Self { disk, before: None, gpu_program: "nvidia-smi".into(), gpu_failures: 0 }
    }

    /// `None` where this machine tells nothing, and at the first look, which has nothing to compare with.
    pub(super) async fn look(&mut self) -> Option<Figures> {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        let (busy, all, cpus) = ticks(&stat)?;
        let before = self.before.replace((busy, all));
        let (busy_before, all_before) = before?;
        let passed = all.saturating_sub(all_before).max(1);
        let cpu_percent = 100.0 * busy.saturating_sub(busy_before) as f64 / passed as f64;
        let (memory_bytes, memory_total) =
            memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()).unwrap_or_default();
        let load = std::fs::read_to_string("/proc/loadavg").ok();
        let load = load.and_then(|l| l.split(' ').next()?.parse().ok()).unwrap_or(0.0);
        let (disk_bytes, disk_total) = self.disk();
        let gpus = self.gpus().await;
        Some(Figures { cpu_percent, cpus, load, memory_bytes, memory_total, disk_bytes, disk_total, gpus })
    }

    fn disk(&self) -> (u64, u64) {
        let Ok(stat) = rustix::fs::statvfs(&self.disk) else { return (0, 0) };
        let total = stat.f_blocks * stat.f_frsize;
        (total.saturating_sub(stat.f_bavail * stat.f_frsize), total)
    }

    async fn gpus(&mut self) -> Vec<Gpu> {
        if self.gpu_failures >= GPU_TRIES && !self.gpu_failures.is_multiple_of(GPU_RESTS) {
            self.gpu_failures += 1;
            return Vec::new();
        }
        let asked = tokio::process::Command::new(&self.gpu_program).args(GPU_QUERY).kill_on_drop(true).output();
        match tokio::time::timeout(GPU_PATIENCE, asked).await {
            Ok(Ok(output)) if output.status.success() => {
                self.gpu_failures = 0;
                gpus(&String::from_utf8_lossy(&output.stdout))
            }
            _ => {
                self.gpu_failures = self.gpu_failures.saturating_add(1);
                Vec::new()
            }
        }
    }
}

/// Busy ticks, all ticks, and the number of processors.
fn ticks(stat: &str) -> Option<(u64, u64, u32)> {
    let first = stat.lines().next()?.strip_prefix("cpu ")?;
    let all: Vec<u64> = first.split_whitespace().filter_map(|t| t.parse().ok()).take(8).collect();
    let total: u64 = all.iter().sum();
    let idle = all.get(3)? + all.get(4)?;
    let cpus = stat.lines().skip(1).take_while(|l| l.starts_with("cpu")).count();
    Some((total - idle, total, u32::try_from(cpus).unwrap_or(0)))
}

/// Used and all bytes: what the kernel could give is not used.
fn memory(info: &str) -> Option<(u64, u64)> {
    let of = |name: &str| {
        let line = info.lines().find(|l| l.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    let (total, available) = (of("MemTotal:")?, of("MemAvailable:")?);
    Some((total.saturating_sub(available), total))
}

/// Lines of `nvidia-smi`; what it does not know it calls `[N/A]`.
fn gpus(lines: &str) -> Vec<Gpu> {
    let one = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let number = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).filter(|x| x.is_finite());
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // MiB of a card
        let mib = |i: usize| number(i).map_or(0, |x| (x.max(0.0) * f64::from(1 << 20)) as u64);
        Some(Gpu {
            index: fields.first()?.parse().ok()?,
            name: (*fields.get(1)?).to_owned(),
            percent: number(2).unwrap_or(0.0),
            memory_bytes: mib(3),
            memory_total: mib(4),
            watts: number(5),
        })
    };
    lines.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let stat =
            "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 50 0 25 400 25 0 0 0 0 0\ncpu1 50 0 25 400 25 0 0 0 0 0\nintr 1\n";
        assert_eq!(ticks(stat), Some((150, 1000, 2)));
        assert_eq!(ticks("nonsense"), None);
        let info = "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    600 kB\n";
        assert_eq!(memory(info), Some((400 * 1024, 1000 * 1024)));
    }

    #[tokio::test]
    async fn a_driver_that_is_missing_or_broken_costs_the_cards_only_and_may_come_back() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (program, asked) = (folder.path().join("nvidia-smi"), folder.path().join("asked"));
        let mut looker = Looker { gpu_program: program.clone(), ..Looker::new(folder.path().to_owned()) };
        let says = |does: &str| {
            let text = format!("#!/bin/sh\necho x >> {}\n{does}\n", asked.display());
            std::fs::write(&program, text).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let asked = || std::fs::read_to_string(&asked).unwrap_or_default().lines().count();
        assert!(looker.look().await.is_none(), "nothing to compare with");
        let without = looker.look().await.unwrap();
        assert!(without.gpus.is_empty() && without.memory_total > 0 && without.cpus > 0, "{without:?}");
        says("echo 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9");
        for _ in 0..20 {
            assert!(looker.look().await.unwrap().gpus.is_empty());
        }
        assert!(asked() < 3, "it was asked {} times", asked());
        says("echo '0, NVIDIA H100, 94, 40000, 81559, 610.20'");
        let mut cards = 0;
        for _ in 0..GPU_RESTS {
            cards = looker.look().await.unwrap().gpus.len();
        }
        assert_eq!(cards, 1, "it has come back");
    }

    #[test]
    fn cards_are_read_and_what_is_unknown_stays_unknown() {
        let lines = "0, NVIDIA H100, 94, 40000, 81559, 610.20\n1, NVIDIA H100, [N/A], 0, 81559, [N/A]\n\nerror\n";
        let found = gpus(lines);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].percent, found[0].memory_bytes, found[0].watts), (94.0, 40_000 << 20, Some(610.2)));
        assert_eq!((found[1].percent, found[1].watts), (0.0, None));
    }
}
