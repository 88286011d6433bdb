use crate::{Dialect, ErrorKind, Policy, Rewriter};

mod word {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "words")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) word: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn rewriter(dialect: Dialect) -> Rewriter {
    let policy = Policy::builder().owned_table("users").global_writable(word::Entity);
    Rewriter::new(&policy.build().expect("a policy"), dialect)
}

fn upsert(dialect: Dialect, target: &str) -> Result<String, ErrorKind> {
    let sql = format!("INSERT INTO users (id, email) VALUES (1, 'x') ON CONFLICT {target} DO NOTHING");
    rewriter(dialect).explain(&sql).map(|scoped| scoped.sql).map_err(|error| error.kind())
}

/// What stands between ON CONFLICT and DO in the scoped text.
fn scoped(target: &str) -> String {
    let sql = upsert(Dialect::Postgres, target).expect("it is scoped");
    assert_eq!(upsert(Dialect::Sqlite, target).expect("it is scoped").replace('?', "$1"), sql, "{target}");
    let (_, rest) = sql.split_once("ON CONFLICT ").expect("an upsert");
    rest.split_once(" DO NOTHING").expect("an action").0.to_owned()
}

#[test]
fn the_tenant_is_put_into_every_target() {
    for (target, expected) in [
        ("(lower(email))", r#"("tenant_id", lower(email))"#),
        ("((a || email), id)", r#"("tenant_id", (a || email), id)"#),
        ("(email) WHERE gone IS NULL", r#"("tenant_id", email) WHERE gone IS NULL"#),
        (
            "(lower(email)) WHERE NOT gone AND a IN (1, 2)",
            r#"("tenant_id", lower(email)) WHERE NOT gone AND a IN (1, 2)"#,
        ),
        ("(email COLLATE nocase, id)", r#"("tenant_id", email COLLATE nocase, id)"#),
        ("(tenant_id, lower(email))", "(tenant_id, lower(email))"),
        ("(\"tenant_id\", id) WHERE a = 1", "(\"tenant_id\", id) WHERE a = 1"),
        // The column inside of an expression, or beside a collation, is none that a key is sure to have.
        ("((tenant_id), id)", r#"("tenant_id", (tenant_id), id)"#),
        ("(coalesce(tenant_id, 1), id)", r#"("tenant_id", coalesce(tenant_id, 1), id)"#),
        ("(tenant_id COLLATE nocase, id)", r#"("tenant_id", tenant_id COLLATE nocase, id)"#),
        ("(id) WHERE tenant_id = 2", r#"("tenant_id", id) WHERE tenant_id = 2"#),
    ] {
        assert_eq!(scoped(target), expected);
    }
}

#[test]
fn a_target_that_is_no_plain_expression_of_columns_is_refused() {
    for target in [
        "((SELECT id FROM users))",
        "(id) WHERE EXISTS (SELECT 1 FROM users)",
        "(id) WHERE id IN (SELECT id FROM users)",
        "(lower((SELECT email FROM secrets)))",
        "(id) WHERE count(*) > 1",
        "(row_number() OVER ())",
        "(users.id, lower(email))",
        "(lower(excluded.email))",
        "(id, *)",
        "(ARRAY[id])",
        "(id) WHERE id = ANY (SELECT 1)",
        "(id DESC, lower(email))",
        "(lower(email) text_ops)",
        "()",
        "(id,)",
        "(id, lower(email)) WHERE",
        "(id) WHERE a = 1 b",
        "(id) WHERE a = 1; SELECT 1",
    ] {
        for dialect in [Dialect::Postgres, Dialect::Sqlite] {
            let refused = upsert(dialect, target).expect_err(target);
            let kinds = [ErrorKind::ConflictTarget, ErrorKind::Unparsable];
            assert!(kinds.contains(&refused), "{target}: {refused:?}");
        }
    }
    let asked = upsert(Dialect::Postgres, "(pg_read_file('/etc/passwd'))");
    assert_eq!(asked, Err(ErrorKind::FunctionNotAllowed));
    let asked = upsert(Dialect::Postgres, "(('users'::regclass))");
    assert_eq!(asked, Err(ErrorKind::ConstructNotAllowed));
}

/// Where the other databases know nothing of it, the parser is asked as before.
#[test]
fn mysql_has_no_conflict_targets() {
    assert_eq!(upsert(Dialect::MySql, "(lower(email))"), Err(ErrorKind::Unparsable));
}

/// What looks like a target, and is a function of the application's in a join, is not taken out unseen.
#[test]
fn on_conflict_is_only_a_target_where_an_insert_has_it() {
    let policy = Policy::builder().owned_table("users").allow_function("conflict").build().expect("a policy");
    let rewriter = Rewriter::new(&policy, Dialect::Postgres);
    let join = "SELECT u.id, u.email FROM users u JOIN users v ON conflict (u.id + v.id)";
    for sql in [
        join.to_owned(),
        format!("INSERT INTO users (id, email) {join} ON CONFLICT (id) DO NOTHING"),
        format!("INSERT INTO users (id, email) {join} ON CONFLICT (lower(email)) DO NOTHING"),
        format!("INSERT INTO users (id, email) {join} WHERE u.id = 1 ON CONFLICT (id) DO NOTHING"),
        format!("{join} DO NOTHING"),
        "SELECT id FROM users WHERE id = 1 ON CONFLICT (lower(email)) DO NOTHING".to_owned(),
        "INSERT INTO users (id) VALUES (1) ON CONFLICT (id) DO NOTHING ON CONFLICT (lower(email)) DO NOTHING"
            .to_owned(),
        "INSERT INTO users (id) VALUES (1) ON CONFLICT (lower(email)) (id) DO NOTHING".to_owned(),
    ] {
        assert!(rewriter.explain(&sql).is_err(), "{sql}");
    }
}

/// A condition of the target is none of the update, and the update's own stays its own.
#[test]
fn the_updated_row_is_guarded_behind_a_target_with_a_condition() {
    let head = "INSERT INTO users (id, email) VALUES ($1, $2) ON CONFLICT (lower(email)) WHERE gone = $3";
    let update = "DO UPDATE SET email = excluded.email";
    let sql =
        |tail: &str| rewriter(Dialect::Postgres).explain(&format!("{head} {update}{tail}")).map(|s| s.sql);
    let guarded = r#"ON CONFLICT ("tenant_id", lower(email)) WHERE gone = $3 DO UPDATE SET email = excluded.email WHERE"#;
    let alone = sql("").expect("it is scoped");
    assert!(alone.ends_with(&format!(r#"{guarded} users."tenant_id" = $4 /* scoped */"#)), "{alone}");
    let both = sql(" WHERE users.a OR users.b").expect("it is scoped");
    let condition = r#"(users.a OR users.b) AND users."tenant_id" = $4 /* scoped */"#;
    assert!(both.ends_with(&format!("{guarded} {condition}")), "{both}");
    assert!(sql(" WHERE users.a WHERE users.b").is_err());
}

#[test]
fn a_global_tables_target_is_looked_at_too() {
    let global = |target: &str| {
        let sql = format!("INSERT INTO words (word) VALUES ('x') ON CONFLICT {target} DO NOTHING");
        rewriter(Dialect::Postgres).explain(&sql).map(|scoped| scoped.sql)
    };
    let kept = global("(lower(word))").expect("it is let through");
    assert!(kept.ends_with("ON CONFLICT (lower(word)) DO NOTHING"), "{kept}");
    assert!(global("(lower((SELECT email FROM users)))").is_err());
}
