// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The number of cores that this process may use.

use std::thread;

/// The number of physical cores that this process may use: no more than the processors that its affinity and its
/// cgroup allow, of which those that share a core count once.
pub fn available_cores() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    physical_cores().map_or(processors, |cores| cores.min(processors)).max(1)
}

/// The cores of the processors that the affinity allows.
#[cfg(target_os = "linux")]
fn physical_cores() -> Option<usize> {
    use std::{collections::HashSet, fs};

    let status = fs::read_to_string("/proc/self/status").ok()?;
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let cores: HashSet<String> = processors(allowed)
        .map(|processor| {
            let path = format!("/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list");
            fs::read_to_string(path).unwrap_or_else(|_| processor.to_string())
        })
        .collect();
    Some(cores.len()).filter(|&count| count > 0)
}

#[cfg(not(target_os = "linux"))]
fn physical_cores() -> Option<usize> {
    None
}

/// The numbers in a list such as `0-3,8`.
#[cfg(any(target_os = "linux", test))]
fn processors(list: &str) -> impl Iterator<Item = usize> {
    list.trim().split(',').flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse().unwrap_or(1), last.parse().unwrap_or(0));
        first..=last
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(processors(" 0-3,8\n").collect::<Vec<_>>(), [0, 1, 2, 3, 8]);
        assert_eq!(processors("5").collect::<Vec<_>>(), [5]);
        assert_eq!(processors("").count(), 0);
    }

    #[test]
    fn there_is_a_core() {
        assert!((1..=thread::available_parallelism().unwrap().get()).contains(&available_cores()));
    }
}
