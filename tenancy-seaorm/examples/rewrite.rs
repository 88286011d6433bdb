//! Shows what becomes of SQL statements: reads them from standard input, separated by lines `--#`, and prints one line
//! of JSON for each, in order.
//!
//! ```text
//! cargo run -p tenancy-seaorm --example rewrite -- --tables tables.toml < statements.sql
//! ```
//!
//! `--explain` adds where each condition went. `params` lists what the statement binds: a number is the statement's own
//! value, `"tenant"` is the tenant's.

use std::error::Error;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use tenancy_seaorm::{Dialect, LeakyPredicates, Param, Policy, Rewriter};

/// What `--tables` names: which tables there are, and of which dialect the statements are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[serde(default = "tenant_id")]
    tenant_column: String,
    #[serde(default)]
    owned: Vec<String>,
    #[serde(default)]
    global: Vec<String>,
    #[serde(default)]
    dialect: Option<String>,
    /// `refuse`, `fence` or `second_wall`: what becomes of predicates that may fail on other tenants' rows.
    #[serde(default)]
    leaky_predicates: Option<String>,
    #[serde(default)]
    functions: Vec<String>,
    #[serde(default)]
    unique_keys_include_tenant: bool,
}

fn tenant_id() -> String {
    "tenant_id".to_owned()
}

fn main() -> Result<(), Box<dyn Error>> {
    let (path, explain) = arguments()?;
    let tables: Tables = toml::from_str(&std::fs::read_to_string(path)?)?;
    let rewriter = rewriter(tables)?;
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    let mut output = io::stdout().lock();
    for statement in split(&input) {
        writeln!(output, "{}", serde_json::to_string(&line(&rewriter, &statement, explain))?)?;
    }
    Ok(())
}

fn arguments() -> Result<(String, bool), Box<dyn Error>> {
    let (mut path, mut explain) = (None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--tables" => path = arguments.next(),
            "--explain" => explain = true,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    Ok((path.ok_or("usage: rewrite --tables tables.toml [--explain] < statements.sql")?, explain))
}

fn rewriter(tables: Tables) -> Result<Rewriter, Box<dyn Error>> {
    let dialect = match tables.dialect.as_deref() {
        None | Some("postgres" | "postgresql") => Dialect::Postgres,
        Some("sqlite") => Dialect::Sqlite,
        Some("mysql" | "mariadb") => Dialect::MySql,
        Some(other) => return Err(format!("unknown dialect {other}").into()),
    };
    let leaky = match tables.leaky_predicates.as_deref() {
        None | Some("fence") => LeakyPredicates::Fence,
        Some("refuse") => LeakyPredicates::Refuse,
        Some("second_wall") => LeakyPredicates::SecondWall,
        Some(other) => return Err(format!("unknown leaky_predicates {other}").into()),
    };
    let mut policy = Policy::builder().tenant_column(tables.tenant_column).leaky_predicates(leaky);
    for name in &tables.owned {
        policy = policy.owned_table(name);
    }
    for name in &tables.global {
        policy = policy.global_table(name);
    }
    for name in &tables.functions {
        policy = policy.allow_function(name);
    }
    if tables.unique_keys_include_tenant {
        policy = policy.unique_keys_include_tenant();
    }
    Ok(Rewriter::new(&policy.build()?, dialect))
}

/// Splits at lines that are `--#`; a separator at the very end begins no statement.
fn split(input: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    for line in input.split_inclusive('\n') {
        if line.trim_end() == "--#" {
            statements.push(String::new());
        } else if let Some(statement) = statements.last_mut() {
            statement.push_str(line);
        }
    }
    if statements.last().is_some_and(|statement| statement.trim().is_empty()) {
        statements.pop();
    }
    statements
}

/// One line of output; the fields keep this order.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Scoped {
        sql: String,
        params: Vec<Bound>,
        #[serde(skip_serializing_if = "Option::is_none")]
        explain: Option<Vec<Place>>,
    },
    Refused {
        refused: Refused,
    },
}

/// A number for the statement's own value, `"tenant"` for the tenant's.
#[derive(Serialize)]
#[serde(untagged)]
enum Bound {
    Own(usize),
    Tenant(&'static str),
}

#[derive(Serialize)]
struct Place {
    table: String,
    place: &'static str,
}

#[derive(Serialize)]
struct Refused {
    kind: &'static str,
    construct: String,
    message: String,
}

fn line(rewriter: &Rewriter, statement: &str, explain: bool) -> Line {
    match rewriter.explain(statement) {
        Ok(scoped) => Line::Scoped {
            sql: scoped.sql,
            params: scoped.params.iter().map(|param| bound(*param)).collect(),
            explain: explain.then(|| {
                scoped.notes.into_iter().map(|note| Place { table: note.table, place: note.place }).collect()
            }),
        },
        Err(refusal) => Line::Refused {
            refused: Refused {
                kind: refusal.kind().as_str(),
                construct: refusal.construct().to_owned(),
                message: refusal.to_string(),
            },
        },
    }
}

fn bound(param: Param) -> Bound {
    match param {
        Param::Own(number) => Bound::Own(number),
        _ => Bound::Tenant("tenant"),
    }
}
