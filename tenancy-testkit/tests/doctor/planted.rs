//! One planted defect for each rule: found by it, by no other, with its object, and gone after the mending.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use tenancy_testkit::TestDatabase;
use tenancy_testkit::doctor::{Declarations, Doctor, Finding, Mend, rules};

use crate::support::{TestResult, clean, declared, run, user};

/// A defect. In its texts `{app}`, `{owner}`, `{role}` and `{db}` stand for names that differ from run to run.
struct Plant {
    code: &'static str,
    /// Run as the server's administrator, who then works as the owner unless it says otherwise.
    sql: &'static str,
    object: &'static str,
    /// Whether the examined role is one of this defect's own, and not the application's.
    own_role: bool,
    /// Declared beside the clean database's tables.
    owned: &'static [&'static str],
    global: &'static [&'static str],
    /// For a rule that no statement mends.
    undo: &'static str,
    /// What this defect cannot be without.
    also: &'static [&'static str],
    /// What is found once the mending has brought a table within the other rules' sight.
    leaves: &'static [&'static str],
}

const NONE: Plant = Plant {
    code: "",
    sql: "",
    object: "",
    own_role: false,
    owned: &[],
    global: &[],
    undo: "",
    also: &[],
    leaves: &[],
};

const fn plant(code: &'static str, object: &'static str, sql: &'static str) -> Plant {
    Plant { code, sql, object, ..NONE }
}

const fn role(code: &'static str, object: &'static str, sql: &'static str) -> Plant {
    Plant { code, sql, object, own_role: true, ..NONE }
}

/// Rules whose defect no statement plants: the tests beside them.
const ELSEWHERE: [&str; 2] = [
    // `rules::server::tests`: a server has one version.
    "TD100", // `pooler.rs`: it takes a pooler.
    "TD101",
];

const GOOD: &str = "(tenant_id = (SELECT nullif(current_setting('tenancy.tenant_id', true), '')::bigint))";

