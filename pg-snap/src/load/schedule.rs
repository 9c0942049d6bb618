//! Which jobs may run at the same time: a pure decision. Each job accesses relations in one of three
//! modes, and runs once every earlier job that accesses one of them in another mode is done.

use crate::sql::Name;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

/// How a job accesses a relation. Jobs with the same mode share it, except those that must be alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// Puts rows into it.
    Fill,
    /// Builds an index on it.
    Build,
    /// Changes it.
    Alone,
}

/// A job's number, in the order in which they were added.
pub type JobNumber = usize;

#[derive(Default)]
struct ScheduledJob {
    uses: Vec<Name>,
    /// How many relations it has to wait for.
    waits: usize,
    weight: u64,
}

/// Jobs that share a relation at the same time.
struct WaitGroup {
    mode: AccessMode,
    jobs: Vec<JobNumber>,
    unfinished: usize,
}

/// The jobs of a load that are not done.
#[derive(Default)]
pub struct Schedule {
    jobs: Vec<ScheduledJob>,
    /// For each relation the jobs that access it now, then those that wait for them, in their order.
    groups: HashMap<Name, VecDeque<WaitGroup>>,
    /// Heaviest first, and among equals the first.
    ready: BinaryHeap<(u64, Reverse<JobNumber>)>,
    unfinished: usize,
}

impl Schedule {
    /// Adds a job after all others. A heavier one is begun before a lighter one.
    pub fn add(&mut self, uses: &[(Name, AccessMode)], weight: u64) -> JobNumber {
        let number = self.jobs.len();
        let mut job = ScheduledJob { uses: Vec::new(), waits: 0, weight };
        for (name, mode) in uses {
            // A relation that is named twice counts once, in the mode that was named first.
            if job.uses.contains(name) {
                continue;
            }
            let groups = self.groups.entry(name.clone()).or_default();
            let joins = groups
                .back()
                .is_some_and(|group| group.mode == *mode && *mode != AccessMode::Alone);
            if !joins {
                groups.push_back(WaitGroup { mode: *mode, jobs: Vec::new(), unfinished: 0 });
            }
            job.waits += usize::from(groups.len() > 1);
            if let Some(group) = groups.back_mut() {
                group.jobs.push(number);
                group.unfinished += 1;
            }
            job.uses.push(name.clone());
        }
        if job.waits == 0 {
            self.ready.push((weight, Reverse(number)));
        }
        self.jobs.push(job);
        self.unfinished += 1;
        number
    }

    /// The heaviest of the jobs that may run now.
    pub fn take(&mut self) -> Option<JobNumber> {
        self.ready.pop().map(|(_, Reverse(number))| number)
    }

    /// A job that was taken is done.
    pub fn done(&mut self, number: JobNumber) {
        self.unfinished -= 1;
        for name in std::mem::take(&mut self.jobs[number].uses) {
            let Some(groups) = self.groups.get_mut(&name) else { continue };
            let Some(group) = groups.front_mut() else { continue };
            group.unfinished -= 1;
            if group.unfinished > 0 {
                continue;
            }
            groups.pop_front();
            for next in groups.front().into_iter().flat_map(|group| &group.jobs) {
                let job = &mut self.jobs[*next];
                job.waits -= 1;
                if job.waits == 0 {
                    self.ready.push((job.weight, Reverse(*next)));
                }
            }
        }
    }

    /// Whether nothing is waiting or running.
    pub fn is_idle(&self) -> bool {
        self.unfinished == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(n: u8) -> Name {
        (String::new(), n.to_string())
    }

    #[test]
    fn fills_share_a_table_and_what_changes_it_waits_for_them() {
        let mut schedule = Schedule::default();
        let t = |mode| [(name(1), mode)];
        let fills = [schedule.add(&t(AccessMode::Fill), 1), schedule.add(&t(AccessMode::Fill), 2)];
        let builds =
            [schedule.add(&t(AccessMode::Build), 1), schedule.add(&t(AccessMode::Build), 1)];
        let key = schedule.add(&[(name(1), AccessMode::Alone), (name(2), AccessMode::Alone)], 9);
        let other = schedule.add(&[(name(3), AccessMode::Fill)], 0);
        let all =
            |schedule: &mut Schedule| std::iter::from_fn(|| schedule.take()).collect::<Vec<_>>();
        assert_eq!(all(&mut schedule), [fills[1], fills[0], other]);
        fills.iter().for_each(|n| schedule.done(*n));
        assert_eq!(all(&mut schedule), builds);
        schedule.done(builds[0]);
        assert_eq!(schedule.take(), None);
        schedule.done(builds[1]);
        assert_eq!(schedule.take(), Some(key));
        schedule.done(key);
        assert!(!schedule.is_idle());
        schedule.done(other);
        assert!(schedule.is_idle());
    }

    fn mode(n: u8) -> AccessMode {
        [AccessMode::Fill, AccessMode::Build, AccessMode::Alone][usize::from(n % 3)]
    }

    proptest! {
        /// For all jobs and every order of their ends: all run, none at the same time as one it conflicts with,
        /// and none before an earlier one that it conflicts with.
        #[test]
        fn every_job_runs_and_conflicting_ones_in_their_order(
            jobs in prop::collection::vec(prop::collection::btree_map(0u8..6, 0u8..3, 0..4), 1..40),
            picks in prop::collection::vec(0usize..100, 40),
            late in 0usize..40,
        ) {
            let mut schedule = Schedule::default();
            let uses: Vec<Vec<(Name, AccessMode)>> = jobs
                .iter()
                .map(|job| job.iter().map(|(n, w)| (name(*n), mode(*w))).collect())
                .collect();
            let conflict = |a: usize, b: usize| uses[a].iter().any(|(n, w)| {
                uses[b].iter().any(|(m, v)| n == m && (w != v || *w == AccessMode::Alone))
            });
            let (mut added, mut running, mut done) = (0, Vec::<JobNumber>::new(), Vec::new());
            let mut picks = picks.into_iter().cycle();
            while done.len() < uses.len() {
                while added < uses.len() && (added < late || done.len() * 2 >= added) {
                    schedule.add(&uses[added], (added * 7 % 5) as u64);
                    added += 1;
                }
                while let Some(job) = schedule.take() {
                    for other in 0..job {
                        prop_assert!(done.contains(&other) || !conflict(job, other), "{job} before {other}");
                    }
                    running.push(job);
                }
                prop_assert!(!running.is_empty());
                let at = picks.next().unwrap() % running.len();
                let job = running.swap_remove(at);
                schedule.done(job);
                done.push(job);
            }
            prop_assert!(schedule.is_idle());
        }
    }
}
