//! The resume decision: whether a run starts over or continues an unfinished restore, decided before anything is done.

use crate::database::InPlace;
use crate::journal::Journal;
use crate::options::Request;
use crate::step::{Selection, Step};
use anyhow::{Result, bail};
use pipe_kit::{Stop, warning};

/// The run that is about to begin.
pub struct ThisRun<'a> {
    /// Which bundle it restores.
    pub identity: &'a str,
    /// Where it restores to.
    pub target: &'a str,
    /// The command that restores this bundle from the start.
    pub restore: &'a str,
    /// The command that abandons an unfinished restore.
    pub abandon: &'a str,
}

/// What was decided.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    pub selection: Selection,
    /// The journal of the restore that the run continues.
    pub journal: Option<Journal>,
    /// The unfinished restore in whose place this one begins.
    pub replaced: Option<Journal>,
}

/// Decides. `in_place` asks the server which database is in place.
///
/// # Errors
/// [`Stop::refused`] if there is no restore to continue, or it is of another bundle or to another target.
pub fn decide(
    request: Request,
    journal: Option<Journal>,
    this: &ThisRun,
    in_place: impl FnOnce(&Journal) -> InPlace,
) -> Result<Decision> {
    let selection = match request {
        Request::Resume => return resume(journal, this, in_place),
        Request::Steps(selection) => selection,
    };
    match selection {
        Selection::From(first) if first > Step::Database => match journal {
            Some(journal) => {
                refuse_other(&journal, this)?;
                let in_place = in_place(&journal);
                let journal = with_swap(journal, in_place, this)?;
                Ok(Decision { selection, journal: Some(journal), replaced: None })
            }
            None => Ok(Decision { selection, journal, replaced: None }),
        },
        Selection::Only(step) if step != Step::Database => {
            let journal = journal.filter(|j| refuse_other(j, this).is_ok());
            Ok(Decision { selection, journal, replaced: None })
        }
        Selection::All | Selection::From(_) | Selection::Only(_) => {
            Ok(Decision { selection, journal: None, replaced: replaced(journal, this) })
        }
    }
}

fn resume(
    journal: Option<Journal>,
    this: &ThisRun,
    in_place: impl FnOnce(&Journal) -> InPlace,
) -> Result<Decision> {
    let Some(journal) = journal else {
        return Err(Stop::refused(format!(
            "there is no unfinished restore to continue; nothing was changed; to restore: {}",
            this.restore
        ))
        .into());
    };
    refuse_other(&journal, this)?;
    let in_place = in_place(&journal);
    let loading = journal.load.is_some() && !journal.reaches(Step::Objects);
    if in_place == InPlace::Unknown && loading {
        bail!(
            "the database server does not answer, and it alone knows whether the old database was \
             replaced; nothing was changed; start it, then run this again"
        );
    }
    let journal = with_swap(journal, in_place, this)?;
    let selection = Selection::From(journal.next());
    Ok(Decision { selection, journal: Some(journal), replaced: None })
}

/// The journal, corrected by the server: a run may have been killed between the swap and its record, and
/// the operator may have swapped back since.
fn with_swap(mut journal: Journal, in_place: InPlace, this: &ThisRun) -> Result<Journal> {
    let gone = match in_place {
        InPlace::OtherServer => "the database server is not the one that the restore began with",
        _ if journal.load.is_none() => return Ok(journal),
        InPlace::New => {
            let loaded = journal.load.and_then(|load| load.loaded);
            journal.incomplete |= loaded.is_some_and(|loaded| loaded.left_out > 0);
            journal.finish(Step::Database);
            return Ok(journal);
        }
        InPlace::Old if journal.reaches(Step::Objects) => {
            "the database in place is one that the restore had kept, and that was swapped back since"
        }
        InPlace::Other if journal.reaches(Step::Objects) => {
            "the database in place is not the one that the restore had loaded"
        }
        InPlace::Missing if journal.reaches(Step::Objects) => {
            "the database that the restore had loaded no longer exists"
        }
        // The load is repeated, and keeps what it replaces.
        InPlace::Old | InPlace::Other | InPlace::Missing | InPlace::Unknown => return Ok(journal),
    };
    Err(Stop::refused(format!(
        "{gone}; the restore cannot be continued, and nothing was changed; to restore from the start: {}; to \
         leave things as they are: {}",
        this.restore, this.abandon
    ))
    .into())
}

fn refuse_other(journal: &Journal, this: &ThisRun) -> Result<()> {
    if journal.identity != this.identity {
        return Err(Stop::refused(format!(
            "the unfinished restore is of another bundle, {}; nothing was changed; continue that \
             one, or abandon it ({}), or restore this one from the start: {}",
            journal.bundle.display(),
            this.abandon,
            this.restore
        ))
        .into());
    }
    if journal.target != this.target {
        return Err(Stop::refused(format!(
            "the target of the unfinished restore is {}, but the settings now name {}; nothing was \
             changed; put the earlier .env back (.env.before-…), or, in a copy of that deployment, abandon the \
             restore ({}), or restore from the start: {}",
            journal.target, this.target, this.abandon, this.restore
        ))
        .into());
    }
    Ok(())
}

