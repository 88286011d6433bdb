//! A server is shared by the processes of a run, and gone after them, however they end.

use std::{net::TcpStream, process::Command};

use rustix::process::Signal;
use tenancy_testkit::{Ladder, PostgresServer, Rung, TestDatabase, require_app_role};

use crate::{
    support::{TestResult, connect, docker_answers, run},
    victim::{self, Place, Victim, within_30_seconds},
};

const LOCAL: [(&str, &str); 2] = [("TENANCY_POSTGRES", "local"), ("TENANCY_POSTGRES_LINGER", "1")];
const CONTAINER: [(&str, &str); 2] = [("TENANCY_POSTGRES", "container"), ("TENANCY_POSTGRES_LINGER", "1")];

/// What every child does: takes a database, tells which, and waits for its end or panics.
async fn live(role: String) -> TestResult {
    let db = TestDatabase::create().await?;
    require_app_role(db.app_url()).await?;
    victim::tell("server", db.server().admin_url());
    victim::tell("database", db.name());
    if role == "panic" {
        panic!("on purpose");
    }
    victim::wait();
    Ok(())
}

fn answers(admin_url: &str) -> bool {
    let url = url::Url::parse(admin_url).expect("the kit's URL");
    let address = (url.host_str().expect("a host"), url.port().expect("a port"));
    TcpStream::connect(address).is_ok()
}

fn assert_nothing_is_left(place: &Place, server: &str) {
    let took = within_30_seconds("the server is gone", || !answers(server));
    within_30_seconds("its folders are gone", || place.leftovers().is_empty());
    println!("gone {took:.1?} after its last user");
}

#[tokio::test]
async fn a_local_server_is_gone_after_its_test_process_was_killed() -> TestResult {
    if let Some(role) = victim::role() {
        return live(role).await;
    }
    let place = Place::new("killed");
    let test = "lifecycle::a_local_server_is_gone_after_its_test_process_was_killed";
    let mut child = Victim::start(test, "live", &place, &LOCAL);
    let server = child.hear("server");
    assert!(answers(&server) && !place.leftovers().is_empty());
    child.end_with(Signal::KILL);
    assert_nothing_is_left(&place, &server);
    Ok(())
}

#[tokio::test]
async fn a_local_server_is_gone_after_ctrl_c() -> TestResult {
    if let Some(role) = victim::role() {
        return live(role).await;
    }
    let place = Place::new("interrupted");
    let mut child = Victim::start("lifecycle::a_local_server_is_gone_after_ctrl_c", "live", &place, &LOCAL);
    let server = child.hear("server");
    child.end_with(Signal::INT);
    assert_nothing_is_left(&place, &server);
    Ok(())
}

#[tokio::test]
async fn a_local_server_is_gone_after_a_panic() -> TestResult {
    if let Some(role) = victim::role() {
        return live(role).await;
    }
    let place = Place::new("panicked");
    let mut child = Victim::start("lifecycle::a_local_server_is_gone_after_a_panic", "panic", &place, &LOCAL);
    let server = child.hear("server");
    assert!(!child.finish(), "the child panicked");
    assert_nothing_is_left(&place, &server);
    Ok(())
}

#[tokio::test]
async fn a_container_is_gone_after_its_test_process_was_killed() -> TestResult {
    if let Some(role) = victim::role() {
        return live(role).await;
    }
    if !docker_answers().await {
        return Ok(());
    }
    let place = Place::new("container");
    let test = "lifecycle::a_container_is_gone_after_its_test_process_was_killed";
    let mut child = Victim::start(test, "live", &place, &CONTAINER);
    let server = child.hear("server");
    assert!(answers(&server));
    child.end_with(Signal::KILL);
    assert_nothing_is_left(&place, &server);
    Ok(())
}

