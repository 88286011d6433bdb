//! The program's exit codes.
#![cfg(feature = "doctor-cli")]

use std::process::{Command, Output};

use crate::support::{TestResult, clean, run, user};

fn doctor(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_tenancy-doctor")).args(arguments).env_remove("DATABASE_URL").output()
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_healthy_from_not_and_from_not_examined() -> TestResult {
    let db = clean().await;
    let folder = std::env::temp_dir().join(format!("{}_program", db.name()));
    std::fs::create_dir_all(&folder)?;
    let path = |name: &str| folder.join(name).display().to_string();
    let (tables, baseline) = (path("tables.toml"), path("baseline.json"));
    std::fs::write(&tables, "owned = [\"customers\", \"orders\", \"events\"]\nglobal = [\"countries\"]\n")?;
    let with = ["--url", db.app_url(), "--tables", tables.as_str()];
    let and = |more: &[&'static str]| [&with[..], more].concat();

    let healthy = doctor(&with)?;
    assert_eq!(healthy.status.code(), Some(0), "{healthy:?}");
    run(db.owner_url(), "ALTER TABLE orders DISABLE ROW LEVEL SECURITY").await?;
    let found = doctor(&and(&["--format", "sarif"]))?;
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(String::from_utf8(found.stdout)?.contains("\"ruleId\": \"TD011\""));

    assert_eq!(
        doctor(&[&with[..], &["--baseline", &baseline]].concat())?.status.code(),
        Some(2),
        "no such file"
    );
    let update = [&with[..], &["--baseline", &baseline, "--update-baseline"]].concat();
    assert_eq!(doctor(&update)?.status.code(), Some(0));
    assert_eq!(doctor(&[&with[..], &["--baseline", &baseline]].concat())?.status.code(), Some(0));

    let refused = doctor(&["--url", db.admin_url(), "--tables", &tables])?;
    assert_eq!(refused.status.code(), Some(2), "KIT-03: {refused:?}");
    assert!(String::from_utf8(refused.stderr)?.contains("bypasses row-level security"));
    let app = user(db.app_url());
    let named = doctor(&["--url", db.admin_url(), "--tables", &tables, "--role", &app])?;
    assert_eq!(named.status.code(), Some(1), "{named:?}");
    assert_eq!(
        doctor(&["--url", "postgres://nobody@127.0.0.1:1/x", "--tables", &tables])?.status.code(),
        Some(2)
    );
    assert_eq!(doctor(&["--list"])?.status.code(), Some(0));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
