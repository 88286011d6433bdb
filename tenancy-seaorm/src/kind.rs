//! What a tenant column holds.

use sea_orm::{ColumnType, Value};

/// What a tenant column, or a tenant's id, is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Integer,
    Uuid,
    Text,
}

impl Kind {
    /// What a column of this type holds, if it is one that ids are kept in as they are.
    pub(crate) fn of_column(column: &ColumnType) -> Option<Self> {
        Some(match column {
            ColumnType::TinyInteger
            | ColumnType::SmallInteger
            | ColumnType::Integer
            | ColumnType::BigInteger
            | ColumnType::TinyUnsigned
            | ColumnType::SmallUnsigned
            | ColumnType::Unsigned
            | ColumnType::BigUnsigned => Self::Integer,
            ColumnType::Uuid => Self::Uuid,
            ColumnType::Char(_) | ColumnType::String(_) | ColumnType::Text => Self::Text,
            _ => return None,
        })
    }

    /// What a tenant's value is.
    pub(crate) fn of_value(value: &Value) -> Option<Self> {
        match value {
            Value::BigInt(_) => Some(Self::Integer),
            Value::Uuid(_) => Some(Self::Uuid),
            Value::String(_) => Some(Self::Text),
            _ => None,
        }
    }
}
