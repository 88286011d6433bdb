//! Functions: an allow-list, because a function sees every tenant's rows.
//!
//! Listed are built-in functions that read no table, no catalog and no session state, and change none.

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName};

use super::rules::Rules;
use crate::error::{Error, ErrorKind, shown};
use crate::policy::Dialect;

/// Cannot raise an error on any value of a column, in any of the three dialects.
const SAFE: &[&str] = &[
    "char_length",
    "character_length",
    "coalesce",
    "concat",
    "concat_ws",
    "greatest",
    "ifnull",
    "iif",
    "instr",
    "lcase",
    "least",
    "length",
    "lower",
    "ltrim",
    "md5",
    "now",
    "nullif",
    "octet_length",
    "reverse",
    "rtrim",
    "starts_with",
    "strpos",
    "trim",
    "ucase",
    "upper",
    "btrim",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
];

/// Cannot raise in SQLite, whose values have no types to break.
const SAFE_IN_SQLITE: &[&str] = &[
    "substr",
    "substring",
    "replace",
    "round",
    "typeof",
    "unicode",
    "hex",
    "quote",
    "date",
    "time",
    "datetime",
    "julianday",
    "strftime",
    "unixepoch",
    "min",
    "max",
    "sign",
    "likely",
    "unlikely",
    "char",
];

/// Aggregates and window functions: they run after every filter of their query.
const AGGREGATES: &[&str] = &[
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "cume_dist",
    "dense_rank",
    "every",
    "first_value",
    "group_concat",
    "json_agg",
    "json_arrayagg",
    "json_group_array",
    "json_group_object",
    "json_object_agg",
    "json_objectagg",
    "jsonb_agg",
    "jsonb_object_agg",
    "lag",
    "last_value",
    "lead",
    "max",
    "min",
    "mode",
    "nth_value",
    "ntile",
    "percent_rank",
    "percentile_cont",
    "percentile_disc",
    "range_agg",
    "rank",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "row_number",
    "std",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "total",
    "var_pop",
    "var_samp",
    "variance",
    "grouping",
    "any_value",
    "xmlagg",
];