const PLANTED: &[Plant] = &[
    role("TD001", "{role}", "RESET ROLE; ALTER ROLE {role} SUPERUSER"),
    role("TD002", "{role}", "RESET ROLE; ALTER ROLE {role} BYPASSRLS"),
    role("TD003", "pg_read_all_data", "RESET ROLE; GRANT pg_read_all_data TO {role}"),
    role(
        "TD004",
        "public.orders",
        "RESET ROLE; ALTER TABLE orders OWNER TO {role}; ALTER TABLE orders NO FORCE ROW LEVEL SECURITY",
    ),
    role("TD005", "public.orders", "RESET ROLE; ALTER TABLE orders OWNER TO {role}"),
    role("TD006", "{role}", "RESET ROLE; ALTER ROLE {role} CREATEROLE"),
    plant("TD007", "public", "GRANT CREATE ON SCHEMA public TO PUBLIC"),
    plant("TD008", "{db}", "GRANT CREATE ON DATABASE {db} TO {app}"),
    plant(
        "TD010",
        "public.orders",
        "DROP POLICY tenancy ON orders; ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
    ),
    plant("TD011", "public.orders", "ALTER TABLE orders DISABLE ROW LEVEL SECURITY"),
    plant("TD012", "public.orders", "DROP POLICY tenancy ON orders"),
    plant("TD013", "public.orders", "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY"),
    plant(
        "TD020",
        "public.orders.published",
        "CREATE POLICY published ON orders FOR SELECT USING (note = 'published')",
    ),
    plant("TD021", "public.orders.everything", "CREATE POLICY everything ON orders FOR SELECT USING (true)"),
    plant(
        "TD022",
        "public.orders.reading",
        "DROP POLICY tenancy ON orders; CREATE POLICY reading ON orders USING {good}",
    ),
    plant(
        "TD023",
        "public.orders.tenancy",
        "ALTER POLICY tenancy ON orders USING (tenant_id > 0) WITH CHECK {good}",
    ),
    plant(
        "TD024",
        "public.orders.tenancy",
        "ALTER POLICY tenancy ON orders USING (tenant_id = nullif(current_setting('tenancy.tenant_id', true), '')::bigint)",
    ),
    plant(
        "TD025",
        "public.orders.tenancy",
        "ALTER POLICY tenancy ON orders USING (tenant_id = (SELECT current_setting('tenancy.tenant_id', true)::bigint) \
         AND note <> 'hidden')",
    ),
    plant("TD030", "public.\"Open orders\"", "CREATE VIEW \"Open orders\" AS SELECT * FROM recent"),
    plant("TD031", "public.totals", "CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM orders"),
    plant(
        "TD040",
        "public.total(integer)",
        "CREATE FUNCTION total(int) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.orders'",
    ),
    plant(
        "TD041",
        "public.total(integer)",
        "RESET ROLE; CREATE FUNCTION public.total(int) RETURNS bigint LANGUAGE sql SECURITY DEFINER \
         SET search_path = pg_catalog AS 'SELECT count(*) FROM public.orders'",
    ),
    plant("TD042", "public.shout(text)", "RESET ROLE; ALTER FUNCTION shout(text) LEAKPROOF"),
    plant(
        "TD043",
        "public.become(text)",
        "CREATE FUNCTION become(text) RETURNS text LANGUAGE sql AS \
         $$SELECT set_config('tenancy.tenant_id', $1, true)$$",
    ),
    plant("TD050", "public.\"Orders' note\"", "CREATE UNIQUE INDEX \"Orders' note\" ON orders (lower(note))"),
    plant(
        "TD050",
        "public.customers_email_only",
        "ALTER TABLE customers ADD CONSTRAINT customers_email_only UNIQUE (email)",
    ),
    plant(
        "TD051",
        "public.events_key",
        "DROP TABLE events_2026, events; CREATE TABLE events (tenant_id bigint NOT NULL, id bigint GENERATED ALWAYS AS \
         IDENTITY CONSTRAINT events_key PRIMARY KEY); CREATE INDEX ON events (tenant_id); \
         ALTER TABLE events ENABLE ROW LEVEL SECURITY; ALTER TABLE events FORCE ROW LEVEL SECURITY; \
         CREATE POLICY tenancy ON events USING {good} WITH CHECK {good}",
    ),
    plant(
        "TD052",
        "public.orders.of_another",
        "ALTER TABLE orders ADD t bigint, ADD c bigint, \
         ADD CONSTRAINT of_another FOREIGN KEY (t, c) REFERENCES customers",
    ),
    Plant {
        also: &["TD050"],
        ..plant(
            "TD052",
            "public.orders.of_any",
            "CREATE UNIQUE INDEX every ON customers (id); \
             ALTER TABLE orders ADD CONSTRAINT of_any FOREIGN KEY (customer_id) REFERENCES customers (id)",
        )
    },
    plant(
        "TD053",
        "public.orders.of_another",
        "ALTER TABLE orders ADD t bigint, ADD c bigint, \
         ADD CONSTRAINT of_another FOREIGN KEY (t, c) REFERENCES customers ON DELETE SET NULL",
    ),
    plant(
        "TD054",
        "public.customers.customers_country_fkey",
        "ALTER TABLE customers DROP CONSTRAINT customers_country_fkey, \
         ADD CONSTRAINT customers_country_fkey FOREIGN KEY (country) REFERENCES countries ON DELETE CASCADE",
    ),
    plant(
        "TD055",
        "public.countries.best",
        "ALTER TABLE countries ADD t bigint, ADD c bigint, ADD CONSTRAINT best FOREIGN KEY (t, c) REFERENCES customers",
    ),
    plant("TD056", "public.orders_at", "CREATE INDEX orders_at ON orders (at)"),
    Plant {
        owned: &["notes"],
        ..plant(
            "TD057",
            "public.notes",
            "CREATE TABLE notes (tenant_id bigint NOT NULL, text text); ALTER TABLE notes ENABLE ROW LEVEL SECURITY; \
             ALTER TABLE notes FORCE ROW LEVEL SECURITY; \
             CREATE POLICY tenancy ON notes USING {good} WITH CHECK {good}",
        )
    },
    Plant {
        leaves: &["TD010", "TD057", "TD063"],
        ..plant("TD060", "public.notes", "CREATE TABLE notes (tenant_id bigint, text text)")
    },
    Plant {
        owned: &["Invoices"],
        undo: "CREATE TABLE \"Invoices\" (tenant_id bigint NOT NULL)",
        leaves: &["TD010", "TD057"],
        ..plant("TD061", "Invoices", "SELECT 1")
    },
    Plant {
        owned: &["notes"],
        leaves: &["TD010", "TD057"],
        ..plant("TD062", "public.notes", "CREATE TABLE notes (text text)")
    },
    plant(
        "TD063",
        "public.events.tenant_id",
        "DROP TABLE events_2026, events; CREATE TABLE events (tenant_id bigint, id bigserial); \
         CREATE INDEX ON events (tenant_id); ALTER TABLE events ENABLE ROW LEVEL SECURITY; \
         ALTER TABLE events FORCE ROW LEVEL SECURITY; \
         CREATE POLICY tenancy ON events USING {good} WITH CHECK {good}",
    ),
    Plant {
        owned: &["notes"],
        ..plant(
            "TD064",
            "public.notes.tenant_id",
            "CREATE TABLE notes (tenant_id text NOT NULL, text text); CREATE INDEX ON notes (tenant_id); \
             ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY; \
             CREATE POLICY tenancy ON notes USING \
               (tenant_id = (SELECT nullif(current_setting('tenancy.tenant_id', true), ''))) WITH CHECK \
               (tenant_id = (SELECT nullif(current_setting('tenancy.tenant_id', true), '')))",
        )
    },
    plant("TD065", "public.settings", "CREATE TABLE settings (name text)"),
    Plant {
        global: &["notes"],
        leaves: &["TD010", "TD057"],
        ..plant("TD066", "public.notes", "CREATE TABLE notes (tenant_id bigint NOT NULL, text text)")
    },
    plant("TD070", "public.orders", "GRANT TRUNCATE ON orders TO PUBLIC"),
    plant("TD071", "public.orders", "GRANT REFERENCES (id) ON orders TO {app}"),
    plant("TD072", "public.orders", "GRANT TRIGGER ON orders TO {app}"),
    plant(
        "TD073",
        "{owner}.public",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT ALL ON TABLES TO {app}",
    ),
    plant(
        "TD080",
        "public.orders.id",
        "CREATE SCHEMA template; CREATE SEQUENCE template.ids; \
         ALTER TABLE orders ALTER id SET DEFAULT nextval('template.ids')",
    ),
    Plant {
        global: &["prices"],
        ..plant(
            "TD081",
            "acme.cheap",
            "CREATE SCHEMA acme; CREATE TABLE prices (id int); CREATE TABLE acme.prices (id int); \
             CREATE VIEW acme.cheap AS SELECT * FROM public.prices WHERE id < 9",
        )
    },
    Plant {
        global: &["prices"],
        ..plant(
            "TD082",
            "acme.cheapest()",
            "CREATE SCHEMA acme; CREATE TABLE prices (id int); CREATE TABLE acme.prices (id int); \
             CREATE FUNCTION acme.cheapest() RETURNS int LANGUAGE plpgsql AS \
             $$ BEGIN RETURN (SELECT min(id) FROM public.prices); END $$",
        )
    },
    Plant {
        global: &["prices", "offers"],
        ..plant(
            "TD083",
            "acme.offers.of_price",
            "CREATE SCHEMA acme; CREATE TABLE prices (id int PRIMARY KEY); CREATE TABLE acme.prices (id int PRIMARY KEY); \
             CREATE TABLE acme.offers (price int CONSTRAINT of_price REFERENCES public.prices)",
        )
    },
    Plant {
        global: &["prices"],
        ..plant(
            "TD084",
            "acme.prices.checked",
            "CREATE SCHEMA acme; CREATE TABLE acme.prices (id int); \
             CREATE FUNCTION checks() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
             CREATE FUNCTION acme.checks() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
             CREATE TRIGGER checked BEFORE INSERT ON acme.prices FOR EACH ROW EXECUTE FUNCTION public.checks()",
        )
    },
    plant(
        "TD090",
        "search_path of {app} in {db}",
        "RESET ROLE; ALTER ROLE {app} IN DATABASE {db} SET search_path = acme, public",
    ),
    plant(
        "TD091",
        "search_path of {db}",
        "RESET ROLE; ALTER DATABASE {db} SET search_path = acme, pg_catalog",
    ),
    plant(
        "TD092",
        "public.lower(text)",
        "CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS $$SELECT 'hijacked'$$",
    ),
    plant(
        "TD093",
        "standard_conforming_strings of {app} in {db}",
        "RESET ROLE; ALTER ROLE {app} IN DATABASE {db} SET standard_conforming_strings = off",
    ),
    plant(
        "TD110",
        "public.events_2027",
        "CREATE TABLE events_2027 PARTITION OF events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
    ),
    plant(
        "TD111",
        "public.elsewhere",
        "RESET ROLE; CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere; \
         CREATE FOREIGN TABLE elsewhere (tenant_id bigint NOT NULL, text text) SERVER nowhere; \
         GRANT SELECT ON elsewhere TO {app}",
    ),
    plant("TD112", "feed.public.orders", "RESET ROLE; CREATE PUBLICATION feed FOR TABLE orders"),
    plant("TD113", "public.orders.kept", "CREATE RULE kept AS ON DELETE TO orders DO ALSO SELECT 1"),
    Plant {
        undo: "DROP TRIGGER copies ON orders",
        ..plant(
            "TD114",
            "public.orders.copies",
            "CREATE FUNCTION copies() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN INSERT INTO events (tenant_id, at) VALUES (NEW.tenant_id, now()); RETURN NEW; END'; \
             CREATE TRIGGER copies AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION copies()",
        )
    },
];

