//! [`Seed`]: which program, and which of its steps.

use std::fmt;
use std::str::FromStr;

use super::detect::Detector;
use crate::error::Error;

/// What a failure is replayed by, such as `5f1c0a9e-17-D3:4,9`: the run's seed, the program's number, what it is to show,
/// and the steps that are left of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seed {
    pub(crate) run: u64,
    pub(crate) program: u64,
    pub(crate) detector: Detector,
    pub(crate) steps: Vec<u16>,
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}-{}:", self.run, self.program, self.detector)?;
        let steps: Vec<String> = self.steps.iter().map(u16::to_string).collect();
        f.write_str(&steps.join(","))
    }
}

impl FromStr for Seed {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::configuration("a seed reads like 5f1c0a9e-17-D3:4,9");
        let (head, steps) = text.trim().split_once(':').ok_or_else(wrong)?;
        let mut parts = head.split('-');
        let mut part = || parts.next().ok_or_else(wrong);
        let run = u64::from_str_radix(part()?, 16).map_err(|_| wrong())?;
        let program = part()?.parse().map_err(|_| wrong())?;
        let code = part()?;
        let detector =
            Detector::ALL.into_iter().find(|detector| detector.code() == code).ok_or_else(wrong)?;
        let steps =
            steps.split(',').map(|step| step.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        Ok(Self { run, program, detector, steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_reads_back_what_it_prints_and_nothing_else_reads() {
        let seed = Seed { run: 0x5f1c_0a9e, program: 17, detector: Detector::Oracle, steps: vec![4, 9] };
        assert_eq!(seed.to_string(), "5f1c0a9e-17-D10:4,9");
        assert_eq!(seed.to_string().parse::<Seed>().expect("it reads back"), seed);
        for wrong in
            ["", "5f1c0a9e", "5f1c0a9e-17", "5f1c0a9e-17-D3", "x-17-D3:1", "1-1-D11:1", "1-1-D1:", "1-1-D1:a"]
        {
            assert!(wrong.parse::<Seed>().is_err(), "{wrong}");
        }
    }
}
