//! Whether a run begins anew or goes on from an unfinished restore: decided before anything is done.

use super::swap::Seen;
use crate::journal::Journal;
use crate::options::Asked;
use crate::step::{Selection, Step};
use anyhow::{Result, bail};
use pipe_kit::{Stop, warning};

/// The run that is about to begin.
pub struct Here<'a> {
    /// Which bundle.
    pub identity: &'a str,
    /// Where it goes to.
    pub target: &'a str,
    /// The command that restores this bundle from the start.
    pub command: &'a str,
}

/// What was decided.
#[derive(Debug, PartialEq, Eq)]
pub struct TakenUp {
    pub selection: Selection,
    /// The journal to go on with.
    pub journal: Option<Journal>,
    /// Databases that an unfinished restore has put aside, which this one begins anew.
    pub carried: Vec<u32>,
}

/// Decides. `seen` asks the server about the database that was to be replaced.
///
/// # Errors
/// [`Stop::refused`] if there is nothing to go on with, or it is another bundle's, or went elsewhere.
pub fn take_up(
    asked: Asked,
    journal: Option<Journal>,
    here: &Here,
    seen: impl FnOnce(Option<u32>) -> Seen,
) -> Result<TakenUp> {
    let selection = match asked {
        Asked::Resume => return resume(journal, here, seen),
        Asked::Steps(selection) => selection,
    };
    match selection {
        Selection::From(first) if first > Step::Database => match journal {
            Some(journal) => {
                refuse_other(&journal, here)?;
                let journal = with_swap(journal, seen);
                Ok(TakenUp { selection, journal: Some(journal), carried: Vec::new() })
            }
            None => Ok(TakenUp { selection, journal, carried: Vec::new() }),
        },
        Selection::Only(step) if step != Step::Database => {
            let journal = journal.filter(|j| refuse_other(j, here).is_ok());
            Ok(TakenUp { selection, journal, carried: Vec::new() })
        }
        Selection::All | Selection::From(_) | Selection::Only(_) => {
            Ok(TakenUp { selection, journal: None, carried: carried(journal, here) })
        }
    }
}

fn resume(
    journal: Option<Journal>,
    here: &Here,
    seen: impl FnOnce(Option<u32>) -> Seen,
) -> Result<TakenUp> {
    let Some(journal) = journal else {
        return Err(Stop::refused(format!(
            "there is no unfinished restore to go on with; nothing was changed; to restore: {}",
            here.command
        ))
        .into());
    };
    refuse_other(&journal, here)?;
    let mut unknown = false;
    let journal = with_swap(journal, |before| {
        let seen = seen(before);
        unknown = seen == Seen::Unknown;
        seen
    });
    if unknown {
        bail!(
            "the database's server does not answer, and it alone knows whether the old database was \
             replaced; nothing was changed; start it, then run this again"
        );
    }
    let selection = Selection::From(journal.next());
    Ok(TakenUp { selection, journal: Some(journal), carried: Vec::new() })
}

/// A kill may have come between the swap and its note.
fn with_swap(mut journal: Journal, seen: impl FnOnce(Option<u32>) -> Seen) -> Journal {
    if let (Some(load), false) = (journal.load, journal.reaches(Step::Objects))
        && seen(load.before) == Seen::Other
    {
        journal.finish(Step::Database);
    }
    journal
}

fn refuse_other(journal: &Journal, here: &Here) -> Result<()> {
    if journal.identity != here.identity {
        return Err(Stop::refused(format!(
            "the unfinished restore is of another bundle, {}; nothing was changed; go on with that \
             one, or give it up (restore.sh --abandon), or restore this one from the start: {}",
            journal.bundle.display(),
            here.command
        ))
        .into());
    }
    if journal.target != here.target {
        return Err(Stop::refused(format!(
            "the restore to go on with went to {}, and the settings now say {}; nothing was changed; \
             put the .env from before back (.env.before-…), or restore from the start: {}",
            journal.target, here.target, here.command
        ))
        .into());
    }
    Ok(())
}

