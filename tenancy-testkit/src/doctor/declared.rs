//! What the service says about its tables.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use super::error::{Error, ErrorKind};

/// Which tables belong to tenants, which are global, and by what the second wall knows the tenant.
///
/// A name without a schema means the table of this name in every schema that is examined. Case does not matter, as in
/// a [`Policy`](https://docs.rs/tenancy-seaorm), from which declarations are made with feature `seaorm`.
///
/// # Examples
///
/// ```
/// use tenancy_testkit::doctor::Declarations;
///
/// let declared = Declarations::new().owned("orders").owned_by("tenants", "id").global("countries");
/// let same = Declarations::from_toml(
///     r#"
///     owned = ["orders", "tenants"]
///     global = ["countries"]
///     columns = { tenants = "id" }
///     "#,
/// )?;
/// assert_eq!(declared, same);
/// # Ok::<(), tenancy_testkit::doctor::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Declarations {
    pub(crate) tenant_column: String,
    pub(crate) setting: String,
    /// `None` for all that are not the server's own.
    pub(crate) schemas: Option<Vec<String>>,
    pub(crate) tables: Vec<DeclaredTable>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DeclaredTable {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    pub(crate) owner: Ownership,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Ownership {
    /// By this column, or by the declarations' own.
    Tenant {
        column: Option<String>,
    },
    Global,
}

/// The file that `tenancy-seaorm`'s example `rewrite` reads too; what concerns statements alone is passed over here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tenant_column: Option<String>,
    setting: Option<String>,
    schemas: Option<Vec<String>>,
    #[serde(default)]
    owned: Vec<String>,
    #[serde(default)]
    global: Vec<String>,
    #[serde(default)]
    columns: BTreeMap<String, String>,
    #[serde(default, rename = "dialect")]
    _dialect: serde::de::IgnoredAny,
    #[serde(default, rename = "leaky_predicates")]
    _leaky_predicates: serde::de::IgnoredAny,
    #[serde(default, rename = "functions")]
    _functions: serde::de::IgnoredAny,
    #[serde(default, rename = "unique_keys_include_tenant")]
    _unique_keys_include_tenant: serde::de::IgnoredAny,
}

impl Default for Declarations {
    fn default() -> Self {
        Self {
            tenant_column: "tenant_id".to_owned(),
            setting: "tenancy.tenant_id".to_owned(),
            schemas: None,
            tables: Vec::new(),
        }
    }
}

impl Declarations {
    /// Declares nothing yet: the tenant column is `tenant_id`, the setting `tenancy.tenant_id`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares that the rows of table `name`, or `schema.name`, belong to tenants, by the declarations' tenant column.
    #[must_use]
    pub fn owned(self, name: &str) -> Self {
        self.table(name, Ownership::Tenant { column: None })
    }

    /// Declares that the rows of table `name`, or `schema.name`, belong to tenants, by `column`.
    #[must_use]
    pub fn owned_by(self, name: &str, column: &str) -> Self {
        self.table(name, Ownership::Tenant { column: Some(column.to_owned()) })
    }

    /// Declares that table `name`, or `schema.name`, is the same for every tenant.
    #[must_use]
    pub fn global(self, name: &str) -> Self {
        self.table(name, Ownership::Global)
    }

    /// Sets the tenant column of every table that does not say its own.
    #[must_use]
    pub fn with_tenant_column(mut self, column: impl Into<String>) -> Self {
        self.tenant_column = column.into();
        self
    }

    /// Sets the name of the setting that tells row-level security whose rows are meant.
    #[must_use]
    pub fn with_setting(mut self, setting: impl Into<String>) -> Self {
        self.setting = setting.into();
        self
    }

    /// Sets the schemas that are examined. Without it all are, but for those of the server itself.
    #[must_use]
    pub fn with_schemas<S: Into<String>>(mut self, schemas: impl IntoIterator<Item = S>) -> Self {
        self.schemas = Some(schemas.into_iter().map(Into::into).collect());
        self
    }

