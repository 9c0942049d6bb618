//! What a dump needs besides roles, rights and extensions.

use super::facts::Facts;
use super::probes::{FailedProbe, ProbeSubject, RowsNeed};
use super::problems::{Findings, IntendedLoad};
use crate::database_state::Resolution;
use crate::sql::ident;

const MISSING_FILE: &str = "58P01";
const BAD_FILE: &str = "F0000";
const BAD_PARAMETER: &str = "22023";
const NOT_BUILT_IN: &str = "0A000";
/// ICU's errors have no code of their own.
const INTERNAL: &str = "XX000";
const MAY_NOT: &str = "42501";
/// What only a superuser may define in such a way counts as a wrong definition of any other role.
const WRONG_DEFINITION: &str = "42P13";

/// Adds a line for each requirement that the server does not meet.
pub fn check(plan: &IntendedLoad<'_>, facts: &Facts, found: &mut Findings) {
    if !facts.standbys_missing.is_empty() {
        found.note(format!(
            "the server waits for standbys ({}: synchronous_standby_names), and none is connected: a load does \
             not wait for them, but later commits do; connect one, or: ALTER SYSTEM SET \
             synchronous_standby_names = ''; SELECT pg_reload_conf();",
            facts.standbys_missing
        ));
    }
    let state = plan.needs.state.as_ref();
    let Some(requirements) = state.and_then(|state| state.requirements.as_ref()) else { return };
    for space in &requirements.tablespaces {
        match facts.tablespaces.get(space) {
            None => found.problem(format!(
                "tables or indexes of the dump are in tablespace {space}, which the server lacks; as a \
                 superuser, with an empty directory that the server's user owns: CREATE TABLESPACE {} LOCATION '…';",
                ident(space)
            )),
            Some(here) if !here.ours && !facts.superuser => found.problem(format!(
                "tables or indexes of the dump are in tablespace {space}, where role {} may not create objects; as a \
                 superuser: GRANT CREATE ON TABLESPACE {} TO {};",
                facts.me,
                ident(space),
                ident(&facts.me)
            )),
            Some(_) => {}
        }
    }
    for value in &requirements.row_values {
        if matches!(value.how, Resolution::Late | Resolution::Ambiguous) {
            found.problem(format!(
                "{}; in the dump's text, change the column's type to text, and load that",
                value.unreadable()
            ));
        }
    }
    for failed in &facts.failed {
        add_failed_probe(failed, (plan.keep_going, plan.drop_first), facts, found);
    }
}

fn add_failed_probe(
    FailedProbe { subject, about, state }: &FailedProbe,
    choices: (bool, bool),
    facts: &Facts,
    found: &mut Findings,
) {
    let problem = match (subject, state.as_str()) {
        (ProbeSubject::Dictionary, MISSING_FILE | BAD_FILE) => format!(
            "text search dictionary {about}: the server lacks these files or cannot read them; copy them from \
             the source server into tsearch_data below the directory that pg_config --sharedir prints"
        ),
        (ProbeSubject::Locale, BAD_PARAMETER) => format!(
            "collation {about}: the locale is not installed on the server's host; there, on Debian: add it to \
             /etc/locale.gen, run locale-gen, and restart PostgreSQL"
        ),
        (ProbeSubject::IcuCollation, _) if !facts.icu => no_icu(about),
        (ProbeSubject::IcuCollation, NOT_BUILT_IN) => no_icu(about),
        (ProbeSubject::IcuCollation, BAD_PARAMETER | INTERNAL) => format!(
            "collation {about}: the server's ICU does not know the locale or the rules; load it into a server \
             with the ICU version of the source server"
        ),
        (ProbeSubject::Library, MISSING_FILE) => format!(
            "the dump's C functions need library {about}, which the server lacks; install it there, in the \
             directory that pg_config --pkglibdir prints"
        ),
        (ProbeSubject::Library, MAY_NOT) => {
            let about = format!("C functions of library {about}");
            return add_guarded(&about, &facts.me, RowsNeed::Perhaps, choices, found);
        }
        (ProbeSubject::Guarded(need), MAY_NOT | WRONG_DEFINITION) => {
            return add_guarded(about, &facts.me, *need, choices, found);
        }
        (ProbeSubject::RowValue, state) if state.starts_with("42") || state.starts_with("22") => {
            format!(
                "the dump refers to {about}, which the server does not know: no load can read these rows; load it into the \
             major that it is from"
            )
        }
        _ => {
            let about = match subject {
                ProbeSubject::Dictionary => format!("text search dictionary {about}"),
                ProbeSubject::Locale | ProbeSubject::IcuCollation => format!("collation {about}"),
                ProbeSubject::Library => format!("library {about}"),
                ProbeSubject::Guarded(_) | ProbeSubject::RowValue => about.clone(),
            };
            return found.note(format!(
                "cannot check whether the server has what the dump needs: {about} (SQLSTATE {state})"
            ));
        }
    };
    found.problem(problem);
}