/// What a restore that begins anew takes over: the databases put aside, to be dropped in the end.
fn carried(journal: Option<Journal>, here: &Here) -> Vec<u32> {
    match journal {
        Some(journal) if journal.target == here.target => journal.previous,
        Some(journal) => {
            warning!(
                "a restore of {} to {} was not finished, and is given up now; what it put aside is still there",
                journal.bundle.display(),
                journal.target
            );
            Vec::new()
        }
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Load;
    use crate::journal::tests::journal;
    use pipe_kit::Exit;

    const HERE: Here = Here { identity: "i", target: "t", command: "restore.sh B" };

    fn taken(asked: Asked, journal: Option<Journal>, here: &Here, now: Seen) -> Result<TakenUp> {
        take_up(asked, journal, here, |_| now)
    }

    fn refused(result: Result<TakenUp>) -> bool {
        result.is_err_and(|e| pipe_kit::status::of(&e) == Exit::Refused)
    }

    #[test]
    fn resume_goes_on_from_the_first_unfinished_step_and_asks_the_server_about_the_swap() {
        let loading = Journal { load: Some(Load { before: Some(7) }), ..journal(Step::Stop) };
        for (journal, now, first) in [
            (journal(Step::Preflight), Seen::Unknown, Step::Preflight),
            (journal(Step::Stop), Seen::Unknown, Step::Preflight),
            (loading.clone(), Seen::Same, Step::Preflight),
            (loading.clone(), Seen::Missing, Step::Preflight),
            (loading.clone(), Seen::Other, Step::Objects),
            (journal(Step::Database), Seen::Unknown, Step::Objects),
            (journal(Step::Start), Seen::Unknown, Step::Health),
        ] {
            let run = taken(Asked::Resume, Some(journal), &HERE, now).unwrap();
            assert_eq!(run.selection, Selection::From(first));
            assert!(run.journal.is_some());
        }
        let unknown = taken(Asked::Resume, Some(loading), &HERE, Seen::Unknown);
        assert!(unknown.is_err() && !refused(unknown));
    }

    #[test]
    fn resume_without_a_journal_or_with_another_bundle_or_target_is_refused() {
        assert!(refused(taken(Asked::Resume, None, &HERE, Seen::Same)));
        for here in [Here { identity: "o", ..HERE }, Here { target: "o", ..HERE }] {
            for asked in [Asked::Resume, Asked::Steps(Selection::From(Step::Objects))] {
                let journal = Some(journal(Step::Database));
                assert!(refused(taken(asked, journal, &here, Seen::Same)), "{asked:?}");
            }
        }
    }

    #[test]
    fn a_plain_run_begins_anew_and_takes_over_what_was_put_aside_on_the_same_server() {
        for first in [Selection::All, Selection::From(Step::Stop), Selection::Only(Step::Database)]
        {
            let old = Some(journal(Step::Objects));
            let run = taken(Asked::Steps(first), old, &HERE, Seen::Same).unwrap();
            assert_eq!((run.journal, run.carried), (None, vec![7]), "{first:?}");
        }
        let elsewhere = Here { target: "o", ..HERE };
        let old = Some(journal(Step::Objects));
        let run = taken(Asked::Steps(Selection::All), old, &elsewhere, Seen::Same).unwrap();
        assert_eq!(run.carried, Vec::<u32>::new());
    }

    #[test]
    fn a_step_by_hand_counts_for_the_restore_that_it_belongs_to_alone() {
        let only = Asked::Steps(Selection::Only(Step::Objects));
        let old = Some(journal(Step::Database));
        assert_eq!(taken(only, old.clone(), &HERE, Seen::Same).unwrap().journal, old);
        let other = Here { identity: "o", ..HERE };
        assert_eq!(taken(only, old, &other, Seen::Same).unwrap().journal, None);
    }
}
