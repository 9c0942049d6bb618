//! Checks by attempt: each statement runs in a transaction that is rolled back, and the SQLSTATE that it
//! ends with is the answer.

use super::superuser;
use crate::database_state::{Dictionary, Requirements, Resolution, SuperuserKind};
use crate::psql::Server;
use crate::sql::{ident, literal};
use anyhow::{Context, Result};

/// What a probe checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeSubject {
    Dictionary,
    /// Of a collation, from the system's C library.
    Locale,
    IcuCollation,
    Library,
    /// Only a superuser may create it.
    Guarded(RowsNeed),
    RowValue,
}

/// Whether rows can be loaded without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsNeed {
    Never,
    /// As an operator class in the key of a partitioned table.
    Perhaps,
    Always,
}

impl ProbeSubject {
    /// Whether only a superuser may create it.
    pub fn is_guarded(self) -> bool {
        matches!(self, Self::Guarded(_))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub subject: ProbeSubject,
    pub about: String,
    statement: String,
}

/// A probe that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedProbe {
    pub subject: ProbeSubject,
    pub about: String,
    pub state: String,
}

/// The SQLSTATE of a statement that succeeded.
pub const NO_ERROR: &str = "00000";

/// The statements that check these requirements.
pub fn probes_for(requirements: &Requirements) -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut add = |subject, about: String, statement: String| {
        probes.push(Probe { subject, about, statement });
    };
    for dictionary in &requirements.dictionaries {
        let about = format!("{} ({})", dictionary.name, files(dictionary).join(", "));
        add(ProbeSubject::Dictionary, about, create(dictionary));
    }
    for collation in &requirements.collations {
        let locale = collation.locale.as_deref().unwrap_or_default();
        let about = format!("{} ({locale})", collation.name);
        if collation.provider == "c" {
            let set = format!("SET LOCAL lc_monetary = {};", literal(locale));
            add(ProbeSubject::Locale, about, set);
        } else if collation.provider == "i" {
            let rules = collation.rules.as_deref().map(|r| format!(", rules = {}", literal(r)));
            let statement = format!(
                "CREATE COLLATION pg_temp.pg_snap_probe (provider = icu, locale = {}{});",
                literal(locale),
                rules.unwrap_or_default()
            );
            add(ProbeSubject::IcuCollation, about, statement);
        }
    }
    for library in &requirements.libraries {
        add(ProbeSubject::Library, library.clone(), format!("LOAD {};", literal(library)));
    }
    probes.extend(guarded(requirements));
    for value in &requirements.row_values {
        // A schema is the database's own, even if it came with the server.
        if value.how == Resolution::System && value.kind != "regnamespace" {
            let about = format!("{} as {} in rows of {}", value.value, value.kind, value.column);
            let kind = format!("pg_catalog.{}", ident(&value.kind));
            let statement = format!("SELECT {}::{kind} WHERE false;", literal(&value.value));
            probes.push(Probe { subject: ProbeSubject::RowValue, about, statement });
        }
    }
    probes
}

/// The statements that check what only a superuser may create.
fn guarded(requirements: &Requirements) -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut add = |need, about: String, statement: String| {
        probes.push(Probe { subject: ProbeSubject::Guarded(need), about, statement });
    };
    if let Some(first) = requirements.foreign_data_wrappers.first() {
        let about = format!("foreign-data wrapper {first}");
        add(RowsNeed::Never, about, "CREATE FOREIGN DATA WRAPPER pg_snap_probe;".into());
    }
    if let Some(first) = requirements.event_triggers.first() {
        let statement = "CREATE FUNCTION pg_temp.pg_snap_probe() RETURNS event_trigger LANGUAGE plpgsql \
             AS 'BEGIN END'\\; CREATE EVENT TRIGGER pg_snap_probe ON sql_drop EXECUTE FUNCTION pg_temp.pg_snap_probe();";
        add(RowsNeed::Never, format!("event trigger {first}"), statement.into());
    }
    for object in &requirements.superuser_objects {
        if let Some(statements) = superuser::attempt(object.kind) {
            let need = rows_need(object.kind);
            add(need, superuser::description(object), statements.into());
        }
    }
    probes
}

fn rows_need(kind: SuperuserKind) -> RowsNeed {
    match kind {
        SuperuserKind::BaseType => RowsNeed::Always,
        SuperuserKind::PublicationOfAllTables
        | SuperuserKind::PublicationOfSchema
        | SuperuserKind::Subscription => RowsNeed::Never,
        _ => RowsNeed::Perhaps,
    }
}

