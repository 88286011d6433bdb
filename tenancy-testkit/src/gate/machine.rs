//! Where a measurement was made: figures without it say nothing.

use std::fs;

use serde::{Deserialize, Serialize};

/// The machine that a run was measured on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many processors the program could use.
    pub processors: usize,
    /// Operating system and architecture.
    pub system: String,
}

impl Machine {
    /// Returns the machine that this program runs on.
    #[must_use]
    pub fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = info.lines().find(|line| line.starts_with("model name"));
        let cpu = cpu.and_then(|line| line.split_once(':')).map_or("unknown", |(_, name)| name.trim());
        Self {
            cpu: cpu.to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}