/// Adds what only a superuser may create.
fn add_guarded(
    about: &str,
    me: &str,
    need: RowsNeed,
    (keep_going, drop_first): (bool, bool),
    found: &mut Findings,
) {
    let refused = format!("the dump creates {about}, which role {me} may not do");
    const REMEDY: &str = "load as a superuser (PGUSER)";
    match (need, keep_going) {
        (RowsNeed::Always, _) => found.problem(format!("{refused}; {REMEDY}")),
        (RowsNeed::Perhaps, _) if drop_first => found.problem(format!(
            "{refused}, and a load whose rows need it would fail without a database to return to; {REMEDY}, or load \
             without --drop-first"
        )),
        (_, false) => {
            found.problem(format!("{refused}; {REMEDY}, or without such objects: --keep-going"));
        }
        (RowsNeed::Never, true) => found.note(format!("{refused}: it will be left out")),
        (RowsNeed::Perhaps, true) => found.note(format!(
            "{refused}: it will be left out; if rows need it, the load fails, and the old database stays"
        )),
    }
}

fn no_icu(about: &str) -> String {
    format!(
        "collation {about} is an ICU collation, and the server has no ICU; load it into a server built with ICU"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_probe_ends_with_decides_whether_it_is_a_problem_or_a_note() {
        let facts = Facts { me: "me".into(), icu: true, ..Facts::default() };
        for (subject, state, problem, words) in [
            (ProbeSubject::Dictionary, "F0000", true, "tsearch_data"),
            (ProbeSubject::Dictionary, "58P01", true, "tsearch_data"),
            (ProbeSubject::Dictionary, "42501", false, "text search dictionary x (SQLSTATE 42501)"),
            (ProbeSubject::Locale, "22023", true, "locale-gen"),
            (ProbeSubject::IcuCollation, "22023", true, "does not know the locale"),
            (ProbeSubject::IcuCollation, "XX000", true, "does not know the locale"),
            (ProbeSubject::IcuCollation, "0A000", true, "no ICU"),
            (ProbeSubject::IcuCollation, "57014", false, "collation x (SQLSTATE 57014)"),
            (ProbeSubject::Library, "58P01", true, "pkglibdir"),
            (
                ProbeSubject::Library,
                "42501",
                true,
                "C functions of library x, which role me may not",
            ),
            (ProbeSubject::Guarded(RowsNeed::Never), "42501", true, "role me may not"),
            (ProbeSubject::Guarded(RowsNeed::Never), "42P13", true, "role me may not"),
            (ProbeSubject::Guarded(RowsNeed::Never), "42601", false, "SQLSTATE 42601"),
            (ProbeSubject::Guarded(RowsNeed::Always), "42501", true, "role me may not"),
            (ProbeSubject::RowValue, "42P01", true, "no load can read these rows"),
            (ProbeSubject::RowValue, "57014", false, "SQLSTATE 57014"),
        ] {
            let mut found = Findings::default();
            let failed = FailedProbe { subject, about: "x".into(), state: state.into() };
            add_failed_probe(&failed, (false, false), &facts, &mut found);
            let (some, none) = match problem {
                true => (found.problems, found.notes),
                false => (found.notes, found.problems),
            };
            assert!(none.is_empty() && some.len() == 1 && some[0].contains(words), "{some:?}");
        }
        let failed = FailedProbe {
            subject: ProbeSubject::IcuCollation,
            about: "x".into(),
            state: "22023".into(),
        };
        let mut found = Findings::default();
        add_failed_probe(&failed, (false, false), &Facts::default(), &mut found);
        assert!(found.problems[0].contains("has no ICU"), "{found:?}");
    }

    #[test]
    fn what_rows_may_need_is_not_left_out_where_no_database_is_there_to_return_to() {
        use RowsNeed::{Always, Never, Perhaps};
        for (subject, drop_first, notes) in [
            (ProbeSubject::Guarded(Never), false, 1),
            (ProbeSubject::Guarded(Never), true, 1),
            (ProbeSubject::Guarded(Perhaps), false, 1),
            (ProbeSubject::Guarded(Perhaps), true, 0),
            (ProbeSubject::Library, false, 1),
            (ProbeSubject::Library, true, 0),
            (ProbeSubject::Guarded(Always), false, 0),
        ] {
            let failed = FailedProbe { subject, about: "x".into(), state: MAY_NOT.into() };
            let mut found = Findings::default();
            add_failed_probe(&failed, (true, drop_first), &Facts::default(), &mut found);
            assert_eq!((found.notes.len(), found.problems.len()), (notes, 1 - notes), "{found:?}");
        }
    }
}
