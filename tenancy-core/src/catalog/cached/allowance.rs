//! How many unknown names may be asked for: a bucket of tokens that fills with time (DIR-05).

#[derive(Debug)]
pub(super) struct Allowance {
    burst: u64,
    /// Nanoseconds per token; 584 years where none is to be added.
    interval: u64,
    tokens: u64,
    /// Up to when time has been turned into tokens.
    since: u64,
}

impl Allowance {
    pub(super) fn new(burst: u32, per_second: u32, now: u64) -> Self {
        let interval = 1_000_000_000_u64.checked_div(u64::from(per_second)).unwrap_or(u64::MAX);
        Self { burst: u64::from(burst), interval: interval.max(1), tokens: u64::from(burst), since: now }
    }

    /// Takes one token, if there is one.
    pub(super) fn take(&mut self, now: u64) -> bool {
        let new = now.saturating_sub(self.since) / self.interval;
        self.tokens = self.tokens.saturating_add(new).min(self.burst);
        self.since = self.since.saturating_add(new.saturating_mul(self.interval));
        let taken = self.tokens > 0;
        self.tokens -= u64::from(taken);
        taken
    }

    /// Gives a token back: the name was somebody's after all.
    pub(super) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dir_05_no_more_than_burst_and_rate() {
        let mut allowance = Allowance::new(10, 100, 0);
        // Ten seconds, asked every 100 microseconds.
        let taken = (0..100_000_u64).filter(|n| allowance.take(n * 100_000)).count();
        assert!((1000..=1010).contains(&taken), "{taken}");
    }

    #[test]
    fn a_token_that_was_given_back_is_taken_again() {
        let mut allowance = Allowance::new(1, 0, 0);
        assert!(allowance.take(0));
        assert!(!allowance.take(u64::MAX - 1));
        allowance.give_back();
        allowance.give_back();
        assert!(allowance.take(0));
        assert!(!allowance.take(0));
    }
}
