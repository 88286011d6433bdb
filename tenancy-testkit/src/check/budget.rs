//! How long a run may take, and which seed it has: from the environment, so that nights can be longer than mornings.

use std::time::Duration;

use crate::error::Error;

/// Half a minute: what a pull request can wait for.
const BUDGET: Duration = Duration::from_secs(30);
/// The same in every run, so that two runs of one commit do the same.
const SEED: u64 = 0x1ea4_5eed;

/// `TENANCY_BUDGET`, such as `90s`, `5m` or `1h`.
pub(crate) fn budget() -> Result<Duration, Error> {
    std::env::var("TENANCY_BUDGET").map_or(Ok(BUDGET), |text| parse(&text))
}

/// `TENANCY_SEED`, a hexadecimal number.
pub(crate) fn seed() -> Result<u64, Error> {
    let wrong = |_| Error::configuration("TENANCY_SEED is a hexadecimal number");
    std::env::var("TENANCY_SEED").map_or(Ok(SEED), |text| u64::from_str_radix(text.trim(), 16).map_err(wrong))
}

fn parse(text: &str) -> Result<Duration, Error> {
    let text = text.trim();
    let unit = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "s" | "" => Some(1),
        "m" | "min" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let seconds =
        number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    let seconds = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
    seconds.ok_or_else(|| Error::configuration("TENANCY_BUDGET reads like 90s, 5m or 1h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_number_and_a_unit() {
        for (text, seconds) in [("30", 30), ("90s", 90), ("5m", 300), ("1h", 3600)] {
            assert_eq!(parse(text).expect("it reads"), Duration::from_secs(seconds));
        }
        for wrong in ["", "m", "5 m", "-1s", "0", "5d", "99999999999999999999h"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
