//! After each fault, at each point: the next borrower's connection is clean, and nothing is half done.

use std::collections::BTreeMap;
use std::future::Future;

use tenancy_testkit::cancel::{Outcome, drop_at, until};
use tenancy_testkit::proxy::{Fault, Side};

use super::programs::Program;
use super::world::{Variant, World};

/// How work is interrupted.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Blow {
    /// The future is dropped when it suspends for the n-th time.
    Drop,
    /// The server's n-th message is held, the future is dropped, and then the message arrives.
    HoldAndDrop,
    /// The connection is closed instead of the server's n-th message.
    Cut,
    /// The connection is reset instead of the server's n-th message.
    Reset,
}

const BLOWS: [Blow; 4] = [Blow::Drop, Blow::HoldAndDrop, Blow::Cut, Blow::Reset];

const CASES: [(Program, Variant); 9] = [
    (Program::Statement, Variant::Plain),
    (Program::Statement, Variant::Walled),
    (Program::Transaction, Variant::Plain),
    (Program::Transaction, Variant::Walled),
    (Program::Savepoint, Variant::Plain),
    (Program::Rows, Variant::Plain),
    (Program::Rows, Variant::Walled),
    (Program::Session, Variant::Sessions(0)),
    (Program::Session, Variant::Sessions(1)),
];

const TESTS: u64 = 6;

/// Returns how often each point is hit in each of the six tests: where CI runs them, 24 times in all.
fn rounds() -> u64 {
    let by_default = if std::env::var_os("CI").is_some() { 4 } else { 1 };
    std::env::var("TENANCY_ROUNDS").map_or(by_default, |n| n.parse().expect("a number"))
}

/// Far more points than any program has.
const MOST: u64 = 500;

type Hits = BTreeMap<(Blow, u64), u64>;

/// Runs a program with one fault. Returns how it ended, and whether the fault met it.
async fn strike(world: &World, program: Program, run: i64, blow: Blow, point: u64) -> (Outcome<bool>, bool) {
    let work = async { program.run(&world.tenancy, run).await.is_ok() };
    match blow {
        Blow::Drop => {
            let ended = drop_at(usize::try_from(point).expect("small"), work).await;
            (ended, ended.is_dropped())
        }
        Blow::HoldAndDrop => {
            let fault = world.proxy.arm(Fault::hold(Side::Server).at(point));
            let ended = until(fault.met(), work).await;
            (ended, fault.hits() > 0)
        }
        Blow::Cut | Blow::Reset => {
            let fault = if blow == Blow::Cut { Fault::cut(Side::Server) } else { Fault::reset(Side::Server) };
            let fault = world.proxy.arm(fault.at(point));
            let ended = Outcome::Completed(work.await);
            (ended, fault.hits() > 0)
        }
    }
}

/// Without a fault, the program does its work and leaves nothing behind.
async fn calm(world: &mut World, program: Program) {
    for _ in 0..5 {
        let run = world.next_run();
        program.run(&world.tenancy, run).await.expect("nothing stands in the way");
        assert_eq!(world.steps(1, run).await, program.whole());
        assert_eq!(world.dirt().await, [""; 0], "without a fault");
    }
}

/// Strikes at each point until it was hit `rounds` times. One that is met at times, such as an answer that the program
/// does not wait for, is tried some more, and then left; the first is tried most, since behind it all others are.
async fn strike_everywhere(world: &mut World, program: Program, rounds: u64, hits: &mut Hits, what: &str) {
    for blow in BLOWS {
        for point in 1..MOST {
            let mut hit = 0;
            let patience = if point == 1 { 4 * rounds.max(4) } else { rounds };
            for attempt in 1..=4 * rounds.max(4) {
                let run = world.next_run();
                let (ended, met) = strike(world, program, run, blow, point).await;
                hit += u64::from(met);
                let mut wrong = world.dirt().await;
                wrong.extend(world.next_borrower(run, program.needs_a_session()).await);
                let committed = world.steps(1, run).await;
                if committed != program.whole() && !committed.is_empty() {
                    wrong.push(format!("half is committed: {committed:?}"));
                }
                if ended == Outcome::Completed(true) && committed != program.whole() {
                    wrong.push(format!("what was acknowledged is lost: {committed:?}"));
                }
                assert!(wrong.is_empty(), "{what}, {blow:?} at {point} ({ended:?}): {wrong:#?}");
                if hit >= rounds || (hit == 0 && attempt >= patience) {
                    break;
                }
            }
            if hit == 0 {
                break;
            }
            hits.insert((blow, point), hit);
        }
    }
}

async fn every_case(size: u32, runtime: &str) {
    let wanted = std::env::var("TENANCY_INJECTIONS").map(|n| n.parse::<u64>().expect("a number") / TESTS);
    let (rounds, mut injected) = (rounds(), 0);
    loop {
        for (program, variant) in CASES {
            let what = format!("{program:?}, {variant:?}, {size} connections, {runtime}");
            let mut world = World::new(size, variant).await;
            calm(&mut world, program).await;
            let mut hits = Hits::new();
            strike_everywhere(&mut world, program, rounds, &mut hits, &what).await;
            let met: u64 = hits.values().sum();
            let rare: Vec<_> =
                hits.iter().filter(|(_, hits)| **hits < rounds).map(|(point, _)| point).collect();
            println!("{what}: {met} faults at {} points; met at times: {rare:?}", hits.len());
            for blow in BLOWS {
                let often = hits.iter().filter(|((by, _), hits)| *by == blow && **hits >= rounds).count();
                assert!(often >= 1, "{what}: {blow:?} met next to nothing");
            }
            injected += met;
        }
        if wanted.as_ref().map_or(true, |wanted| injected >= *wanted) {
            break;
        }
    }
    println!("{size} connections, {runtime}: {injected} faults, 0 dirty connections");
}

fn on_one_thread(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work);
}

fn on_several_threads(work: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { tokio::spawn(work).await }).expect("the task ends");
}

#[test]
fn nothing_is_left_on_one_connection_on_one_thread() {
    on_one_thread(every_case(1, "one thread"));
}

#[test]
fn nothing_is_left_on_two_connections_on_one_thread() {
    on_one_thread(every_case(2, "one thread"));
}

#[test]
fn nothing_is_left_on_eight_connections_on_one_thread() {
    on_one_thread(every_case(8, "one thread"));
}

#[test]
fn nothing_is_left_on_one_connection_on_several_threads() {
    on_several_threads(every_case(1, "several threads"));
}

#[test]
fn nothing_is_left_on_two_connections_on_several_threads() {
    on_several_threads(every_case(2, "several threads"));
}

#[test]
fn nothing_is_left_on_eight_connections_on_several_threads() {
    on_several_threads(every_case(8, "several threads"));
}