/// Names that a plant's texts stand for.
struct Names {
    db: TestDatabase,
    role: String,
}

impl Names {
    fn fill(&self, text: &str) -> String {
        [
            ("{app}", user(self.db.app_url())),
            ("{owner}", user(self.db.owner_url())),
            ("{role}", self.role.clone()),
            ("{db}", self.db.name().to_owned()),
            ("{good}", GOOD.to_owned()),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, &value))
    }

    async fn admin(&self, statements: &str) -> TestResult {
        run(self.db.admin_url(), &self.fill(statements))
            .await
            .map_err(|error| format!("{statements}: {error}").into())
    }

    async fn examine(
        &self,
        plant: &Plant,
        declared: &Declarations,
    ) -> Result<Vec<Finding>, Box<dyn std::error::Error>> {
        let doctor = Doctor::new(declared);
        let diagnosis = if plant.own_role {
            doctor.with_role(&self.role).examine(self.db.admin_url()).await?
        } else {
            doctor.examine(&self.db).await?
        };
        Ok(diagnosis.findings)
    }
}

/// RLS-01 to RLS-07, RLS-11 to RLS-13, SCH-22, SCH-23, SCH-31.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_planted_defect_is_found_by_its_rule_alone_and_gone_when_mended() -> TestResult {
    let check = |plant: &'static Plant| async move {
        let outcome = found_and_mended(plant).await;
        outcome.err().map(|error| format!("{} {}: {error}", plant.code, plant.object))
    };
    let checked = stream::iter(PLANTED).map(check).buffer_unordered(4);
    let failed: Vec<_> = checked.filter_map(std::future::ready).collect().await;
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

