//! Reports of every kind, for tests.

use bundle_format::report::{
    DRILL_FORMAT, DrillCheck, DrillGoals, DrillLevel, DrillReport, DrillResult, DrillServer,
    DrillStep, DrillVerdict, DrilledBundle, PreviousDrill,
};
use chrono::{DateTime, TimeDelta, Utc};

/// A report, and those before it.
pub struct Sample {
    pub name: &'static str,
    pub report: DrillReport,
    pub before: Vec<DrillReport>,
}

/// Text that would be markup if it were not escaped.
pub const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'; DROP TABLE \"documents\"; --",
    "a | b\n| c | d |\n# heading",
    "](javascript:alert(1)) ![x](https://example.com/x.png) **bold** `code` &lt;b&gt; &amp;",
    "\u{202e}txet desrever\u{202c} </td></tr></table></style><style>*{display:none}",
];

pub fn samples() -> Vec<Sample> {
    let history = |count| (0..count).map(earlier).collect();
    vec![
        Sample { name: "passed", report: passed(), before: history(30) },
        Sample { name: "findings", report: findings(), before: history(7) },
        Sample { name: "damaged", report: damaged(), before: history(3) },
        Sample {
            name: "first",
            report: DrillReport { previous: None, ..passed() },
            before: Vec::new(),
        },
        Sample {
            name: "empty",
            report: DrillReport::default(),
            before: vec![DrillReport::default()],
        },
        Sample { name: "tenants", report: tenants(90), before: vec![tenants(0)] },
    ]
}

fn start() -> DateTime<Utc> {
    "2026-04-21T03:30:12Z".parse().unwrap()
}

fn step(step: &str, verdict: DrillVerdict, begins: f64, seconds: f64) -> DrillStep {
    DrillStep { step: step.to_owned(), verdict, begins, seconds, detail: None }
}

