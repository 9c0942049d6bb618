//! Settings of databases and roles that change how values are written or read, or what a session may do.

use fastrand::Rng;

/// A setting with values to choose from, quoted as SQL wants them.
pub struct Setting {
    pub name: &'static str,
    pub values: &'static [&'static str],
    /// That no plain psql gets a dump past it, whatever the dump contains.
    pub stops_psql: bool,
}

const fn of(name: &'static str, values: &'static [&'static str]) -> Setting {
    Setting { name, values, stops_psql: false }
}

pub const SETTINGS: &[Setting] = &[
    of("datestyle", &["'SQL, DMY'", "'German'", "'Postgres, MDY'", "'ISO, YMD'", "'SQL, MDY'"]),
    of("intervalstyle", &["sql_standard", "iso_8601", "postgres_verbose"]),
    of(
        "timezone",
        &["'Asia/Kathmandu'", "'America/St_Johns'", "'<odd>-15:59'", "'Europe/Amsterdam'", "'UTC'"],
    ),
    of("extra_float_digits", &["-15", "0", "3"]),
    of("bytea_output", &["'escape'", "'hex'"]),
    of("lc_monetary", &["'C'", "'de_DE.UTF-8'", "'es_AR.UTF-8'"]),
    of("lc_numeric", &["'C'", "'de_DE.UTF-8'", "'es_AR.UTF-8'"]),
    of("lc_time", &["'C'", "'de_DE.UTF-8'"]),
    of("xmloption", &["document", "content"]),
    of("xmlbinary", &["hex", "base64"]),
    of("standard_conforming_strings", &["off", "on"]),
    of("backslash_quote", &["off", "on", "safe_encoding"]),
    of("escape_string_warning", &["off", "on"]),
    of("default_text_search_config", &["'pg_catalog.german'", "'pg_catalog.simple'"]),
    of("search_path", &["own", "''", "nowhere, pg_catalog", "own, pg_temp"]),
    of("quote_all_identifiers", &["on"]),
    of("check_function_bodies", &["on", "off"]),
    of("row_security", &["on", "off"]),
    of("statement_timeout", &["'1s'"]),
    of("lock_timeout", &["'1s'"]),
    of("default_transaction_isolation", &["'serializable'", "'repeatable read'"]),
    of("default_transaction_deferrable", &["on"]),
    of("array_nulls", &["off"]),
    of("transform_null_equals", &["on"]),
    of("client_encoding", &["'UTF8'", "'LATIN1'", "'SJIS'"]),
    of("client_min_messages", &["'debug5'", "'error'"]),
    of("synchronize_seqscans", &["on"]),
    of("session_replication_role", &["replica"]),
    of("default_toast_compression", &["pglz"]),
    Setting { name: "default_transaction_read_only", values: &["on"], stops_psql: true },
];

/// Some of them, chosen anew.
pub fn some(r: &mut Rng, locales: &[String], major: u32, for_psql: bool) -> Vec<String> {
    let mut chosen = Vec::new();
    for setting in SETTINGS {
        let value = setting.values[r.usize(..setting.values.len())];
        let wanted = r.bool();
        let known = major >= 14 || setting.name != "default_toast_compression";
        let locale = value.trim_matches('\'');
        let there = !value.contains("UTF-8") || locales.iter().any(|l| l == locale);
        if wanted && known && there && !(for_psql && setting.stops_psql) {
            chosen.push(format!("{} = {value}", setting.name));
        }
    }
    chosen
}

/// Gives each to the database, the role, or the role in the database; the SQL that does.
pub fn given(r: &mut Rng, settings: &[String], database: &str, role: &str) -> String {
    let mut sql = String::new();
    for setting in settings {
        let whose = match r.u8(..3) {
            0 => format!("database {database}"),
            1 => format!("role {role}"),
            _ => format!("role {role} in database {database}"),
        };
        sql += &format!("alter {whose} set {setting};\n");
    }
    sql
}
