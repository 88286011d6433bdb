//! Sends the requests of a step, and keeps their answers.

use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::{Either, join_all, pending, poll_fn, select};
use http::{HeaderValue, header};

use super::Run;
use super::record::{Answer, Record};
use crate::check::detect::{Detector, Finding, oracle};
use crate::check::meter::Part;
use crate::check::program::Call;
use crate::check::program::beside::{beside, is_opaque_place};
use crate::check::program::harm::{Harm, HarmKind};
use crate::check::program::harvest::harvest;
use crate::check::program::request::{Outgoing, build};
use crate::check::program::value::Slot;

/// Requests that are under way together begin this many turns apart, less one, or fewer.
const APART: u16 = 3;
/// No answer within this is no answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl Run<'_> {
    fn build(&self, step: u16, at: usize, call: &Call) -> Option<Outgoing> {
        let recorded = self.recorded.as_ref().map(|all| all.get(&(step, at)).map_or(&[][..], Vec::as_slice));
        build(call, self.service, self.world, &self.seen, recorded)
    }

    /// Sends requests that are under way at the same time. In two steps of three they begin one after the other, some turns
    /// apart: what is wrong with one order of their beginnings and ends may be right with another (KIT-05).
    pub(super) async fn send(&mut self, step: u16, calls: &[(usize, &Call)]) {
        let built: Vec<(usize, &Call, Outgoing)> =
            calls.iter().filter_map(|(at, call)| Some((*at, *call, self.build(step, *at, call)?))).collect();
        let asked = built.into_iter().enumerate().map(|(turn, (i, call, mut outgoing))| {
            if step.is_multiple_of(5) {
                outgoing
                    .headers
                    .insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br"));
            }
            let handler = &self.service.handler;
            let later = turn * usize::from(step % APART);
            async move {
                for _ in 0..later {
                    tokio::task::yield_now().await;
                }
                let answer = tokio::time::timeout(PATIENCE, handler.call(outgoing.request())).await;
                (i, call, outgoing, answer)
            }
        });
        let begun = Instant::now();
        let answers = join_all(asked).await;
        self.meter.add(Part::Serving, begun.elapsed());
        self.meter.count(answers.len());
        for (i, call, outgoing, answer) in answers {
            // An error of the service itself is a connection that broke.
            let answer = answer.ok().and_then(Result::ok).map(Answer::new);
            self.keep(step, i, call, outgoing, answer);
        }
    }

    fn keep(&mut self, step: u16, at: usize, call: &Call, outgoing: Outgoing, answer: Option<Answer>) {
        let operation = &self.service.operations[call.operation];
        let said = self.canaries.find(&outgoing.said());
        self.said[call.caller].extend(said.into_iter().filter(|sighting| sighting.owner != call.caller));
        let mut record = Record {
            step,
            call: at,
            caller: call.caller,
            signal: call.signal,
            operation: call.operation,
            name: operation.name(),
            reads: operation.reads(),
            is_list: !operation.path.contains('{'),
            outgoing,
            answer,
        };
        if let Some(plant) = &mut self.plant {
            let said = &self.said[call.caller];
            plant.answer(&mut record, &self.canaries, self.world, &self.records, said, self.in_pair);
        }
        let access = operation.access;
        self.coverage.count(&record, access, self.standings.active(call.caller));
        if let Some(answer) = record.answer.as_ref().filter(|answer| answer.is_success())
            && call.signal.is_proper()
            && let Some(json) = &answer.json
        {
            self.seen[call.caller].now = step;
            for collection in operation.collections() {
                harvest(json, collection, &mut self.seen[call.caller]);
            }
        }
        self.records.push(record);
    }

    pub(super) async fn pair(&mut self, step: u16, foreign: &Call, unknown: &Call) -> Option<Finding> {
        self.in_pair = self.standings.active(foreign.caller);
        self.send(step, &[(0, foreign)]).await;
        self.in_pair = false;
        let first = self.records.len();
        self.send(step, &[(1, unknown)]).await;
        let pair = first.checked_sub(1).and_then(|at| self.records.get(at..=first)).map(<[_]>::to_vec);
        let pair = pair.as_deref().filter(|pair| oracle::comparable(&pair[0], &pair[1]));
        let Some([a, b]) = pair else {
            self.withdraw_plant();
            return None;
        };
        if !self.judging || a.step != step || !self.standings.active(foreign.caller) {
            return None;
        }
        self.coverage.observe(Detector::Oracle, 1);
        oracle::judge(a, b, None)?;
        let slots = foreign.params.iter().flatten();
        if slots.into_iter().any(|slot| is_opaque_place(slot, &a.outgoing.used.others)) {
            self.withdraw_plant();
            return None;
        }
        // What shows a text of the caller's own is its own, although no answer has told so before.
        let shown = a.answer.as_ref().filter(|answer| answer.is_success()).map(|answer| &answer.body);
        if shown.is_some_and(|body| self.canaries.find(body).iter().any(|seen| seen.owner == a.caller)) {
            return None;
        }
        let mut other = unknown.clone();
        other.params = other.params.iter().map(|slot| slot.as_ref().map(Slot::shifted)).collect();
        other.body = other.body.as_ref().map(Slot::shifted);
        self.send(step, &[(2, &other)]).await;
        let again = self.records.pop()?;
        let mut found = oracle::judge(a, b, Some(&again));
        if found.is_some() && self.differs_beside(step, foreign, a, b).await {
            found = None;
        }
        if found.is_none() {
            self.withdraw_plant();
        }
        found
    }

    /// Whether the answer to what is another tenant's depends on where it stands among one's own, as behind a cursor, rather
    /// than on whose it is: what is beside it, which is nobody's, is answered otherwise than nobody's too.
    async fn differs_beside(&mut self, step: u16, foreign: &Call, a: &Record, b: &Record) -> bool {
        let Some(beside) = beside(&a.outgoing.used.others, &self.seen) else { return false };
        let recorded = self.recorded.replace([((step, 2), beside)].into());
        self.send(step, &[(2, foreign)]).await;
        self.recorded = recorded;
        let beside = self.records.pop();
        beside.is_some_and(|beside| oracle::judge(a, b, Some(&beside)).is_none())
    }

    /// Nothing could be told from this pair, be it planted: the next one may do.
    fn withdraw_plant(&mut self) {
        if let Some(plant) = &mut self.plant {
            plant.withdraw(Detector::Oracle);
        }
    }

    /// Polls a request a few times and drops it.
    pub(super) async fn abandon(&mut self, step: u16, call: &Call, polls: u8) {
        let Some(outgoing) = self.build(step, 0, call) else { return };
        let mut answering = pin!(self.service.handler.call(outgoing.request()));
        let mut left = polls;
        let answer = poll_fn(|context| match answering.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                left -= 1;
                Poll::Pending
            }
        });
        let begun = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, answer).await.ok().flatten();
        self.meter.add(Part::Serving, begun.elapsed());
        self.meter.count(1);
        let answer = answer.and_then(Result::ok).map(Answer::new);
        self.keep(step, 0, call, outgoing, answer);
    }

    /// Sends a request, on whose way to the database something breaks.
    pub(super) async fn harmed(&mut self, step: u16, call: &Call, harm: Harm) {
        let Some(proxy) = self.service.hooks.proxy.clone() else {
            return self.send(step, &[(0, call)]).await;
        };
        let Some(outgoing) = self.build(step, 0, call) else { return };
        let fault = proxy.arm(harm.fault());
        let answering = tokio::time::timeout(PATIENCE, self.service.handler.call(outgoing.request()));
        let begun = Instant::now();
        let gone = async {
            match harm.kind {
                HarmKind::Hold => fault.met().await,
                HarmKind::Cut | HarmKind::Reset => pending().await,
            }
        };
        let answer = match select(pin!(answering), pin!(gone)).await {
            Either::Left((answer, _)) => answer.ok().and_then(Result::ok).map(Answer::new),
            Either::Right(_) => None,
        };
        self.meter.add(Part::Serving, begun.elapsed());
        self.meter.count(1);
        self.coverage.harmed.count(fault.hits() > 0);
        drop(fault);
        self.keep(step, 0, call, outgoing, answer);
    }
}
