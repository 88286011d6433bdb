//! [`Policy`]: which tables belong to tenants, which are global, and what else a statement may do.

use std::collections::HashSet;

use sea_orm::{ColumnTrait, DbBackend, EntityName, EntityTrait, Iden, Iterable};

use crate::error::{Error, ErrorKind, shown};
use crate::kind::Kind;

/// The SQL dialect of a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
    /// MySQL and MariaDB.
    MySql,
}

impl Dialect {
    /// Returns the dialect of `backend`.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Policy`] for a backend that this crate does not know.
    pub fn of(backend: DbBackend) -> Result<Self, Error> {
        match backend {
            DbBackend::Postgres => Ok(Self::Postgres),
            DbBackend::Sqlite => Ok(Self::Sqlite),
            DbBackend::MySql => Ok(Self::MySql),
            _ => Err(Error::new(
                ErrorKind::Policy,
                "database backend",
                "use PostgreSQL, SQLite, MySQL or MariaDB",
            )),
        }
    }
}

/// What to do with a predicate that may raise an error, when a filter cannot be sure to run before it.
///
/// A database may evaluate `WHERE`, `ON` and `HAVING` in any order, and so on another tenant's rows too. A comparison
/// cannot fail there; a cast, a division or a regular expression can, and the error tells about those rows.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum LeakyPredicates {
    /// Refuse the statement.
    Refuse,
    /// Evaluate such a predicate under `CASE WHEN <tenant filter> THEN … END`, which fixes the order. The default.
    ///
    /// The cost is one more comparison for each row that reaches the predicate, and that no index can serve the fenced
    /// predicate itself. Predicates beside it keep their indexes. A raising column of a nested query that is a table in
    /// FROM has such a fence too, on PostgreSQL and if it has a name. Other nested queries that a raising column could
    /// be pulled out of, or that the predicate could be pushed into, get an `OFFSET 0`: they are planned by themselves,
    /// so that other predicates do not reach their indexes either. DESIGN.md has figures.
    #[default]
    Fence,
    /// Let them through: row-level security is in force on every owned table and orders them itself. But not nested queries in
    /// CASE, which PostgreSQL may evaluate before a policy.
    SecondWall,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Rule {
    Owned { column: String },
    Global { writable: bool },
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    pub(crate) rule: Rule,
    /// What its columns hold, of those that an entity tells.
    pub(crate) kinds: Vec<(String, Kind)>,
}

/// Which tables belong to tenants, which are global, and what else a statement may do.
///
/// Every table that a statement names must be declared here. What is not declared is refused.
///
/// # Examples
///
/// ```
/// use tenancy_seaorm::Policy;
///
/// let policy = Policy::builder().owned_table("orders").global_table("countries").build()?;
/// assert!(Policy::builder().owned_table("orders").global_table("orders").build().is_err());
/// # let _ = policy;
/// # Ok::<(), tenancy_seaorm::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) tables: Vec<Table>,
    pub(crate) functions: HashSet<String>,
    pub(crate) leaky: LeakyPredicates,
    pub(crate) tenant_leads_unique_keys: bool,
    pub(crate) tenant_column_is_binary: bool,
    pub(crate) documents_are_jsonb: bool,
    pub(crate) tenant_column_is_text: bool,
    pub(crate) cache_bytes: usize,
    #[cfg(feature = "broken-on-purpose-for-tests-only")]
    pub(crate) mutant: Option<crate::Mutant>,
}

/// Collects what a [`Policy`] says.
#[derive(Clone, Debug)]
#[must_use]
pub struct PolicyBuilder {
    tenant_column: String,
    /// `None` stands for the tenant column as it is when the policy is built.
    tables: Vec<(Table, bool)>,
    policy: Policy,
}

impl Policy {
    /// What the tenant columns hold, of those tables whose entities tell.
    pub(crate) fn tenant_kinds(&self) -> impl Iterator<Item = Kind> {
        self.tables.iter().filter_map(|table| match &table.rule {
            Rule::Owned { column } => {
                table.kinds.iter().find(|(name, _)| name == column).map(|(_, kind)| *kind)
            }
            Rule::Global { .. } => None,
        })
    }

