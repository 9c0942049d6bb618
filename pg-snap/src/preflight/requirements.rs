//! What a dump needs beside roles, rights and extensions.

use super::facts::Facts;
use super::findings::{Findings, Plan};
use super::probes::{Failed, Subject};
use crate::database_state::How;
use crate::sql::ident;

const MISSING_FILE: &str = "58P01";
const BAD_FILE: &str = "F0000";
const BAD_PARAMETER: &str = "22023";
const NOT_BUILT_IN: &str = "0A000";
/// What ICU refuses has no code of its own.
const INTERNAL: &str = "XX000";
const MAY_NOT: &str = "42501";

/// Adds a line for each.
pub fn check(plan: &Plan<'_>, facts: &Facts, found: &mut Findings) {
    if !facts.standbys_missing.is_empty() {
        found.note(format!(
            "the server waits for standbys ({}: synchronous_standby_names), and none is connected: a load does \
             not wait for one, but what writes afterwards does; connect it, or: ALTER SYSTEM SET \
             synchronous_standby_names = ''; SELECT pg_reload_conf();",
            facts.standbys_missing
        ));
    }
    let state = plan.needs.state.as_ref();
    let Some(requirements) = state.and_then(|state| state.requirements.as_ref()) else { return };
    for space in &requirements.tablespaces {
        match facts.tablespaces.get(space) {
            None => found.problem(format!(
                "tables or indexes of the dump lie in tablespace {space}, which the server lacks; as a \
                 superuser, with an empty directory of the server's user: CREATE TABLESPACE {} LOCATION '…';",
                ident(space)
            )),
            Some(here) if !here.ours && !facts.superuser => found.problem(format!(
                "tables or indexes of the dump lie in tablespace {space}, where role {} may make nothing; as a \
                 superuser: GRANT CREATE ON TABLESPACE {} TO {};",
                facts.me,
                ident(space),
                ident(&facts.me)
            )),
            Some(_) => {}
        }
    }
    for value in &requirements.row_values {
        if matches!(value.how, How::Late | How::Ambiguous) {
            found.problem(format!(
                "{}; in the dump's text, give the column the type text, and load that",
                value.unreadable()
            ));
        }
    }
    for failed in &facts.failed {
        probe(failed, facts, found);
    }
}

fn probe(Failed { subject, about, state }: &Failed, facts: &Facts, found: &mut Findings) {
    let problem = match (subject, state.as_str()) {
        (Subject::Dictionary, MISSING_FILE | BAD_FILE) => format!(
            "text search dictionary {about}: the server has not these files, or cannot read them; copy them from \
             the old server into tsearch_data below what pg_config --sharedir says"
        ),
        (Subject::Locale, BAD_PARAMETER) => format!(
            "collation {about}: the locale is not on the server's system; there, on Debian: add it to \
             /etc/locale.gen, run locale-gen, and restart PostgreSQL"
        ),
        (Subject::IcuCollation, _) if !facts.icu => no_icu(about),
        (Subject::IcuCollation, NOT_BUILT_IN) => no_icu(about),
        (Subject::IcuCollation, BAD_PARAMETER | INTERNAL) => format!(
            "collation {about}: the server's ICU does not know the locale or the rules; load it into a server \
             with the ICU of the old one"
        ),
        (Subject::Library, MISSING_FILE) => format!(
            "a function in C needs library {about}, which the server lacks; install it there, in what \
             pg_config --pkglibdir says"
        ),
        (Subject::Library, MAY_NOT) => format!(
            "the dump makes functions in C of library {about}, which takes a superuser; load as one (PGUSER)"
        ),
        (Subject::Guarded, MAY_NOT) => format!(
            "the dump makes {about}, which role {} may not; load as a superuser (PGUSER)",
            facts.me
        ),
        (Subject::RowValue, state) if state.starts_with("42") || state.starts_with("22") => {
            format!(
                "the dump names {about}, which the server does not know: no load reads these rows; load it into the \
             major that it is from"
            )
        }
        _ => {
            let about = match subject {
                Subject::Dictionary => format!("text search dictionary {about}"),
                Subject::Locale | Subject::IcuCollation => format!("collation {about}"),
                Subject::Library => format!("library {about}"),
                Subject::Guarded | Subject::RowValue => about.clone(),
            };
            return found.note(format!(
                "whether the server has what the dump needs cannot be tried: {about} (SQLSTATE {state})"
            ));
        }
    };
    found.problem(problem);
}

fn no_icu(about: &str) -> String {
    format!(
        "collation {about} is ICU's, and the server has no ICU; load it into one that was built with it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_probe_ends_with_decides_whether_it_is_a_problem_or_a_note() {
        let facts = Facts { me: "me".into(), icu: true, ..Facts::default() };
        for (subject, state, problem, words) in [
            (Subject::Dictionary, "F0000", true, "tsearch_data"),
            (Subject::Dictionary, "58P01", true, "tsearch_data"),
            (Subject::Dictionary, "42501", false, "text search dictionary x (SQLSTATE 42501)"),
            (Subject::Locale, "22023", true, "locale-gen"),
            (Subject::IcuCollation, "22023", true, "does not know the locale"),
            (Subject::IcuCollation, "XX000", true, "does not know the locale"),
            (Subject::IcuCollation, "0A000", true, "no ICU"),
            (Subject::IcuCollation, "57014", false, "collation x (SQLSTATE 57014)"),
            (Subject::Library, "58P01", true, "pkglibdir"),
            (Subject::Library, "42501", true, "takes a superuser"),
            (Subject::Guarded, "42501", true, "role me may not"),
            (Subject::RowValue, "42P01", true, "no load reads these rows"),
            (Subject::RowValue, "57014", false, "SQLSTATE 57014"),
        ] {
            let mut found = Findings::default();
            let failed = Failed { subject, about: "x".into(), state: state.into() };
            probe(&failed, &facts, &mut found);
            let (some, none) = match problem {
                true => (found.problems, found.notes),
                false => (found.notes, found.problems),
            };
            assert!(none.is_empty() && some.len() == 1 && some[0].contains(words), "{some:?}");
        }
        let failed =
            Failed { subject: Subject::IcuCollation, about: "x".into(), state: "22023".into() };
        let mut found = Findings::default();
        probe(&failed, &Facts::default(), &mut found);
        assert!(found.problems[0].contains("has no ICU"), "{found:?}");
    }
}