    /// Reads declarations: `tenant_column`, `setting`, `schemas`, `owned`, `global`, and `columns` for tables with a
    /// tenant column of their own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Declarations`] if `text` is not such a file, if a table is declared twice, or if `columns` names a
    /// table that is not owned.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let unreadable = |error| {
            Error::new(ErrorKind::Declarations, "the declarations could not be read").with_source(error)
        };
        let mut file: File = toml::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        let mut declared = Self::default();
        declared.tenant_column = file.tenant_column.take().unwrap_or(declared.tenant_column);
        declared.setting = file.setting.take().unwrap_or(declared.setting);
        declared.schemas = file.schemas.take();
        for name in &file.owned {
            declared = declared.table(name, Ownership::Tenant { column: file.columns.remove(name) });
        }
        for name in &file.global {
            declared = declared.table(name, Ownership::Global);
        }
        match file.columns.first_key_value() {
            Some((name, _)) => Err(unreadable(format!("`columns` names {name}, which is not owned"))),
            None => declared.checked(),
        }
    }

    /// Reads declarations from a file, as [`from_toml`](Self::from_toml).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Declarations`] if there is no such file, or it is not one of declarations.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unreadable = |error: std::io::Error| {
            Error::new(ErrorKind::Declarations, format!("{} could not be read", path.display()))
                .with_source(error)
        };
        Self::from_toml(&fs::read_to_string(path).map_err(unreadable)?)
    }

    /// Refuses declarations that say nothing, or two things about one table.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        if self.tables.is_empty() {
            return Err(Error::new(ErrorKind::Declarations, "no table is declared"));
        }
        let mut seen = std::collections::HashSet::new();
        for table in &self.tables {
            let name = table.shown().to_ascii_lowercase();
            if table.name.is_empty() || !seen.insert(name.clone()) {
                let why = format!("each table is declared once, by its name: {name:?}");
                return Err(Error::new(ErrorKind::Declarations, why));
            }
        }
        Ok(self)
    }

    fn table(mut self, name: &str, owner: Ownership) -> Self {
        let (schema, name) = match name.split_once('.') {
            Some((schema, name)) => (Some(schema.to_owned()), name),
            None => (None, name),
        };
        self.tables.push(DeclaredTable { schema, name: name.to_owned(), owner });
        self
    }
}

impl DeclaredTable {
    /// Returns the table as it was declared.
    pub(crate) fn shown(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }

    pub(crate) fn is(&self, schema: &str, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            && self.schema.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(schema))
    }
}

impl From<&Declarations> for Declarations {
    fn from(declared: &Declarations) -> Self {
        declared.clone()
    }
}

#[cfg(feature = "seaorm")]
impl From<&tenancy_seaorm::Policy> for Declarations {
    fn from(policy: &tenancy_seaorm::Policy) -> Self {
        let tables = policy.tables().map(|table| DeclaredTable {
            schema: table.schema.map(str::to_owned),
            name: table.name.to_owned(),
            owner: match table.tenant_column {
                Some(column) => Ownership::Tenant { column: Some(column.to_owned()) },
                None => Ownership::Global,
            },
        });
        Self { tables: tables.collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_rewriters_example_is_read_and_a_misspelt_one_is_not() {
        let text = "tenant_column = \"org\"\nowned = [\"sales.orders\"]\ndialect = \"postgres\"\nfunctions = [\"f\"]";
        let declared = Declarations::from_toml(text).expect("the example's keys are known");
        assert_eq!(declared.tenant_column, "org");
        assert!(declared.tables[0].is("Sales", "ORDERS") && !declared.tables[0].is("public", "orders"));
        for wrong in ["", "ownd = [\"orders\"]", "owned = [\"a\"]\nglobal = [\"A\"]", "owned = [\"\"]"] {
            let error = Declarations::from_toml(wrong).expect_err(wrong);
            assert_eq!(error.kind(), ErrorKind::Declarations, "{wrong}");
        }
        let stray = "owned = [\"a\"]\ncolumns = { b = \"id\" }";
        assert!(Declarations::from_toml(stray).is_err(), "a column of a table that is not declared");
    }
}