    /// Returns the tables that are declared, in the order of their declarations.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenancy_seaorm::Policy;
    ///
    /// let policy = Policy::builder().owned_table("sales.orders").global_table("countries").build()?;
    /// let tables: Vec<_> = policy.tables().map(|table| (table.schema, table.name, table.tenant_column)).collect();
    /// assert_eq!(tables, [(Some("sales"), "orders", Some("tenant_id")), (None, "countries", None)]);
    /// # Ok::<(), tenancy_seaorm::Error>(())
    /// ```
    pub fn tables(&self) -> impl Iterator<Item = DeclaredTable<'_>> {
        self.tables.iter().map(|table| DeclaredTable {
            schema: table.schema.as_deref(),
            name: &table.name,
            tenant_column: match &table.rule {
                Rule::Owned { column } => Some(column),
                Rule::Global { .. } => None,
            },
        })
    }

    /// Starts an empty policy, whose tenant column is `tenant_id`.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder {
            tenant_column: "tenant_id".to_owned(),
            tables: Vec::new(),
            policy: Policy {
                tables: Vec::new(),
                functions: HashSet::new(),
                leaky: LeakyPredicates::default(),
                tenant_leads_unique_keys: false,
                tenant_column_is_binary: false,
                documents_are_jsonb: false,
                tenant_column_is_text: false,
                cache_bytes: 4 << 20,
                #[cfg(feature = "broken-on-purpose-for-tests-only")]
                mutant: None,
            },
        }
    }
}

/// One table of a [`Policy`], as [`Policy::tables`] tells of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeclaredTable<'a> {
    /// The schema, if the declaration names one.
    pub schema: Option<&'a str>,
    /// The table's name.
    pub name: &'a str,
    /// The column that says whose a row is; `None` for a global table.
    pub tenant_column: Option<&'a str>,
}

impl PolicyBuilder {
    /// Sets the name of the tenant column of every table that does not say its own. The default is `tenant_id`.
    pub fn tenant_column(mut self, name: impl Into<String>) -> Self {
        self.tenant_column = name.into();
        self
    }

    /// Declares that the rows of `entity`'s table belong to tenants, by the policy's tenant column.
    ///
    /// The entity need not have a field for that column: it is filled in and filtered either way.
    pub fn owned<E: EntityTrait>(self, entity: E) -> Self {
        let (schema, name) = names(&entity);
        self.table(schema, name, Rule::Owned { column: String::new() }).of_kinds::<E>()
    }

    /// Declares that the rows of `entity`'s table belong to tenants, by `column`.
    pub fn owned_by<E: EntityTrait>(self, entity: E, column: E::Column) -> Self {
        let (schema, name) = names(&entity);
        self.table(schema, name, Rule::Owned { column: column.unquoted().to_string() }).of_kinds::<E>()
    }

    /// Declares a table or view, such as a junction table without an entity, by name: `orders` or `sales.orders`.
    pub fn owned_table(self, name: &str) -> Self {
        let (schema, name) = split(name);
        self.table(schema, name, Rule::Owned { column: String::new() })
    }

    /// Declares that `entity`'s table is the same for every tenant: readable by all, written by none.
    pub fn global<E: EntityTrait>(self, entity: E) -> Self {
        let (schema, name) = names(&entity);
        self.table(schema, name, Rule::Global { writable: false })
    }

    /// Declares a global table or view by name.
    pub fn global_table(self, name: &str) -> Self {
        let (schema, name) = split(name);
        self.table(schema, name, Rule::Global { writable: false })
    }

    /// Declares that `entity`'s table is the same for every tenant, and that every tenant may write it.
    pub fn global_writable<E: EntityTrait>(self, entity: E) -> Self {
        let (schema, name) = names(&entity);
        self.table(schema, name, Rule::Global { writable: true })
    }

    /// Allows calls of the function `name`, which the built-in list does not know.
    ///
    /// A function sees every tenant's rows. Allow one only if it reads no tenant's table and cannot change the
    /// session. Its calls count as leaky in predicates.
    pub fn allow_function(mut self, name: &str) -> Self {
        self.policy.functions.insert(name.to_ascii_lowercase());
        self
    }

    /// Sets what becomes of predicates that may fail on other tenants' rows.
    pub fn leaky_predicates(mut self, what: LeakyPredicates) -> Self {
        self.policy.leaky = what;
        self
    }

    /// States that every unique key of every owned table contains the tenant column.
    ///
    /// This allows upserts that do not name their conflict columns: `ON CONFLICT DO NOTHING`, `ON CONFLICT ON
    /// CONSTRAINT` and `ON DUPLICATE KEY UPDATE`. They are refused otherwise, because a key that all tenants share
    /// would let one of them find or change another's row.
    pub fn unique_keys_include_tenant(mut self) -> Self {
        self.policy.tenant_leads_unique_keys = true;
        self
    }

    /// States that the tenant column of every owned table compares texts byte for byte, as with `COLLATE ascii_bin`.
    ///
    /// This allows text ids with capital letters on MySQL and MariaDB. They are refused there otherwise, because to the
    /// usual collations `Acme` and `acme` are one tenant. Other databases compare byte for byte by themselves, unless the
    /// column has a collation that says otherwise, such as SQLite's `NOCASE`: it must have none.
    pub fn tenant_column_is_binary(mut self) -> Self {
        self.policy.tenant_column_is_binary = true;
        self
    }