pub fn check(
    step: &str,
    check: &str,
    verdict: DrillVerdict,
    expected: &str,
    found: &str,
) -> DrillCheck {
    DrillCheck {
        step: step.to_owned(),
        check: check.to_owned(),
        verdict,
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

fn passed_checks() -> Vec<DrillCheck> {
    use DrillVerdict::{Note, Pass};
    vec![
        check("validate", "seal", Pass, "intact", "intact"),
        check("compare", "tables", Pass, "412", "412"),
        check("compare", "rows of public.tenants", Pass, "40", "40"),
        check("compare", "rows of tenant_0001.documents", Pass, "15000", "15000"),
        check(
            "compare",
            "rows of tenant_0002.documents, against the drill before",
            Note,
            "about 14210",
            "16877",
        ),
        check("compare", "sequences", Pass, "none behind", "none behind"),
        check("objects", "objects of the mirror", Pass, "48211", "48211"),
        check("objects", "keys of objects.sql that are in the mirror", Pass, "48190", "48190"),
        check("config", "files that .env names", Pass, "7", "7"),
        check("checks", "drill.d/10-newer-rows.sql", Pass, "no row", "no row"),
        check("app", "health check", Pass, "healthy", "healthy"),
    ]
}

fn passed_steps() -> Vec<DrillStep> {
    use DrillVerdict::{Note, Pass};
    vec![
        step("validate", Pass, 0.0, 31.2),
        step("server", Pass, 31.2, 2.9),
        step("load", Pass, 34.1, 262.4),
        step("compare", Note, 296.5, 41.0),
        step("objects", Pass, 337.5, 12.2),
        step("config", Pass, 349.7, 0.31),
        step("checks", Pass, 350.0, 3.6),
        step("app", Pass, 353.6, 78.8),
        step("report", Pass, 432.4, 0.2),
    ]
}

/// A drill in which everything is as expected.
pub fn passed() -> DrillReport {
    DrillReport {
        format: DRILL_FORMAT,
        drill: "drill_20260421T033012Z".to_owned(),
        toolkit: "0.1.0".to_owned(),
        host: "backup.piprio.example".to_owned(),
        started: start(),
        seconds: 432.6,
        result: DrillResult::Passed,
        level: DrillLevel::App,
        bundle: bundle(),
        server: Some(DrillServer {
            version: "17.4".to_owned(),
            source: "/usr/lib/postgresql/17/bin".to_owned(),
            database_bytes: Some(3_412_231_111),
        }),
        goals: DrillGoals {
            rto_seconds: Some(262.4),
            rto_goal_seconds: Some(1800.0),
            rpo_seconds: Some(5412.0),
            rpo_goal_seconds: Some(86_400.0),
        },
        steps: passed_steps(),
        checks: passed_checks(),
        rows: [("public", 52_310), ("tenant_0001", 71_204), ("tenant_0002", 16_877)]
            .map(|(schema, rows)| (schema.to_owned(), rows))
            .into(),
        previous: Some(PreviousDrill {
            drill: "drill_20260414T033007Z".to_owned(),
            sha256: "5f0c3b1d9a7e42c88a6f0de9c41b7a35e2d96c07b8f14a3d6e5c9b20a1f7d843".to_owned(),
        }),
        files: std::collections::BTreeMap::new(),
    }
}

fn bundle() -> DrilledBundle {
    DrilledBundle {
        name: "piprio_20260421T020000Z".to_owned(),
        path: "/srv/backups/piprio_20260421T020000Z".to_owned(),
        taken: Some("2026-04-21T02:00:00Z".parse().unwrap()),
        domain: "piprio.example".to_owned(),
        version: "2026.4.1".to_owned(),
        seal: Some("c1a9d27e6b3f4805d2e7f1a8b96c3d40e5f7a1b2c3d4e5f60718293a4b5c6d7e".to_owned()),
        database_bytes: Some(412_887_331),
        objects_bytes: Some(21_474_836_480),
        objects: Some(48_211),
        config_bytes: Some(18_432),
    }
}

/// A drill with 200 checks, hostile names, and names of 300 characters.
fn findings() -> DrillReport {
    use DrillVerdict::{Failed, Finding, Note, Pass, Skipped};
    let long = format!("rows of {}.{}", "tenant_with_a_long_name".repeat(7), "x".repeat(131));
    let mut report = passed();
    report.result = DrillResult::Finding;
    report.host = HOSTILE[0].to_owned();
    report.checks = (1..=188)
        .map(|n| {
            check("compare", &format!("rows of tenant_{n:04}.documents"), Pass, "15000", "15000")
        })
        .collect();
    for text in HOSTILE {
        report.checks.push(check("compare", text, Finding, text, text));
    }
    report.checks.push(check("compare", &long, Finding, "15000", "14998"));
    report.checks.push(check(
        "objects",
        "keys of objects.sql that are in the mirror",
        Finding,
        "48190",
        "48189; missing: tenants/0007/doc 18.pdf",
    ));
    report.checks.push(check(
        "checks",
        "drill.d/20-key.sh",
        Failed,
        "status 0",
        "ended by SIGKILL after 600 s",
    ));
    report.checks.push(check(
        "compare",
        "settings",
        Note,
        "TimeZone UTC",
        "TimeZone Europe/Zurich",
    ));
    report.checks.push(check("app", "health check", Skipped, "healthy", "not tried"));
    report.checks.push(check("compare", &long, Pass, &long, &long));
    report.goals.rto_seconds = Some(2111.0);
    report.goals.rpo_seconds = Some(90_061.0);
    report.bundle.domain = HOSTILE[1].to_owned();
    report.steps[3].verdict = Finding;
    report.steps[3].detail = Some(format!("{} findings; {}", 7, HOSTILE[5]));
    report.steps[6] = step("checks", Failed, 350.0, 3.6);
    report.steps[6].detail = Some("drill.d/20-key.sh was ended by SIGKILL after 600 s".to_owned());
    report.steps[7] = step("app", Skipped, 353.6, 0.0);
    report.steps[7].detail = Some("the level is data".to_owned());
    report.rows.insert(HOSTILE[1].to_owned(), 3);
    report.rows.insert("s".repeat(300), u64::MAX);
    report
}

/// A drill of a bundle that was damaged, so that no server was started.
fn damaged() -> DrillReport {
    let mut report = passed();
    report.result = DrillResult::Damaged;
    report.level = DrillLevel::Data;
    report.seconds = 18.04;
    report.server = None;
    report.goals.rto_seconds = None;
    report.goals.rpo_goal_seconds = None;
    report.steps = vec![step("validate", DrillVerdict::Failed, 0.0, 18.0)];
    report.steps[0].detail =
        Some("database.sql.gz does not have the SHA-256 of the seal".to_owned());
    report.steps.push(step("report", DrillVerdict::Pass, 18.0, 0.04));
    report.checks =
        vec![check("validate", "seal", DrillVerdict::Failed, "intact", "database.sql.gz differs")];
    report.rows.clear();
    report.bundle.objects = None;
    report.bundle.objects_bytes = None;
    report
}

/// A drill weeks before the others.
fn earlier(number: u32) -> DrillReport {
    let mut report = passed();
    let wave = f64::from(number * 7 % 5) * 9.0;
    report.started = start() - TimeDelta::days(7 * (31 - i64::from(number)));
    report.drill = report.started.format("drill_%Y%m%dT%H%M%SZ").to_string();
    report.bundle.name =
        (report.started - TimeDelta::minutes(90)).format("piprio_%Y%m%dT%H%M%SZ").to_string();
    report.goals.rto_seconds = Some(180.0 + f64::from(number) * 2.5 + wave);
    report.bundle.database_bytes = Some(300_000_000 + u64::from(number) * 3_600_000);
    report.bundle.objects_bytes = Some(12_000_000_000 + u64::from(number) * 310_000_000);
    match number {
        4 | 20 => report.result = DrillResult::Finding,
        6 | 27 => {
            report.result = DrillResult::Damaged;
            report.goals.rto_seconds = None;
        }
        _ => {}
    }
    report
}

/// A drill of a product with a schema for each of many tenants.
fn tenants(more: u64) -> DrillReport {
    let tenant = |n: u64| (format!("tenant_{n:04}"), 100 + (n * 37 % 211) * more);
    DrillReport { rows: (0..400 + more).map(tenant).collect(), ..passed() }
}
