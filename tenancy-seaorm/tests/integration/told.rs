//! SCH-13: a session believes the server's answer, not its own question.

use std::net::SocketAddr;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectOptions, ConnectionTrait, Database};
use tenancy_seaorm::session::{Pooling, SessionOptions};
use tenancy_seaorm::{Error, ErrorKind, Tenancy};
use tenancy_testkit::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{context, context_in, open, policy, role};

/// A middleman who lets everything through, but for one text in the server's answers, which it swaps for another one of
/// the same length: as if the server had kept something else than it was told.
async fn middleman(server: SocketAddr, swap: [String; 2]) -> SocketAddr {
    assert_eq!(swap[0].len(), swap[1].len(), "the lengths in the protocol stay right");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(upstream) = TcpStream::connect(server).await else { return };
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), upstream.into_split());
            tokio::spawn(pass(from_client, to_server, <[String; 2]>::default()));
            tokio::spawn(pass(from_server, to_client, swap.clone()));
        }
    });
    address
}

/// An answer of this size comes in one piece.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swap: [String; 2]) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let [old, new] = swap.each_ref().map(|text| text.as_bytes());
        for at in 0..read.saturating_sub(old.len()) {
            if !old.is_empty() && piece[at..read].starts_with(old) {
                piece[at..at + old.len()].copy_from_slice(new);
            }
        }
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

/// A tenancy whose server's answers are swapped as `swap` says.
async fn tenancy(database: &TestDatabase, swap: [String; 2], roles: bool) -> Tenancy {
    let options: PgConnectOptions = database.app_url().parse().expect("a URL");
    let server = tokio::net::lookup_host((options.get_host(), options.get_port())).await;
    let server = server.expect("a host").next().expect("an address");
    let address = middleman(server, swap).await;
    let url = database.app_url();
    let (head, tail) = url.split_once('@').expect("a URL with a password");
    let path = tail.split_once('/').expect("a URL with a database").1;
    let mut options = ConnectOptions::new(format!("{head}@{address}/{path}"));
    options.max_connections(1).sqlx_logging(false).test_before_acquire(false);
    let db = Database::connect(options).await.expect("the middleman lets in");
    let tenancy = Tenancy::new(db, policy().build().expect("a policy")).expect("a tenancy");
    let tenancy =
        tenancy.with_sessions(SessionOptions::default().with_kept(1).with_pooling(Pooling::Session));
    if roles { tenancy.with_role_per_schema() } else { tenancy }
}

/// A database with a schema, and the role of that name, which the application may assume.
async fn prepared() -> (TestDatabase, String) {
    let database = TestDatabase::create().await.expect("a database");
    let admin = open(database.admin_url()).await;
    let app = role(database.app_url());
    // A role is the whole server's: its name is this test's own.
    let schema = format!("r_{}", database.name());
    let sql = format!(
        "CREATE ROLE {schema}; GRANT {schema} TO {app}; CREATE SCHEMA {schema} AUTHORIZATION {schema}; \
         GRANT USAGE ON SCHEMA {schema} TO {app}"
    );
    admin.execute_unprepared(&sql).await.expect("a schema with its role");
    admin.close().await.expect("closed");
    (database, schema)
}

async fn without_the_role(database: TestDatabase, role: &str) {
    let admin = open(database.admin_url()).await;
    admin.execute_unprepared(&format!("DROP SCHEMA {role}; DROP ROLE {role}")).await.expect("it is gone");
    admin.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_did_not_understand_who_is_meant_serves_nobody() {
    let (database, schema) = prepared().await;
    let (tenant, placed) = (context(71_234_567), context_in(1, &schema));
    let swapped = |text: &str| [text.to_owned(), text.replace("r_", "s_").replace("567", "568")];
    let cases = [
        ("the tenant", swapped("71234567"), false, &tenant),
        // With its quotes: the path, and not the schema that is found by it, which is compared by itself.
        ("the path", swapped(&format!("\"{schema}\"")), false, &placed),
        ("the role", swapped(&schema), true, &placed),
    ];
    for (what, swap, roles, context) in cases {
        let refused = tenancy(&database, swap, roles).await.session(context).await;
        let refused = refused.expect_err(what);
        let error = Error::of(&refused).expect(what);
        assert_eq!(error.kind(), ErrorKind::Connection, "{what}: {error}");
        assert!(error.hint().contains("does not keep what it is told"), "{what}: {error}");
        // The same middleman, who swaps nothing that is asked for, is let through.
        let honest = tenancy(&database, swapped("71234599"), roles).await;
        drop(honest.session(context).await.expect(what));
    }
    without_the_role(database, &schema).await;
}
