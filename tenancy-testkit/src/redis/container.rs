//! A server in a Docker container, started through testcontainers.

use std::mem;

use testcontainers_modules::{
    redis::{REDIS_PORT, Redis},
    testcontainers::{ContainerAsync, ContainerRequest, ImageExt, runners::AsyncRunner},
};

use super::service::{Started, connect};
use crate::server::{
    Ladder,
    container::{Daemon, ImageName, address},
    ready::until_ready,
    reason::Reason,
    state::random_hex,
    watchdog::whole_seconds,
};

const DEFAULT_IMAGE: &str = "redis:7-bookworm";
const SCRIPT: &str = include_str!("container.sh");

/// Starts a container that ends by itself when no test process is connected to it any more.
pub(crate) async fn start(ladder: &Ladder) -> Result<Started, Reason> {
    let image = ImageName::parse(ladder.image.as_deref().unwrap_or(DEFAULT_IMAGE));
    let daemon = Daemon::find().await?;
    daemon.require_image(&image, ladder.pull_timeout).await?;
    let (id, password) = (random_hex(12), random_hex(32));
    let request = request(ladder, &image, &id, &password);
    let container =
        request.start().await.map_err(|error| Reason::new("the container does not start", error))?;
    let url = ready(&container, &password).await?;
    // Dropping it here would remove it under the other processes of this run. Its script ends it.
    mem::forget(container);
    let description = format!("{}:{} (docker {})", image.name, image.tag, daemon.version());
    Ok(Started { id, description, url })
}

fn request(ladder: &Ladder, image: &ImageName, id: &str, password: &str) -> ContainerRequest<Redis> {
    let linger = whole_seconds(ladder.linger).max(1).to_string();
    let script = ["sh", "-c", SCRIPT, "tenancy-testkit", &linger];
    let settings = ["--requirepass", password, "--save", "", "--appendonly", "no", "--databases", "1024"];
    Redis::default()
        .with_name(&image.name)
        .with_tag(&image.tag)
        .with_cmd(script.into_iter().chain(settings))
        .with_env_var("REDISCLI_AUTH", password)
        .with_container_name(format!("tenancy-redis-{id}"))
        .with_label("tenancy-testkit", id)
        // Readiness is asked of the server, not read in its log.
        .with_ready_conditions(Vec::new())
        .with_host_config_modifier(|host| host.auto_remove = Some(true))
}

async fn ready(container: &ContainerAsync<Redis>, password: &str) -> Result<String, Reason> {
    let (host, port) = address(container, REDIS_PORT).await?;
    let url = format!("redis://:{password}@{host}:{port}/0");
    until_ready(
        || async { connect(&url).await.map(drop) },
        || async {
            let running = container.is_running().await.unwrap_or(false);
            (!running).then(|| Reason::from("the container ended while it started"))
        },
    )
    .await?;
    Ok(url)
}
