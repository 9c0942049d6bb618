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
    /// The command that gives an unfinished restore up.
    pub abandon: &'a str,
}

/// What was decided.
#[derive(Debug, PartialEq, Eq)]
pub struct TakenUp {
    pub selection: Selection,
    /// The journal to go on with.
    pub journal: Option<Journal>,
    /// The unfinished restore that this one begins anew.
    pub carried: Option<Journal>,
}

/// Decides. `seen` asks the server which database is in place.
///
/// # Errors
/// [`Stop::refused`] if there is nothing to go on with, or it is another bundle's, or went elsewhere.
pub fn take_up(
    asked: Asked,
    journal: Option<Journal>,
    here: &Here,
    seen: impl FnOnce(&Journal) -> Seen,
) -> Result<TakenUp> {
    let selection = match asked {
        Asked::Resume => return resume(journal, here, seen),
        Asked::Steps(selection) => selection,
    };
    match selection {
        Selection::From(first) if first > Step::Database => match journal {
            Some(journal) => {
                refuse_other(&journal, here)?;
                let seen = seen(&journal);
                let journal = with_swap(journal, seen, here)?;
                Ok(TakenUp { selection, journal: Some(journal), carried: None })
            }
            None => Ok(TakenUp { selection, journal, carried: None }),
        },
        Selection::Only(step) if step != Step::Database => {
            let journal = journal.filter(|j| refuse_other(j, here).is_ok());
            Ok(TakenUp { selection, journal, carried: None })
        }
        Selection::All | Selection::From(_) | Selection::Only(_) => {
            Ok(TakenUp { selection, journal: None, carried: carried(journal, here) })
        }
    }
}

fn resume(
    journal: Option<Journal>,
    here: &Here,
    seen: impl FnOnce(&Journal) -> Seen,
) -> Result<TakenUp> {
    let Some(journal) = journal else {
        return Err(Stop::refused(format!(
            "there is no unfinished restore to go on with; nothing was changed; to restore: {}",
            here.command
        ))
        .into());
    };
    refuse_other(&journal, here)?;
    let seen = seen(&journal);
    let loading = journal.load.is_some() && !journal.reaches(Step::Objects);
    if seen == Seen::Unknown && loading {
        bail!(
            "the database's server does not answer, and it alone knows whether the old database was \
             replaced; nothing was changed; start it, then run this again"
        );
    }
    let journal = with_swap(journal, seen, here)?;
    let selection = Selection::From(journal.next());
    Ok(TakenUp { selection, journal: Some(journal), carried: None })
}

/// The journal, with what the server says: a kill may have come between the swap and its note, and
/// the operator may have swapped back since.
fn with_swap(mut journal: Journal, seen: Seen, here: &Here) -> Result<Journal> {
    let gone = match seen {
        Seen::Elsewhere => "the database's server is not the one that the restore began with",
        _ if journal.load.is_none() => return Ok(journal),
        Seen::New => {
            journal.finish(Step::Database);
            return Ok(journal);
        }
        Seen::Old if journal.reaches(Step::Objects) => {
            "the database in place is one that the restore had put aside, and was swapped back since"
        }
        Seen::Missing if journal.reaches(Step::Objects) => {
            "the database that the restore had loaded is not there any more"
        }
        Seen::Old | Seen::Missing | Seen::Unknown => return Ok(journal),
    };
    Err(Stop::refused(format!(
        "{gone}; there is nothing to go on with, and nothing was changed; to restore from the start: {}; to \
         leave things as they are: {}",
        here.command, here.abandon
    ))
    .into())
}

fn refuse_other(journal: &Journal, here: &Here) -> Result<()> {
    if journal.identity != here.identity {
        return Err(Stop::refused(format!(
            "the unfinished restore is of another bundle, {}; nothing was changed; go on with that \
             one, or give it up ({}), or restore this one from the start: {}",
            journal.bundle.display(),
            here.abandon,
            here.command
        ))
        .into());
    }
    if journal.target != here.target {
        return Err(Stop::refused(format!(
            "the restore to go on with went to {}, and the settings now say {}; nothing was changed; \
             put the .env from before back (.env.before-…), or, in a copy of that deployment, give it \
             up there ({}), or restore from the start: {}",
            journal.target, here.target, here.abandon, here.command
        ))
        .into());
    }
    Ok(())
}

/// What a restore that begins anew takes over: the databases put aside, to be dropped in the end.
fn carried(journal: Option<Journal>, here: &Here) -> Option<Journal> {
    match journal {
        Some(journal) if journal.target == here.target => Some(journal),
        Some(journal) => {
            warning!(
                "a restore of {} to {} was not finished, and is given up now; what it put aside is still there",
                journal.bundle.display(),
                journal.target
            );
            None
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Load;
    use crate::journal::tests::journal;
    use pipe_kit::Exit;

    const HERE: Here = Here {
        identity: "i",
        target: "t",
        command: "restore.sh B",
        abandon: "restore.sh --abandon",
    };

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
            (loading.clone(), Seen::Old, Step::Preflight),
            (loading.clone(), Seen::Missing, Step::Preflight),
            (loading.clone(), Seen::New, Step::Objects),
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
        assert!(refused(taken(Asked::Resume, None, &HERE, Seen::Old)));
        for here in [Here { identity: "o", ..HERE }, Here { target: "o", ..HERE }] {
            for asked in [Asked::Resume, Asked::Steps(Selection::From(Step::Objects))] {
                let journal = Some(journal(Step::Database));
                assert!(refused(taken(asked, journal, &here, Seen::Old)), "{asked:?}");
            }
        }
    }

    #[test]
    fn nothing_is_gone_on_with_once_its_database_is_not_in_place_any_more() {
        let loaded = Journal { load: Some(Load { before: Some(7) }), ..journal(Step::Objects) };
        for asked in [Asked::Resume, Asked::Steps(Selection::From(Step::Config))] {
            for now in [Seen::Old, Seen::Missing, Seen::Elsewhere] {
                let result = taken(asked, Some(loaded.clone()), &HERE, now);
                assert!(refused(result), "{asked:?} {now:?}");
            }
            assert!(taken(asked, Some(loaded.clone()), &HERE, Seen::New).is_ok());
        }
        let begun = Some(journal(Step::Preflight));
        assert!(refused(taken(Asked::Resume, begun, &HERE, Seen::Elsewhere)));
    }

    #[test]
    fn a_plain_run_begins_anew_and_takes_over_what_was_put_aside_on_the_same_server() {
        for first in [Selection::All, Selection::From(Step::Stop), Selection::Only(Step::Database)]
        {
            let old = Some(journal(Step::Objects));
            let run = taken(Asked::Steps(first), old, &HERE, Seen::Old).unwrap();
            assert_eq!(run.journal, None, "{first:?}");
            assert_eq!(run.carried.unwrap().previous, [7], "{first:?}");
        }
        let elsewhere = Here { target: "o", ..HERE };
        let old = Some(journal(Step::Objects));
        let run = taken(Asked::Steps(Selection::All), old, &elsewhere, Seen::Old).unwrap();
        assert_eq!(run.carried, None);
    }

    #[test]
    fn a_step_by_hand_counts_for_the_restore_that_it_belongs_to_alone() {
        let only = Asked::Steps(Selection::Only(Step::Objects));
        let old = Some(journal(Step::Database));
        assert_eq!(taken(only, old.clone(), &HERE, Seen::Old).unwrap().journal, old);
        let other = Here { identity: "o", ..HERE };
        assert_eq!(taken(only, old, &other, Seen::Old).unwrap().journal, None);
    }
}