    /// States that on PostgreSQL every document is a `jsonb`, none a `json`.
    ///
    /// This lets `->`, `->>`, `#>` and `#>>` stand in predicates without a fence, so that an index on such an expression
    /// is used. Without it they count as predicates that may fail on other tenants' rows ([`LeakyPredicates`]): on a
    /// `json` with `\u0000` in it, anywhere, each of them does.
    pub fn documents_are_jsonb(mut self) -> Self {
        self.policy.documents_are_jsonb = true;
        self
    }

    /// States that the tenant column of every owned table is a text, whatever kind the tenants' ids are.
    ///
    /// The tenant is then bound as its id's canonical text: `7`, or a UUID in its 36 small characters with hyphens. An
    /// integer or UUID is bound as a value of its own type otherwise, which PostgreSQL does not compare with a text, and
    /// SQLite finds unequal. Rows whose column spells an id in another way (`007`, a UUID in capitals) are nobody's.
    ///
    /// A statement that names the tenant column itself binds it as a text too: fields of entities are `String`s.
    /// [`RowSecurity`](crate::rls::RowSecurity) of this policy compares texts as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenancy_core::{Tenant, TenantContext, TenantId};
    /// use tenancy_seaorm::{Dialect, Policy, Rewriter, TenantValue};
    ///
    /// let policy = Policy::builder().owned_table("orders").tenant_column_as_text().build()?;
    /// let acme = Tenant::builder(TenantId::integer(7)?, "acme".parse()?).build()?;
    /// let tenant = TenantValue::of(&TenantContext::assertion(acme, "an example")?);
    /// let (mut sql, mut values) = ("SELECT id FROM orders".to_owned(), Vec::new());
    /// Rewriter::new(&policy, Dialect::Postgres).rewrite_text(&mut sql, &mut values, &tenant)?;
    /// assert_eq!(values, [sea_orm::Value::from("7")]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn tenant_column_as_text(mut self) -> Self {
        self.policy.tenant_column_is_text = true;
        self
    }

    /// Sets how many bytes of rewritten statements are kept. The default is 4 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.policy.cache_bytes = bytes;
        self
    }

    /// Breaks the rewriter, so that a test suite can show that it would notice. Never for production.
    #[cfg(feature = "broken-on-purpose-for-tests-only")]
    pub fn break_on_purpose(mut self, mutant: crate::Mutant) -> Self {
        self.policy.mutant = Some(mutant);
        self
    }

    /// Checks the declarations.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Policy`] if a table is declared twice, or if a name is empty.
    pub fn build(mut self) -> Result<Policy, Error> {
        let mut seen = HashSet::new();
        for (mut table, default_column) in self.tables {
            if default_column && let Rule::Owned { column } = &mut table.rule {
                column.clone_from(&self.tenant_column);
            }
            let columnless = matches!(&table.rule, Rule::Owned { column } if column.is_empty());
            if table.name.is_empty() || columnless {
                return Err(Error::new(
                    ErrorKind::Policy,
                    "a declaration without a name",
                    "name the table and its column",
                ));
            }
            let key = (table.schema.as_deref().map(str::to_ascii_lowercase), table.name.to_ascii_lowercase());
            if !seen.insert(key) {
                let construct = format!("table {}", shown(&table.name));
                return Err(Error::new(ErrorKind::Policy, construct, "declare every table once"));
            }
            self.policy.tables.push(table);
        }
        Ok(self.policy)
    }

    fn table(mut self, schema: Option<String>, name: String, rule: Rule) -> Self {
        let default_column = matches!(&rule, Rule::Owned { column } if column.is_empty());
        self.tables.push((Table { schema, name, rule, kinds: Vec::new() }, default_column));
        self
    }

    /// Notes of the last table what the columns of its entity hold.
    fn of_kinds<E: EntityTrait>(mut self) -> Self {
        let kind = |column: E::Column| {
            Some((column.unquoted().to_string(), Kind::of_column(column.def().get_column_type())?))
        };
        if let Some((table, _)) = self.tables.last_mut() {
            table.kinds = E::Column::iter().filter_map(kind).collect();
        }
        self
    }
}

fn names<E: EntityName>(entity: &E) -> (Option<String>, String) {
    (entity.schema_name().map(str::to_owned), entity.table_name().to_owned())
}

fn split(name: &str) -> (Option<String>, String) {
    match name.split_once('.') {
        Some((schema, name)) => (Some(schema.to_owned()), name.to_owned()),
        None => (None, name.to_owned()),
    }
}