#[tokio::test]
async fn processes_share_a_server_until_the_last_one_ends() -> TestResult {
    if let Some(role) = victim::role() {
        return live(role).await;
    }
    let place = Place::new("shared");
    let test = "lifecycle::processes_share_a_server_until_the_last_one_ends";
    let mut children = [(); 3].map(|()| Victim::start(test, "live", &place, &LOCAL));
    let [server, second, third] = children.each_mut().map(|child| child.hear("server"));
    assert_eq!([&second, &third], [&server; 2]);
    let [first, second, third] = children;
    first.end_with(Signal::KILL);
    second.end_with(Signal::KILL);
    // Longer than the server lingers without users.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert!(answers(&server), "the server has a user");
    third.end_with(Signal::KILL);
    assert_nothing_is_left(&place, &server);
    Ok(())
}

/// With everything else of a CI job, the watchdog may be killed too: the next process hires a new one.
#[tokio::test]
async fn a_server_whose_watchdog_was_killed_gets_a_new_one() -> TestResult {
    if let Some(role) = victim::role() {
        return live(role).await;
    }
    let place = Place::new("unwatched");
    let test = "lifecycle::a_server_whose_watchdog_was_killed_gets_a_new_one";
    let mut child = Victim::start(test, "live", &place, &LOCAL);
    let server = child.hear("server");
    // The bracket keeps the pattern from finding the shell that searches.
    let kill = "kill -KILL $(ps -A -o pid=,args= | grep -e \"[w]atchdog $1\" | awk '{print $1}')";
    assert!(Command::new("/bin/sh").args(["-c", kill, "sh"]).arg(place.path()).status()?.success());
    child.end_with(Signal::KILL);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(answers(&server), "nobody stops it now");
    let mut next = Victim::start(test, "live", &place, &LOCAL);
    assert_eq!(next.hear("server"), server);
    next.end_with(Signal::KILL);
    assert_nothing_is_left(&place, &server);
    Ok(())
}

/// On a server that outlives the run, too: databases of the living stay, those of the dead go.
#[tokio::test]
async fn on_a_given_server_the_databases_of_dead_processes_are_swept() -> TestResult {
    if let Some(role) = victim::role() {
        return live(role).await;
    }
    let server = PostgresServer::attach(Ladder::new().with_rungs([Rung::Local])).await?;
    let place = Place::new("swept");
    let given = [("TENANCY_POSTGRES", "url"), ("TENANCY_POSTGRES_URL", server.admin_url())];
    let test = "lifecycle::on_a_given_server_the_databases_of_dead_processes_are_swept";
    let start = || {
        let mut child = Victim::start(test, "live", &place, &given);
        let database = child.hear("database");
        (child, database)
    };
    let (dead, left) = start();
    dead.end_with(Signal::KILL);
    assert!(databases(&server).await.contains(&left), "a killed process cannot drop its database");
    let (living, kept) = start();
    let (_third, new) = start();
    let there = databases(&server).await;
    assert!(!there.contains(&left), "the database of the dead process is swept");
    assert!(there.contains(&kept) && there.contains(&new), "the databases of living processes stay");
    assert_ne!(living.id(), 0);
    Ok(())
}

async fn databases(server: &PostgresServer) -> Vec<String> {
    let mut admin = connect(server.admin_url()).await;
    sqlx::query_scalar("SELECT datname::text FROM pg_database").fetch_all(&mut admin).await.expect("the list")
}

#[tokio::test]
async fn a_template_is_migrated_once_for_all_processes() -> TestResult {
    if victim::role().is_some() {
        let db = TestDatabase::from_template("across", |url| async move {
            victim::tell("migrated", "yes");
            // Long enough that the other process asks meanwhile.
            run(&url, "SELECT pg_sleep(1)").await?;
            run(&url, "CREATE TABLE orders (id int)").await
        })
        .await?;
        run(db.app_url(), "INSERT INTO orders VALUES (1)").await?;
        victim::tell("template", "used");
        return Ok(());
    }
    let place = Place::new("template");
    let test = "lifecycle::a_template_is_migrated_once_for_all_processes";
    let children = [(); 3].map(|()| Victim::start(test, "live", &place, &LOCAL));
    let outputs = children.map(Victim::read_all);
    let count = |what: &str| outputs.iter().filter(|output| output.contains(what)).count();
    assert_eq!((count("VICTIM template used"), count("VICTIM migrated")), (3, 1), "{outputs:#?}");
    Ok(())
}
