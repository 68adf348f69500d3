//! What running servers use of the machine: processor time, which is what an answer costs whatever else keeps the
//! machine busy, and memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The processor time that the processes of a group have used so far, theirs and the kernel's for them; none where
/// there is no `/proc`.
pub fn cpu(group: u32) -> Option<Duration> {
    let ticks = processes(group)?.into_iter().map(|(_, stat)| stat.ticks);
    Some(TICK * ticks.sum::<u32>())
}

/// The memory that the processes of a group have resident, in MB; pages that they share count in each. None where
/// there is no `/proc`.
pub fn resident_mb(group: u32) -> Option<f64> {
    let statuses = processes(group)?.into_iter().map(|(process, _)| process.join("status"));
    let texts = statuses.filter_map(|status| std::fs::read_to_string(status).ok());
    Some(texts.filter_map(|text| resident_kb(&text)).sum::<f64>() / 1024.0)
}

/// The running processes of a group, by their folders in `/proc`.
fn processes(group: u32) -> Option<Vec<(PathBuf, Stat)>> {
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    let in_group = all.filter_map(|process| {
        let stat = Stat::of(&process.path())?;
        (stat.group == group).then(|| (process.path(), stat))
    });
    Some(in_group.collect())
}

/// Some of a process's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    group: u32,
    ticks: u32,
}

impl Stat {
    fn of(process: &Path) -> Option<Self> {
        Self::read(&std::fs::read_to_string(process.join("stat")).ok()?)
    }

    /// Reads `/proc/PID/stat` (proc_pid_stat(5)): after the name, which may hold anything, the fields are separated by
    /// blanks, from the third on.
    fn read(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
        Some(Self {
            group: field(5)?,
            ticks: field(14)? + field(15)?,
        })
    }
}

/// Reads `/proc/PID/status` (proc_pid_status(5)).
fn resident_kb(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// `USER_HZ` is 100 on every architecture that Linux runs on today.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_counted_after_the_name() {
        let stat = "7 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 1 0 9 0 0";
        assert_eq!(Stat::read(stat), Some(Stat { group: 42, ticks: 42 }));
        assert_eq!(Stat::read("7 (cut) S 1 42"), None);
    }

    #[test]
    fn memory_is_a_line_among_others() {
        assert_eq!(resident_kb("VmHWM:\t  9000 kB\nVmRSS:\t  8192 kB\n"), Some(8192.0));
        assert_eq!(resident_kb("Name:\tkthreadd\n"), None);
    }
}
