//! [`Program`]: what is done to a service, step by step, independent of any answer.

pub(crate) mod beside;
pub(crate) mod generate;
pub(crate) mod harm;
pub(crate) mod harvest;
pub(crate) mod request;
pub(crate) mod run;
pub(crate) mod script;
pub(crate) mod signal;
mod slots;
pub(crate) mod value;

use self::harm::Harm;
use self::signal::Signal;
use self::value::Slot;
use super::describe::{Standing, TenantHandle, World};

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) caller: usize,
    /// Which of the described ways to name a tenant.
    pub(crate) credential: usize,
    pub(crate) signal: Signal,
    /// The place of the operation in the description.
    pub(crate) operation: usize,
    /// For each of the operation's parameters, if it is sent.
    pub(crate) params: Vec<Option<Slot>>,
    pub(crate) body: Option<Slot>,
}

/// What happens in one step.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Call(Call),
    /// Several requests that are under way at the same time; each keeps its place when others are taken away.
    Together(Vec<(usize, Call)>),
    /// The same request for what is another tenant's and for what is nobody's.
    Pair {
        foreign: Call,
        unknown: Call,
    },
    /// A request whose client goes away after this many polls.
    Abandon {
        call: Call,
        polls: u8,
    },
    /// A request on whose way to the database something breaks.
    Harmed {
        call: Call,
        harm: Harm,
    },
    RunJobs,
    /// A table of the tenant's schema goes away: what then answers in its place is somebody else's.
    Break {
        tenant: usize,
        pick: u32,
    },
    Pause {
        millis: u16,
    },
    Suspend {
        tenant: usize,
    },
    Delete {
        tenant: usize,
    },
    Onboard {
        tenant: usize,
    },
}

/// A step keeps its number when others around it are taken away.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) number: u16,
    pub(crate) action: Action,
}

/// A sequence of steps over the tenants of a world.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) world: World,
    /// Whether the service runs on several threads.
    pub(crate) threads: bool,
    pub(crate) steps: Vec<Step>,
    /// How many tenants' answers are worth comparing with those that they get alone.
    pub(crate) compared: usize,
    /// Whether all tenants are at work all the time: no change of an active tenant's is then put down to one request.
    pub(crate) crowded: bool,
}

impl Action {
    pub(crate) fn calls(&self) -> Vec<&Call> {
        match self {
            Self::Call(call) | Self::Abandon { call, .. } | Self::Harmed { call, .. } => vec![call],
            Self::Together(calls) => calls.iter().map(|(_, call)| call).collect(),
            Self::Pair { foreign, unknown } => vec![foreign, unknown],
            _ => Vec::new(),
        }
    }

    /// Whether a request may be over before its answer is: what it has begun then ends by itself.
    pub(crate) fn may_end_early(&self) -> bool {
        matches!(self, Self::Abandon { .. } | Self::Harmed { .. })
    }

    /// The tenant that a step of the operator's is about.
    pub(crate) fn subject(&self) -> Option<usize> {
        match self {
            Self::Suspend { tenant } | Self::Delete { tenant } | Self::Onboard { tenant } => Some(*tenant),
            _ => None,
        }
    }
}

impl Program {
    /// The steps with these numbers alone.
    pub(crate) fn only(&self, numbers: &[u16]) -> Self {
        let steps = self.steps.iter().filter(|step| numbers.contains(&step.number)).cloned().collect();
        Self { steps, ..self.clone() }
    }

    /// The tenants whose answers are compared in the program of this number.
    pub(crate) fn twins(&self, number: u64) -> Vec<usize> {
        let tenants = self.world.tenants();
        let active = tenants.filter(|tenant| tenant.standing() == Standing::Active);
        let mut active: Vec<usize> = active.map(TenantHandle::index).collect();
        let first = number as usize % active.len().max(1);
        active.rotate_left(first);
        active.truncate(self.compared);
        active
    }

    /// What is left of the program in a world in which `tenant` is alone.
    pub(crate) fn alone(&self, tenant: usize) -> Self {
        let own = |call: &Call| call.caller == tenant;
        let kept = |step: &Step| {
            let action = match &step.action {
                Action::Together(calls) => {
                    Action::Together(calls.iter().filter(|(_, call)| own(call)).cloned().collect())
                }
                other => other.clone(),
            };
            let keep = match &action {
                Action::RunJobs | Action::Pause { .. } => true,
                other => {
                    other.subject() == Some(tenant) || other.calls().first().is_some_and(|call| own(call))
                }
            };
            keep.then_some(Step { number: step.number, action })
        };
        // What is broken is broken in this run alone: from there on there is nothing to compare.
        let breaks = |step: &&Step| matches!(step.action, Action::Break { .. } | Action::Harmed { .. });
        let whole = self.steps.iter().take_while(|step| !breaks(step));
        let steps = whole.filter_map(kept).collect();
        Self { world: self.world.alone(tenant), steps, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::value::{Only, Whose};
    use super::*;

    fn call(caller: usize) -> Call {
        Call {
            caller,
            credential: 0,
            signal: Signal::PROPER,
            operation: 0,
            params: vec![Some(Slot::Seen {
                kinds: vec!["order".into()],
                only: Only::Number,
                whose: Whose::Own,
                pick: 0,
                otherwise: 1.into(),
            })],
            body: None,
        }
    }

    /// What is compared with the twin is the answer to the same request.
    #[test]
    fn a_request_keeps_its_place_in_the_program_of_its_tenant_alone() {
        let world = World::new(1, &[Standing::Active; 3], false, 1);
        let together = Action::Together([2, 0, 1].map(call).into_iter().enumerate().collect());
        let steps = vec![Step { number: 9, action: together }];
        let alone = Program { world, threads: false, steps, compared: 1, crowded: false }.alone(0);
        let Action::Together(calls) = &alone.steps[0].action else { panic!("{alone:?}") };
        assert_eq!(calls.iter().map(|(at, call)| (*at, call.caller)).collect::<Vec<_>>(), [(1, 0)]);
    }

    /// What breaks does so in one of the two runs: what follows cannot be compared.
    #[test]
    fn nothing_is_compared_after_something_broke() {
        let harm = Harm { kind: harm::HarmKind::Cut, at: 1 };
        for breaks in [Action::Break { tenant: 0, pick: 0 }, Action::Harmed { call: call(0), harm }] {
            let actions = [Action::Call(call(0)), breaks, Action::Call(call(0))];
            let steps = (0..).zip(actions).map(|(number, action)| Step { number, action }).collect();
            let world = World::new(1, &[Standing::Active; 2], false, 1);
            let alone = Program { world, threads: false, steps, compared: 1, crowded: false }.alone(0);
            assert_eq!(alone.steps.iter().map(|step| step.number).collect::<Vec<_>>(), [0]);
        }
    }
}
