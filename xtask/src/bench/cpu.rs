//! Processor time of running servers: what an answer costs, whatever else keeps the machine busy.

use std::path::Path;
use std::time::Duration;

/// What the processes of a group have used so far, theirs and the kernel's for them; none where there is no `/proc`.
pub fn used(group: u32) -> Option<Duration> {
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let ticks = processes.filter_map(|process| ticks_in_group(&process.path(), group));
    Some(TICK * ticks.sum::<u32>())
}

/// The ticks of one process, when it belongs to the group.
fn ticks_in_group(process: &Path, group: u32) -> Option<u32> {
    ticks(&std::fs::read_to_string(process.join("stat")).ok()?, group)
}

/// Reads `/proc/PID/stat` (proc_pid_stat(5)): after the name, which may hold anything, the fields are separated by
/// blanks, from the third on.
fn ticks(stat: &str, group: u32) -> Option<u32> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
    (field(5)? == group).then_some(field(14)? + field(15)?)
}

/// `USER_HZ` is 100 on every architecture that Linux runs on today.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_counted_after_the_name() {
        let stat = "7 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 1 0 9 0 0";
        assert_eq!(ticks(stat, 42), Some(42));
        assert_eq!(ticks(stat, 41), None);
        assert_eq!(ticks("7 (cut) S 1 42", 42), None);
    }
}
