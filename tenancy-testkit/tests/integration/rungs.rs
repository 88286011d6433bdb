//! The ladder: each rung gives a server or says why it cannot.

use std::time::Duration;

use tenancy_testkit::{ErrorKind, Ladder, PostgresServer, Rung, require_app_role};

use crate::support::{TestResult, connect, docker_answers, run};

#[tokio::test]
async fn every_rung_gives_databases_with_a_least_privileged_role() -> TestResult {
    let local = PostgresServer::attach(Ladder::new().with_rungs([Rung::Local])).await?;
    let mut ladders = vec![
        Ladder::new().with_rungs([Rung::Local]),
        Ladder::new().with_rungs([Rung::Url]).with_url(local.admin_url()),
    ];
    if docker_answers().await {
        ladders.push(Ladder::new().with_rungs([Rung::Container]));
    }
    for ladder in ladders {
        let server = PostgresServer::attach(ladder.clone()).await?;
        assert_eq!(server.rung(), ladder.rungs()[0]);
        let db = server.create_database().await?;
        run(db.owner_url(), "CREATE TABLE orders (id int)").await?;
        run(db.app_url(), "INSERT INTO orders VALUES (1)").await?;
        require_app_role(db.app_url()).await?;
        println!("rung {} gave {}", server.rung(), server.description());
    }
    Ok(())
}

#[tokio::test]
async fn when_no_rung_works_the_error_says_why_for_each() {
    let ladder = Ladder::new()
        .with_image("nowhere.invalid/postgres:none")
        .with_pull_timeout(Duration::from_secs(10))
        .with_binaries("/nonexistent");
    let error = PostgresServer::attach(ladder).await.expect_err("there is nothing to find");
    assert_eq!(error.kind(), ErrorKind::NoServer);
    let rungs: Vec<_> = error.rungs().iter().map(|failure| failure.rung).collect();
    assert_eq!(rungs, [Rung::Url, Rung::Container, Rung::Local]);
    let reasons: Vec<_> = error.rungs().iter().map(|failure| failure.reason.as_str()).collect();
    assert_eq!(reasons[0], "no URL is given");
    assert!(reasons[1].contains("nowhere.invalid/postgres:none") || reasons[1].contains("no Docker daemon"));
    assert_eq!(reasons[2], "the given folder does not hold initdb and postgres");
    let text = error.to_string();
    assert!(error.rungs().iter().all(|failure| text.contains(&failure.to_string())), "{text}");
}

/// Whoever names a server means that server: the tests must not run on another one and pass.
#[tokio::test]
async fn a_url_that_does_not_answer_is_not_replaced_by_another_rung() {
    let ladder = Ladder::new().with_url("postgres://nobody:secret-word@127.0.0.1:1/postgres");
    let error = PostgresServer::attach(ladder).await.expect_err("nothing listens there");
    assert_eq!(error.rungs().iter().map(|failure| failure.rung).collect::<Vec<_>>(), [Rung::Url]);
    assert!(!format!("{error} {error:?}").contains("secret-word"), "an error never holds a password");
}

#[tokio::test]
async fn a_url_whose_role_may_not_create_databases_is_refused() -> TestResult {
    let server = PostgresServer::attach(Ladder::new().with_rungs([Rung::Local])).await?;
    let db = server.create_database().await?;
    let ladder = Ladder::new().with_url(db.app_url());
    let error = PostgresServer::attach(ladder).await.expect_err("the application is no administrator");
    assert_eq!(error.rungs()[0].reason, "the URL's role may not create databases and roles");
    Ok(())
}

/// A managed server gives nobody a superuser: a role that may create databases and roles is enough.
#[tokio::test]
async fn a_url_without_a_superuser_gives_databases_too() -> TestResult {
    let server = PostgresServer::attach(Ladder::new().with_rungs([Rung::Local])).await?;
    run(server.admin_url(), "CREATE ROLE manager LOGIN PASSWORD 'pw' CREATEDB CREATEROLE").await?;
    let mut url = url::Url::parse(server.admin_url())?;
    url.set_username("manager").and_then(|()| url.set_password(Some("pw"))).map_err(|()| "no host")?;
    let managed = PostgresServer::attach(Ladder::new().with_url(url.as_str())).await?;
    let migrate = |url: String| async move { run(&url, "CREATE TABLE orders (id int)").await };
    for _ in 0..2 {
        let db = managed.database_from_template("managed", migrate).await?;
        run(db.app_url(), "INSERT INTO orders VALUES (1)").await?;
        require_app_role(db.app_url()).await?;
        db.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_local_server_never_runs_as_root() -> TestResult {
    let server = PostgresServer::attach(Ladder::new().with_rungs([Rung::Local])).await?;
    let mut admin = connect(server.admin_url()).await;
    let folder: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut admin).await?;
    let pid_file = std::path::Path::new(&folder).join("postmaster.pid");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(pid_file)?);
    assert_ne!(owner, 0);
    Ok(())
}

#[test]
fn a_variable_that_is_not_understood_is_refused() {
    let read = |name: &'static str, value: &'static str| {
        Ladder::from_lookup("POSTGRES", move |asked| (asked == name).then(|| value.to_owned()))
    };
    for (name, value) in [
        ("TENANCY_POSTGRES", "lokal"),
        ("TENANCY_POSTGRES", "local,"),
        ("TENANCY_POSTGRES_LINGER", "soon"),
        ("TENANCY_POSTGRES_PULL_TIMEOUT", "-1"),
    ] {
        let error = read(name, value).expect_err(value);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(name), "{error}");
    }
    let ladder = read("TENANCY_POSTGRES", " local, container ").expect("two rungs");
    assert_eq!(ladder.rungs(), [Rung::Local, Rung::Container]);
    assert_eq!(read("TENANCY_POSTGRES", " ").expect("empty is unset"), Ladder::new());
}