#[test]
fn each_rule_has_a_planted_defect() {
    let planted: BTreeSet<_> = PLANTED.iter().map(|plant| plant.code).chain(ELSEWHERE).collect();
    let rules: BTreeSet<_> = rules().map(|rule| rule.code).collect();
    assert_eq!(planted, rules);
}

async fn found_and_mended(plant: &Plant) -> TestResult {
    let db = clean().await;
    let names = Names { role: format!("{}_role", db.name()), db };
    names.admin("CREATE ROLE {role} LOGIN").await?;
    let outcome = check(plant, &names).await;
    names.admin("REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}").await?;
    names.db.close().await?;
    outcome
}

async fn check(plant: &Plant, names: &Names) -> TestResult {
    let mut declared = plant.owned.iter().fold(declared(), |declared, name| declared.owned(name));
    let globals = declared.clone();
    declared = plant.global.iter().fold(declared, |declared, name| declared.global(name));
    names.admin(&format!("SET ROLE {{owner}}; {}", plant.sql)).await?;

    let found = names.examine(plant, &declared).await?;
    let (object, wanted) = (names.fill(plant.object), |finding: &&Finding| finding.code == plant.code);
    let finding = found.iter().find(wanted).ok_or_else(|| format!("not found: {found:#?}"))?;
    let others = found.iter().filter(|finding| !plant.also.contains(&finding.code.as_str()));
    if finding.object != object || others.count() != 1 {
        return Err(format!("found otherwise: {found:#?}").into());
    }
    match &finding.mend {
        Mend::Sql(sql) => names.admin(sql).await?,
        Mend::Declare(toml) => {
            let added = Declarations::from_toml(toml)?;
            let name = object.trim_start_matches("public.");
            declared = if toml.starts_with("owned") { globals.owned(name) } else { globals.global(name) };
            assert!(added != declared, "the line is read by itself");
        }
        _ => names.admin(plant.undo).await?,
    }
    let left = names.examine(plant, &declared).await?;
    let expected =
        |finding: &Finding| plant.leaves.iter().chain(plant.also).any(|code| *code == finding.code);
    let unexpected: Vec<_> = left.iter().filter(|finding| !expected(finding)).collect();
    if unexpected.is_empty() { Ok(()) } else { Err(format!("left: {unexpected:#?}").into()) }
}