/// Allowed, but able to raise on some value.
const PLAIN: &[&str] = &[
    "abs",
    "acos",
    "acosh",
    "adddate",
    "addtime",
    "age",
    "array_append",
    "array_cat",
    "array_dims",
    "array_fill",
    "array_length",
    "array_lower",
    "array_ndims",
    "array_position",
    "array_positions",
    "array_prepend",
    "array_remove",
    "array_replace",
    "array_to_json",
    "array_to_string",
    "array_upper",
    "ascii",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bin",
    "bit_count",
    "bit_length",
    "cardinality",
    "cbrt",
    "ceil",
    "ceiling",
    "char",
    "chr",
    "clock_timestamp",
    "cos",
    "cosh",
    "cot",
    "curdate",
    "curtime",
    "date",
    "date_add",
    "date_bin",
    "date_format",
    "date_part",
    "date_sub",
    "date_trunc",
    "datediff",
    "datetime",
    "day",
    "dayname",
    "dayofmonth",
    "dayofweek",
    "dayofyear",
    "decode",
    "degrees",
    "div",
    "elt",
    "encode",
    "exp",
    "extract",
    "factorial",
    "field",
    "find_in_set",
    "floor",
    "format",
    "from_days",
    "from_unixtime",
    "gcd",
    "gen_random_uuid",
    "get_bit",
    "get_byte",
    "glob",
    "hex",
    "hour",
    "if",
    "initcap",
    "insert",
    "isfinite",
    "isnull",
    "json",
    "json_array",
    "json_array_length",
    "json_build_array",
    "json_build_object",
    "json_contains",
    "json_contains_path",
    "json_extract",
    "json_extract_path",
    "json_extract_path_text",
    "json_insert",
    "json_keys",
    "json_length",
    "json_object",
    "json_overlaps",
    "json_patch",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_search",
    "json_set",
    "json_strip_nulls",
    "json_type",
    "json_typeof",
    "json_unquote",
    "json_valid",
    "json_value",
    "jsonb",
    "jsonb_array_length",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_extract_path",
    "jsonb_extract_path_text",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_path_exists",
    "jsonb_path_match",
    "jsonb_path_query_array",
    "jsonb_path_query_first",
    "jsonb_pretty",
    "jsonb_set",
    "jsonb_strip_nulls",
    "jsonb_typeof",
    "julianday",
    "justify_days",
    "justify_hours",
    "justify_interval",
    "last_day",
    "lcm",
    "left",
    "like",
    "likelihood",
    "likely",
    "ln",
    "locate",
    "log",
    "log10",
    "log2",
    "lower_inc",
    "lower_inf",
    "lpad",
    "make_date",
    "make_interval",
    "make_time",
    "make_timestamp",
    "make_timestamptz",
    "makedate",
    "maketime",
    "microsecond",
    "mid",
    "min_scale",
    "minute",
    "mod",
    "month",
    "monthname",
    "normalize",
    "num_nonnulls",
    "num_nulls",
    "oct",
    "ord",
    "overlay",
    "parse_ident",
    "period_add",
    "period_diff",
    "phraseto_tsquery",
    "pi",
    "plainto_tsquery",
    "position",
    "pow",
    "power",
    "printf",
    "quarter",
    "quote",
    "quote_literal",
    "quote_nullable",
    "quote_ident",
    "radians",
    "rand",
    "random",
    "randomblob",
    "range_merge",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "regexp_split_to_array",
    "regexp_substr",
    "repeat",
    "replace",
    "right",
    "round",
    "row",
    "row_to_json",
    "rpad",
    "scale",
    "sec_to_time",
    "second",
    "setweight",
    "sha1",
    "sha2",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sign",
    "sin",
    "sinh",
    "soundex",
    "space",
    "split_part",
    "sqrt",
    "statement_timestamp",
    "str_to_date",
    "strcmp",
    "strftime",
    "string_to_array",
    "strip",
    "subdate",
    "substr",
    "substring",
    "substring_index",
    "subtime",
    "sysdate",
    "tan",
    "tanh",
    "time",
    "time_format",
    "time_to_sec",
    "timediff",
    "timeofday",
    "timestamp",
    "timestampadd",
    "timestampdiff",
    "to_ascii",
    "to_base64",
    "to_char",
    "to_date",
    "to_days",
    "to_hex",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_seconds",
    "to_timestamp",
    "to_tsquery",
    "to_tsvector",
    "transaction_timestamp",
    "translate",
    "trim_array",
    "trim_scale",
    "trunc",
    "truncate",
    "ts_headline",
    "ts_rank",
    "ts_rank_cd",
    "typeof",
    "unhex",
    "unicode",
    "unistr",
    "unixepoch",
    "unix_timestamp",
    "unlikely",
    "upper_inc",
    "upper_inf",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "uuid",
    "values",
    "websearch_to_tsquery",
    "week",
    "weekday",
    "weekofyear",
    "width_bucket",
    "year",
    "yearweek",
    "zeroblob",
    "similarity",
    "word_similarity",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "isempty",
    "tsvector_to_array",
    "array",
    "any",
    "some",
    "all",
    "unnest",
    "generate_series",
];

/// Functions that may stand in FROM.
const TABLE: &[&str] = &[
    "generate_series",
    "generate_subscripts",
    "json_array_elements",
    "json_array_elements_text",
    "json_each",
    "json_each_text",
    "json_object_keys",
    "json_tree",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_object_keys",
    "jsonb_path_query",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
    "unnest",
];