/// The unfinished restore whose kept databases this one takes over, to drop them in the end.
fn replaced(journal: Option<Journal>, this: &ThisRun) -> Option<Journal> {
    match journal {
        Some(journal) if journal.target == this.target => Some(journal),
        Some(journal) => {
            warning!(
                "the unfinished restore of {} to {} is abandoned now; the databases that it kept are still there",
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
    use bundle_format::report::LoadRecord;
    use pipe_kit::Exit;

    const THIS: ThisRun = ThisRun {
        identity: "i",
        target: "t",
        restore: "restore.sh B",
        abandon: "restore.sh --abandon",
    };

    fn decided(
        request: Request,
        journal: Option<Journal>,
        this: &ThisRun,
        now: InPlace,
    ) -> Result<Decision> {
        decide(request, journal, this, |_| now)
    }

    fn refused(result: Result<Decision>) -> bool {
        result.is_err_and(|e| pipe_kit::status::of(&e) == Exit::Refused)
    }

    #[test]
    fn resume_continues_from_the_first_unfinished_step_and_asks_the_server_about_the_swap() {
        let loading = Journal { load: Some(Load::replacing(Some(7))), ..journal(Step::Stop) };
        for (journal, now, first) in [
            (journal(Step::Preflight), InPlace::Unknown, Step::Preflight),
            (journal(Step::Stop), InPlace::Unknown, Step::Preflight),
            (loading.clone(), InPlace::Old, Step::Preflight),
            (loading.clone(), InPlace::Missing, Step::Preflight),
            (loading.clone(), InPlace::Other, Step::Preflight),
            (loading.clone(), InPlace::New, Step::Objects),
            (journal(Step::Database), InPlace::Unknown, Step::Objects),
            (journal(Step::Start), InPlace::Unknown, Step::Health),
        ] {
            let run = decided(Request::Resume, Some(journal), &THIS, now).unwrap();
            assert_eq!(run.selection, Selection::From(first));
            assert!(run.journal.is_some());
        }
        let unknown = decided(Request::Resume, Some(loading), &THIS, InPlace::Unknown);
        assert!(unknown.is_err() && !refused(unknown));
    }

    #[test]
    fn what_the_load_left_out_counts_only_once_its_database_is_in_place() {
        let loading = Journal { load: Some(Load::replacing(None)), ..journal(Step::Stop) };
        for (left_out, now, incomplete) in
            [(2, InPlace::New, true), (0, InPlace::New, false), (2, InPlace::Old, false)]
        {
            let journal = loading.clone().with_record(Some(LoadRecord { oid: 9, left_out }));
            let run = decided(Request::Resume, Some(journal), &THIS, now).unwrap();
            assert_eq!(run.journal.unwrap().incomplete, incomplete, "{left_out} {now:?}");
        }
    }

    #[test]
    fn resume_without_a_journal_or_with_another_bundle_or_target_is_refused() {
        assert!(refused(decided(Request::Resume, None, &THIS, InPlace::Old)));
        for this in [ThisRun { identity: "o", ..THIS }, ThisRun { target: "o", ..THIS }] {
            for request in [Request::Resume, Request::Steps(Selection::From(Step::Objects))] {
                let journal = Some(journal(Step::Database));
                assert!(refused(decided(request, journal, &this, InPlace::Old)), "{request:?}");
            }
        }
    }

    #[test]
    fn no_restore_is_continued_once_its_database_is_not_in_place_any_more() {
        let loaded = Journal { load: Some(Load::replacing(Some(7))), ..journal(Step::Objects) };
        for request in [Request::Resume, Request::Steps(Selection::From(Step::Config))] {
            for now in [InPlace::Old, InPlace::Other, InPlace::Missing, InPlace::OtherServer] {
                let result = decided(request, Some(loaded.clone()), &THIS, now);
                assert!(refused(result), "{request:?} {now:?}");
            }
            assert!(decided(request, Some(loaded.clone()), &THIS, InPlace::New).is_ok());
        }
        let begun = Some(journal(Step::Preflight));
        assert!(refused(decided(Request::Resume, begun, &THIS, InPlace::OtherServer)));
    }

    #[test]
    fn a_plain_run_starts_over_and_takes_over_the_databases_kept_on_the_same_server() {
        for first in [Selection::All, Selection::From(Step::Stop), Selection::Only(Step::Database)]
        {
            let old = Some(journal(Step::Objects));
            let run = decided(Request::Steps(first), old, &THIS, InPlace::Old).unwrap();
            assert_eq!(run.journal, None, "{first:?}");
            assert_eq!(run.replaced.unwrap().previous, [7], "{first:?}");
        }
        let elsewthis = ThisRun { target: "o", ..THIS };
        let old = Some(journal(Step::Objects));
        let run = decided(Request::Steps(Selection::All), old, &elsewthis, InPlace::Old).unwrap();
        assert_eq!(run.replaced, None);
    }

    #[test]
    fn a_single_step_counts_for_the_restore_that_it_belongs_to_alone() {
        let only = Request::Steps(Selection::Only(Step::Objects));
        let old = Some(journal(Step::Database));
        assert_eq!(decided(only, old.clone(), &THIS, InPlace::Old).unwrap().journal, old);
        let other = ThisRun { identity: "o", ..THIS };
        assert_eq!(decided(only, old, &other, InPlace::Old).unwrap().journal, None);
    }
}
