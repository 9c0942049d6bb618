use super::*;

const DUMP: &str = r#"--
-- PostgreSQL database dump
--

-- pg-snap-database: {"name":"d","owner":"o","encoding":"UTF8","collate":"C","ctype":"C","tablespace":"pg_default","connection_limit":-1,"grants":[{"grantee":null,"privilege":"CONNECT","grantable":false}],"settings":[{"role":null,"name":"DateStyle","value":"ISO"}]}

SET statement_timeout = 0;

--
-- Name: s; Type: SCHEMA; Schema: -; Owner: o
--

CREATE SCHEMA s;


ALTER SCHEMA s OWNER TO o;

SET default_tablespace = '';

--
-- Name: t; Type: TABLE; Schema: s; Owner: o
--

CREATE TABLE s.t (
    a integer NOT NULL,
    CONSTRAINT positive CHECK ((a > 0))
);


ALTER TABLE s.t OWNER TO o;

--
-- Data for Name: t; Type: TABLE DATA; Schema: s; Owner: o
--

COPY s.t (a) FROM stdin;
1
\.


--
-- Name: q; Type: SEQUENCE SET; Schema: s; Owner: o
--

SELECT pg_catalog.setval('s.q', 7, true);


--
-- Name: t t_pkey; Type: CONSTRAINT; Schema: s; Owner: o
--

ALTER TABLE ONLY s.t
    ADD CONSTRAINT t_pkey PRIMARY KEY (a);


--
-- Name: SCHEMA s; Type: ACL; Schema: -; Owner: o
--

GRANT USAGE ON SCHEMA s TO r;


--
-- Name: TABLE t; Type: ACL; Schema: s; Owner: o
--

GRANT SELECT,INSERT ON TABLE s.t TO r;


--
-- PostgreSQL database dump complete
--

"#;

fn definitions(dump: &str) -> Vec<DumpDefinition> {
    let mut all = Vec::new();
    let mut found = |definition: &DumpDefinition| {
        all.push(definition.clone());
        Ok(())
    };
    let mut reader = DefinitionReader { entry: None, has_head: false, found: &mut found };
    reader.scan(&mut Scanner::default(), dump.as_bytes()).unwrap();
    reader.end_entry().unwrap();
    all
}

#[test]
fn definitions_are_listed_by_kind_schema_table_and_name_and_data_is_not() {
    let all = definitions(DUMP);
    let line = |d: &DumpDefinition| {
        format!("{} [{}] {:?} {}", d.kind, d.schema, d.table.as_deref().unwrap_or_default(), d.name)
    };
    assert_eq!(
        all.iter().map(line).collect::<Vec<_>>(),
        [
            r#"DATABASE [] "" GRANT CONNECT ON DATABASE TO PUBLIC"#,
            r#"DATABASE [] "" SET DateStyle"#,
            r#"SCHEMA [s] "" s"#,
            r#"COLUMN [s] "t" t a"#,
            r#"CONSTRAINT [s] "t" t positive"#,
            r#"TABLE [s] "t" t"#,
            r#"CONSTRAINT [s] "t" t t_pkey"#,
            r#"ACL [s] "" GRANT USAGE ON SCHEMA s TO r"#,
            r#"ACL [s] "t" GRANT SELECT ON TABLE s.t TO r"#,
            r#"ACL [s] "t" GRANT INSERT ON TABLE s.t TO r"#,
        ]
    );
    assert!(all.iter().all(|d| d.sha256.len() == 64));
}

#[test]
fn a_hash_depends_on_the_definition_and_not_on_owner_data_or_settings_of_the_session() {
    let same = DUMP
        .replace("OWNER TO o", "OWNER TO other")
        .replace("SET default_tablespace = '';", "")
        .replace("\n1\n", "\n1\n2\n")
        .replace("'s.q', 7", "'s.q', 8");
    assert_ne!(same, DUMP);
    assert_eq!(definitions(&same), definitions(DUMP));
    let other = definitions(&DUMP.replace("PRIMARY KEY (a)", "UNIQUE (a)"));
    let differing = definitions(DUMP).iter().zip(&other).filter(|(a, b)| a != b).count();
    assert_eq!(differing, 1);
}

#[test]
fn a_line_of_text_cannot_be_forged() {
    let definition = DumpDefinition {
        kind: "TABLE".into(),
        schema: "s".into(),
        table: None,
        name: "a\nb".into(),
        sha256: "0".into(),
    };
    assert_eq!(to_text(&definition), "0  TABLE  s.a\\nb");
}