/// The files of a dictionary, below `tsearch_data`.
fn files(dictionary: &Dictionary) -> Vec<String> {
    let suffix = |option: &str| match (dictionary.template.as_str(), option) {
        ("thesaurus", "dictfile") => Some("ths"),
        (_, "dictfile") => Some("dict"),
        (_, "afffile") => Some("affix"),
        (_, "stopwords") => Some("stop"),
        (_, "synonyms") => Some("syn"),
        _ => None,
    };
    let options = dictionary.options.iter();
    options.filter_map(|(name, file)| Some(format!("{file}.{}", suffix(name)?))).collect()
}

/// The dictionary below a thesaurus may be one of the database: any other serves for the probe.
fn create(dictionary: &Dictionary) -> String {
    let options = dictionary.options.iter().map(|(name, value)| {
        let below = dictionary.template == "thesaurus" && name == "dictionary";
        let value = if below { "pg_catalog.simple" } else { value };
        format!(", {} = {}", ident(name), literal(value))
    });
    format!(
        "CREATE TEXT SEARCH DICTIONARY pg_temp.pg_snap_probe (template = pg_catalog.{}{});",
        ident(&dictionary.template),
        options.collect::<String>()
    )
}

/// Runs the probes in one session, and returns those that failed.
pub fn try_all(server: &Server, probes: Vec<Probe>) -> Result<Vec<FailedProbe>> {
    if probes.is_empty() {
        return Ok(Vec::new());
    }
    let statements: Vec<&str> = probes.iter().map(|probe| probe.statement.as_str()).collect();
    let states = states(server, &statements)?;
    let failed = probes.into_iter().zip(states).filter(|(_, state)| state != NO_ERROR);
    Ok(failed
        .map(|(Probe { subject, about, .. }, state)| FailedProbe { subject, about, state })
        .collect())
}

/// Runs each text of statements in a transaction that is rolled back, all in one session; returns the SQLSTATE
/// that each has ended with.
pub fn states(server: &Server, statements: &[impl AsRef<str>]) -> Result<Vec<String>> {
    let mut script = String::from("\\set ON_ERROR_STOP 0\n");
    for statement in statements {
        // What comes before it goes to the server at once.
        script += &format!(
            "BEGIN\\; SET LOCAL search_path = pg_catalog\\; SET LOCAL client_min_messages = error\\; \
             SET LOCAL lock_timeout = '5s'\\; SET LOCAL statement_timeout = '10s';\n{}\n\
             \\echo state :SQLSTATE\nROLLBACK;\n",
            statement.as_ref()
        );
    }
    let answer = server.query(&server.maintenance, &script)?;
    let states = answer.lines().filter_map(|line| line.strip_prefix("state "));
    let states: Vec<String> = states.map(str::to_owned).collect();
    (states.len() == statements.len()).then_some(states).context("checking what a load needs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dump_declares_is_quoted_wherever_it_is_tried() {
        let evil = "x'; DROP DATABASE postgres; --\\".to_owned();
        let option = |name: &str| (name.to_owned(), evil.clone());
        let dictionary = Dictionary {
            name: "d".into(),
            template: "thesaurus\"".into(),
            options: vec![option("dictfile"), option("dictionary")],
        };
        let value = serde_json::json!(
            { "type": "reg\"", "value": evil, "column": "c", "how": "system" }
        );
        let requirements = Requirements {
            dictionaries: vec![dictionary],
            libraries: vec![evil.clone()],
            row_values: vec![serde_json::from_value(value).unwrap()],
            ..Requirements::default()
        };
        let quoted = "E'x''; DROP DATABASE postgres; --\\\\'";
        let statements: Vec<String> =
            probes_for(&requirements).into_iter().map(|p| p.statement).collect();
        assert_eq!(
            statements,
            [
                format!(
                    "CREATE TEXT SEARCH DICTIONARY pg_temp.pg_snap_probe (template = \
                     pg_catalog.\"thesaurus\"\"\", \"dictfile\" = {quoted}, \"dictionary\" = {quoted});"
                ),
                format!("LOAD {quoted};"),
                format!("SELECT {quoted}::pg_catalog.\"reg\"\"\" WHERE false;"),
            ]
        );
    }

    #[test]
    fn a_dictionarys_files_are_named_as_they_lie_there() {
        for (template, option, file) in [
            ("ispell", "dictfile", "x.dict"),
            ("thesaurus", "dictfile", "x.ths"),
            ("ispell", "afffile", "x.affix"),
            ("simple", "stopwords", "x.stop"),
            ("synonym", "synonyms", "x.syn"),
        ] {
            let options = vec![(option.to_owned(), "x".to_owned()), ("accept".into(), "y".into())];
            let dictionary =
                Dictionary { template: template.into(), options, ..Dictionary::default() };
            assert_eq!(files(&dictionary), [file]);
        }
    }
}
