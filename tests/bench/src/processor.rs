//! Where the machine's time goes: how long the emulator and the functions that it runs have had a processor.

use std::collections::HashMap;

use anyhow::Result;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Processor time since the count began, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shares {
    /// What the emulator used, with what it has for services (LocalStack's DynamoDB is a process of its own).
    pub emulator: f64,
    /// What all functions together used.
    pub functions: f64,
}

/// Counts from when it was made. A process is known from one look to the next: what a function has used after the last look
/// before its end is missing, so look often.
pub struct Processor {
    system: System,
    emulator: Pid,
    /// What each process had used before, and by the last look, and whether it is a function.
    used: HashMap<Pid, (u64, u64, bool)>,
}

impl Processor {
    /// `emulator`: the process id of the emulator; functions are processes below it that run a `bootstrap`.
    ///
    /// # Errors
    /// On a system whose processes cannot be read.
    pub fn new(emulator: i32) -> Result<Self> {
        let emulator = Pid::from_u32(u32::try_from(emulator).unwrap_or_default());
        let mut processor = Self { system: System::new()?, emulator, used: HashMap::new() };
        processor.look();
        for used in processor.used.values_mut() {
            used.0 = used.1;
        }
        Ok(processor)
    }

    /// Reads what all processes have used by now.
    pub fn look(&mut self) {
        let kind = ProcessRefreshKind::nothing().with_cpu();
        self.system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        for (pid, process) in self.system.processes() {
            if self.is_below(*pid) {
                let function = process.name() == "bootstrap";
                self.used.entry(*pid).or_insert((0, 0, function)).1 = process.accumulated_cpu_time();
            }
        }
    }

    /// The time up to the last look.
    pub fn shares(&self) -> Shares {
        let sum = |functions: bool| {
            let of = self.used.values().filter(|(.., function)| *function == functions);
            of.map(|(before, by_now, _)| by_now.saturating_sub(*before)).sum::<u64>() as f64
        };
        Shares { emulator: sum(false), functions: sum(true) }
    }

    fn is_below(&self, mut pid: Pid) -> bool {
        loop {
            if pid == self.emulator {
                return true;
            }
            match self.system.process(pid).and_then(sysinfo::Process::parent) {
                Some(parent) => pid = parent,
                None => return false,
            }
        }
    }
}
