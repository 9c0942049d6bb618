//! Runs faults, one try after the other, on a deployment that is stood up anew after each loss.

use crate::fault::{Ending, Fault, Scale};
use crate::stand::Stand;
use crate::table::{Row, Table};
use crate::watch::Alarm;
use crate::{
    backup_killed, corruption, disk_full, restore_killed, server_killed, stopped, storage,
};
use anyhow::Result;
use clap::ValueEnum;
use fastrand::Rng;
use pipe_kit::info;
use std::path::PathBuf;
use std::time::Instant;

/// What is made to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A bundle is changed in one place
    Corruption,
    /// A backup is killed, whole or in part
    BackupKilled,
    /// A restore is killed, whole or in part
    RestoreKilled,
    /// There is less room on the disk than is needed
    DiskFull,
    /// The object storage delays, fails, hangs up and cuts off
    Storage,
    /// The database server is killed
    ServerKilled,
    /// A stage is stopped as by a debugger, for a while or for good
    Stopped,
}

impl Kind {
    fn faults(self) -> Vec<Box<dyn Fault>> {
        match self {
            Self::Corruption => corruption::faults(),
            Self::BackupKilled => backup_killed::faults(),
            Self::RestoreKilled => restore_killed::faults(),
            Self::DiskFull => disk_full::faults(),
            Self::Storage => storage::faults(),
            Self::ServerKilled => server_killed::faults(),
            Self::Stopped => stopped::faults(),
        }
    }
}

/// What alone is to be shown, where it is given.
#[derive(Default)]
pub struct Only {
    /// A part of a fault's name.
    pub fault: Option<String>,
    /// A try's number.
    pub attempt: Option<usize>,
}

/// A campaign under way.
pub struct Campaign {
    seed: u64,
    scale: Scale,
    only: Only,
    bin_dir: Option<PathBuf>,
    stand: Option<Stand>,
    table: Table,
}

impl Campaign {
    pub fn new(seed: u64, scale: Scale, only: Only, bin_dir: Option<PathBuf>) -> Self {
        Self { seed, scale, only, bin_dir, stand: None, table: Table::default() }
    }

    pub fn into_table(self) -> Table {
        self.table
    }

    /// # Errors
    /// If a deployment cannot be stood up.
    pub fn run(&mut self, kind: Kind) -> Result<()> {
        for fault in kind.faults() {
            if self.only.fault.as_ref().is_some_and(|part| !fault.name().contains(part)) {
                continue;
            }
            let row = self.row(&*fault)?;
            self.table.0.push(row);
        }
        self.recover()
    }

    /// What has failed is made to work again. If an operator is not sent that, it is a loss of the last fault.
    fn recover(&mut self) -> Result<()> {
        let recovered = self.stand.as_ref().map_or(Ok(()), Stand::recovers);
        match (recovered, self.table.0.pop()) {
            (Ok(()), row) => self.table.0.extend(row),
            (Err(error), Some(mut row)) => {
                self.lose(&mut row, "a good run afterwards", &error)?;
                self.table.0.push(row);
            }
            (Err(error), None) => return Err(error),
        }
        Ok(())
    }

    fn lose(&mut self, row: &mut Row, what: &str, error: &anyhow::Error) -> Result<()> {
        row.lost(error.is::<Alarm>());
        let state = self.stand()?.describe();
        info!("{what}, seed {}: LOSS: {error:#}\n{state}", self.seed);
        // What is broken now must not look like a loss of the next try.
        self.stand = None;
        Ok(())
    }

    fn stand(&mut self) -> Result<&Stand> {
        let stand = match self.stand.take() {
            Some(stand) => stand,
            None => Stand::new(self.bin_dir.clone())?,
        };
        Ok(self.stand.insert(stand))
    }

    fn row(&mut self, fault: &dyn Fault) -> Result<Row> {
        let (name, scale, start) = (fault.name(), self.scale, Instant::now());
        let mut row = Row::new(&name);
        let tries = fault.tries(self.stand()?, scale);
        let only = self.only.attempt;
        for n in (0..tries).filter(|n| only.is_none_or(|only| only == *n)) {
            let mut rng = Rng::with_seed(mixed(self.seed, &name, n));
            match fault.attempt(self.stand()?, n, &mut rng, scale) {
                Ok(Ending::Held(outcome)) => {
                    info!("{name}, try {n}: {outcome}");
                    row.held(&outcome);
                }
                Ok(Ending::Skipped(why)) => {
                    info!("{name}: skipped: {why}");
                    row.skip(&why);
                    break;
                }
                Err(error) => self.lose(&mut row, &format!("{name}, try {n}"), &error)?,
            }
        }
        info!("{row} {} s", start.elapsed().as_secs());
        Ok(row)
    }
}

/// A seed for one try, so that it can be repeated alone.
fn mixed(seed: u64, name: &str, n: usize) -> u64 {
    let bytes = name.bytes().chain((n as u64).to_le_bytes()).chain(seed.to_le_bytes());
    // FNV-1a.
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_has_its_own_numbers_and_the_same_each_time() {
        assert_eq!(mixed(1, "a", 2), mixed(1, "a", 2));
        let others = [mixed(1, "a", 3), mixed(2, "a", 2), mixed(1, "b", 2)];
        assert!(!others.contains(&mixed(1, "a", 2)));
    }
}
