//! A server in a Docker container, started through testcontainers.

use std::mem;

use sqlx::Connection;
use testcontainers_modules::{
    postgres::Postgres,
    testcontainers::{ContainerAsync, ContainerRequest, ImageExt, core::Mount, runners::AsyncRunner},
};

use super::{
    SERVER_SETTINGS,
    names::Key,
    service::{Started, connect},
};
use crate::server::{
    Ladder,
    container::{Daemon, ImageName, address},
    ready::until_ready,
    reason::Reason,
    state::random_hex,
    watchdog::whole_seconds,
};

const DEFAULT_IMAGE: &str = "postgres:15-bookworm";
const DATA: &str = "/var/lib/tenancy-testkit";
const SCRIPT: &str = include_str!("container.sh");

/// Starts a container that ends by itself when no test process is connected to it any more.
pub(crate) async fn start(ladder: &Ladder) -> Result<Started, Reason> {
    let image = ImageName::parse(ladder.image.as_deref().unwrap_or(DEFAULT_IMAGE));
    let daemon = Daemon::find().await?;
    daemon.require_image(&image, ladder.pull_timeout).await?;
    let (id, password) = (Key::random().to_string(), random_hex(32));
    let request = request(ladder, &image, &id, &password);
    let container =
        request.start().await.map_err(|error| Reason::new("the container does not start", error))?;
    let url = ready(&container, &password).await?;
    // Dropping it here would remove it under the other processes of this run. Its script ends it.
    mem::forget(container);
    let description = format!("{}:{} (docker {})", image.name, image.tag, daemon.version());
    Ok(Started { id, description, url })
}

fn request(ladder: &Ladder, image: &ImageName, id: &str, password: &str) -> ContainerRequest<Postgres> {
    let linger = whole_seconds(ladder.linger).max(1).to_string();
    let script = ["sh".to_owned(), "-c".to_owned(), SCRIPT.to_owned(), "tenancy-testkit".to_owned(), linger];
    let settings = SERVER_SETTINGS.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]);
    Postgres::default()
        .with_password(password)
        .with_name(&image.name)
        .with_tag(&image.tag)
        .with_cmd(script.into_iter().chain(settings))
        .with_container_name(format!("tenancy-postgres-{id}"))
        .with_label("tenancy-testkit", id)
        // In memory: copying a database through the container's layered file system takes ten times as long. A path
        // of its own, since the images' own path differs between versions.
        .with_mount(Mount::tmpfs_mount(DATA))
        .with_env_var("PGDATA", format!("{DATA}/cluster"))
        // Readiness is asked of the server, not read in its log.
        .with_ready_conditions(Vec::new())
        .with_host_config_modifier(|host| host.auto_remove = Some(true))
}

async fn ready(container: &ContainerAsync<Postgres>, password: &str) -> Result<String, Reason> {
    let (host, port) = address(container, 5432).await?;
    let url = format!("postgres://postgres:{password}@{host}:{port}/postgres");
    until_ready(
        || async {
            // The next connection is the one that counts; how this one closes does not matter.
            drop(connect(&url).await?.close().await);
            Ok(())
        },
        || async {
            let running = container.is_running().await.unwrap_or(false);
            (!running).then(|| Reason::from("the container ended while it started"))
        },
    )
    .await?;
    Ok(url)
}