pub(super) fn check(rules: &Rules, function: &Function) -> Result<(), Error> {
    if function.uses_odbc_syntax || !matches!(function.parameters, FunctionArguments::None) {
        return Err(refused("of this form"));
    }
    let name = name(rules, &function.name)?;
    let known = [SAFE, SAFE_IN_SQLITE, AGGREGATES, PLAIN].iter().any(|list| list.contains(&name.as_str()));
    if known
        || rules.functions.contains(&name)
        || (rules.dialect == Dialect::Postgres && TABLE.contains(&name.as_str()))
    {
        return Ok(());
    }
    Err(refused(&name))
}

pub(super) fn table_function(rules: &Rules, function: &ObjectName) -> Result<(), Error> {
    let name = name(rules, function)?;
    if TABLE.contains(&name.as_str()) || rules.functions.contains(&name) {
        Ok(())
    } else {
        Err(refused(&name))
    }
}

/// The name as it is compared; `pg_catalog.lower` is `lower`, another schema's function is never a built-in one.
fn name(rules: &Rules, name: &ObjectName) -> Result<String, Error> {
    let mut parts = name.0.iter().map(|part| part.as_ident());
    let (first, second, third) = (parts.next().flatten(), parts.next(), parts.next());
    let Some(first) = first else { return Err(refused("of this form")) };
    let first = folded(rules, first)?;
    match (second, third) {
        (None, _) => Ok(first),
        (Some(Some(last)), None) if first == "pg_catalog" && rules.dialect == Dialect::Postgres => {
            folded(rules, last)
        }
        (Some(Some(last)), None) => Ok(format!("{first}.{}", rules.fold(last)?)),
        _ => Err(refused("of this form")),
    }
}

/// To PostgreSQL `"LOWER"` is another function than `lower`, and nobody knows what it reads.
fn folded(rules: &Rules, part: &Ident) -> Result<String, Error> {
    let name = rules.fold(part)?;
    Ok(if rules.dialect == Dialect::Postgres { name } else { name.to_ascii_lowercase() })
}

fn plain_name(function: &Function) -> Option<String> {
    let [part] = &function.name.0[..] else { return None };
    Some(part.as_ident()?.value.to_ascii_lowercase())
}

pub(super) fn aggregate(function: &Function) -> bool {
    let two = matches!(&function.args, FunctionArguments::List(list) if list.args.len() > 1);
    match plain_name(function).as_deref() {
        // `min(a, b)` and `max(a, b)` of SQLite are ordinary functions.
        Some("min" | "max") => !two,
        Some(name) => AGGREGATES.contains(&name),
        None => false,
    }
}

/// Gives one of its arguments, in a type that holds them all.
pub(super) fn chooses(function: &Function) -> bool {
    matches!(plain_name(function).as_deref(), Some("coalesce" | "greatest" | "least"))
}

/// What a function is given.
pub(super) fn values(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let values = list.args.iter().filter_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    values.collect()
}

/// Evaluates some of its arguments only where others ask for it.
pub(super) fn may_skip(function: &Function) -> bool {
    let name = plain_name(function);
    chooses(function) || matches!(name.as_deref(), Some("if" | "iif" | "ifnull" | "nullif"))
}

pub(super) fn cannot_raise(dialect: Dialect, function: &Function) -> bool {
    let Some(name) = plain_name(function) else { return false };
    // `length(body, 'UTF8')` decodes first, and its error shows the bytes that are no text.
    if dialect == Dialect::Postgres && name == "length" && arguments(function) != 1 {
        return false;
    }
    SAFE.contains(&name.as_str()) || (dialect == Dialect::Sqlite && SAFE_IN_SQLITE.contains(&name.as_str()))
}

fn arguments(function: &Function) -> usize {
    match &function.args {
        FunctionArguments::List(list) => list.args.len(),
        _ => 0,
    }
}

fn refused(name: &str) -> Error {
    let construct = format!("function {}", shown(name));
    let hint = "allow the function in the policy if it reads no tenant's table and no session state";
    Error::new(ErrorKind::FunctionNotAllowed, construct, hint)
}
