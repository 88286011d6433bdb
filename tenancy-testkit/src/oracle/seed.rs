//! [`Seed`]: which world, and which statement over it.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// What a failure is replayed by: a world's seed and the number of a statement over it, such as `5f1c0a9e-17`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seed {
    pub(crate) world: u64,
    pub(crate) statement: u64,
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.world, self.statement)
    }
}

impl FromStr for Seed {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts = text.split_once('-');
        let seed = parts.and_then(|(world, statement)| {
            Some(Self { world: u64::from_str_radix(world, 16).ok()?, statement: statement.parse().ok()? })
        });
        seed.ok_or_else(|| Error::configuration("a seed is a hexadecimal number, a dash and a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_reads_back_what_it_prints() {
        let seed = Seed { world: 0x5f1c_0a9e, statement: 17 };
        assert_eq!(seed.to_string(), "5f1c0a9e-17");
        assert_eq!(seed.to_string().parse::<Seed>().expect("it reads back"), seed);
        for wrong in ["", "17", "5f1c-", "x-1", "-1"] {
            assert!(wrong.parse::<Seed>().is_err(), "{wrong}");
        }
    }
}
