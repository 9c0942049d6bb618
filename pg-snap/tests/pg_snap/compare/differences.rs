//! Changes of the database, the lines that they are reported by, and what takes them back.

pub const DIFFERENCES: &[(&str, &[&str], &str)] = &[
        (
            "delete from shop.cache where a = 1",
            &["table shop.cache: 1 rows, 2 in the dump"],
            "insert into shop.cache values (1)",
        ),
        (
            "insert into shop.child values (6, 7)",
            &["table shop.child: 3 rows, 2 in the dump"],
            "delete from shop.child where a = 6",
        ),
        (
            "update shop.event set at = '2020-06-02' where at = '2021-01-02'",
            &[
                "table shop.event_1: 214 rows, 213 in the dump",
                "table shop.event_2: 86 rows, 87 in the dump",
            ],
            "delete from shop.event_1 where ctid = (select max(ctid) from shop.event_1 where at = '2020-06-02');
             insert into shop.event values ('2021-01-02', 'e')",
        ),
        (
            "insert into shop.colored values ('red')",
            &["table shop.colored: 91 rows, 90 in the dump"],
            "delete from shop.colored where ctid = (select ctid from shop.colored where c = 'red' limit 1) and c = 'red'",
        ),
        (
            "alter table public.\"Odd \"\".; name\" rename to other",
            &[
                "table public.Odd \\\".; name: missing",
                "table public.other: not in the dump",
            ],
            "alter table public.other rename to \"Odd \"\".; name\"",
        ),
        (
            "create schema more; create table more.t (a int primary key)",
            &["schema more: not in the dump", "table more.t: not in the dump"],
            "drop schema more cascade",
        ),
        (
            "alter table shop.orders drop constraint orders_customer_fkey;
             alter table shop.orders add foreign key (customer) references shop.customer not valid",
            &["constraint orders_customer_fkey of shop.orders: not valid"],
            "alter table shop.orders validate constraint orders_customer_fkey",
        ),
        (
            "alter table shop.orders drop constraint positive",
            &["constraint positive of shop.orders: missing"],
            "alter table shop.orders add constraint positive check (amount > 0)",
        ),
        (
            "alter domain shop.positive drop constraint above;
             alter domain shop.positive add constraint above check (value > 0) not valid",
            &["constraint above of shop.positive: not valid"],
            "alter domain shop.positive validate constraint above",
        ),
        (
            "update pg_index set indisvalid = false where indexrelid = 'shop.by_amount'::regclass",
            &["index shop.by_amount: not valid"],
            "update pg_index set indisvalid = true where indexrelid = 'shop.by_amount'::regclass",
        ),
        (
            "update pg_index set indisready = false where indexrelid = 'shop.by_amount'::regclass",
            &["index shop.by_amount: not ready, its build did not finish"],
            "update pg_index set indisready = true where indexrelid = 'shop.by_amount'::regclass",
        ),
        (
            "drop index shop.by_amount",
            &["index shop.by_amount: missing"],
            "create index by_amount on shop.orders (amount)",
        ),
        (
            "select setval('shop.orders_id_seq', 199)",
            &["sequence shop.orders_id_seq: behind, its next value is 200, 201 in the dump"],
            "select setval('shop.orders_id_seq', 5000)",
        ),
        (
            "alter sequence shop.down restart",
            &["sequence shop.down: behind, its next value is 100, 97 in the dump"],
            "select setval('shop.down', 40)",
        ),
        (
            "refresh materialized view shop.totals with no data",
            &["materialized view shop.totals: not populated (REFRESH MATERIALIZED VIEW)"],
            "refresh materialized view shop.totals; refresh materialized view shop.empty",
        ),
        (
            "drop view shop.names",
            &["view shop.names: missing"],
            "create view shop.names as select name from shop.customer",
        ),
        (
            "select lo_unlink(4711)",
            &["large objects: 0, 1 in the dump"],
            "select lo_from_bytea(4711, 'x')",
        ),
];
