//! Who may be examined, and from where (KIT-03).

use tenancy_testkit::doctor::{Declarations, Doctor, ErrorKind};

use crate::support::{TestResult, clean, declared, keys, run, user};

#[tokio::test]
async fn a_superuser_is_refused_unless_the_examined_role_is_named() -> TestResult {
    let db = clean().await;
    let refused = Doctor::new(declared()).examine(db.admin_url()).await.expect_err("a superuser is refused");
    assert_eq!(refused.kind(), ErrorKind::PowerfulRole);
    let app = user(db.app_url());
    let diagnosis = Doctor::new(declared()).with_role(&app).examine(db.admin_url()).await?;
    assert_eq!((diagnosis.role, keys(&diagnosis.findings)), (app, vec![]));
    Ok(())
}

/// KIT-03, RLS-01: the same database, seen by its owner.
#[tokio::test]
async fn an_owner_is_examined_and_found() -> TestResult {
    let db = clean().await;
    run(db.owner_url(), "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY").await?;
    let found = keys(&Doctor::new(declared()).examine(db.owner_url()).await?.findings);
    for key in ["TD004 table public.orders", "TD005 table public.customers", "TD007 schema public"] {
        assert!(found.iter().any(|found| found == key), "{key} in {found:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_examined_is_an_error_of_its_kind() -> TestResult {
    let db = clean().await;
    let kind = |result: Result<_, tenancy_testkit::doctor::Error>| result.err().map(|error| error.kind());
    let of = |declared: Declarations| Doctor::new(declared);
    assert_eq!(
        kind(of(declared()).with_role("nobody_here").examine(&db).await),
        Some(ErrorKind::UnknownRole)
    );
    assert_eq!(kind(of(Declarations::new()).examine(&db).await), Some(ErrorKind::Declarations));
    let twice = declared().global("ORDERS");
    assert_eq!(kind(of(twice).examine(&db).await), Some(ErrorKind::Declarations));
    assert_eq!(kind(of(declared()).examine("not a url").await), Some(ErrorKind::Connection));
    let nowhere = "postgres://somebody:hunter2@127.0.0.1:1/none";
    let error = of(declared()).examine(nowhere).await.expect_err("nothing listens there");
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    Ok(())
}
