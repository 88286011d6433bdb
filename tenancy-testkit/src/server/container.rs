//! What every container rung needs of Docker, with a bound on each wait.

use std::{fmt, time::Duration};

use testcontainers_modules::testcontainers::{
    ContainerAsync, GenericImage, Image, bollard::Docker, core::client::docker_client_instance,
    runners::AsyncRunner,
};
use tokio::time::timeout;

use super::reason::Reason;

/// A daemon on this machine answers in milliseconds; one that hangs must not hold up every test run.
const ANSWER: Duration = Duration::from_secs(5);

const SILENT: &str = "no Docker daemon answers";

/// A Docker daemon that answers.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    docker: Docker,
    version: String,
}

/// An image's name and tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ImageName {
    pub(crate) name: String,
    pub(crate) tag: String,
}

impl Daemon {
    /// Finds the daemon, or says why there is none.
    pub(crate) async fn find() -> Result<Self, Reason> {
        let ask = async {
            let docker = docker_client_instance().await.map_err(|error| Reason::new(SILENT, error))?;
            let version = docker.version().await.map_err(|error| Reason::new(SILENT, error))?;
            Ok(Self { docker, version: major_minor(&version.version.unwrap_or_default()) })
        };
        let late = |_| Reason::new(SILENT, format_args!("not within {} s", ANSWER.as_secs()));
        timeout(ANSWER, ask).await.map_err(late)?
    }

    /// Returns the daemon's version, as `20.10`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Makes sure that the image is there, pulling it for at most `limit`.
    pub(crate) async fn require_image(&self, image: &ImageName, limit: Duration) -> Result<(), Reason> {
        let full = format!("{}:{}", image.name, image.tag);
        let found = timeout(ANSWER, self.docker.inspect_image(&full)).await;
        if found.is_ok_and(|answer| answer.is_ok()) {
            return Ok(());
        }
        let missing = |why: &dyn fmt::Display| format!("image {full} is not there and {why}").into();
        match timeout(limit, GenericImage::new(&image.name, &image.tag).pull_image()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(missing(&format_args!("cannot be pulled ({error})"))),
            Err(_) => Err(missing(&format_args!("was not pulled within {} s", limit.as_secs()))),
        }
    }
}

/// Returns the host and port under which a container's port is reached from here.
pub(crate) async fn address<I: Image>(
    container: &ContainerAsync<I>,
    port: u16,
) -> Result<(String, u16), Reason> {
    let refused = |error| Reason::new("the container's port is not published", error);
    let host = container.get_host().await.map_err(refused)?;
    Ok((host.to_string(), container.get_host_port_ipv4(port).await.map_err(refused)?))
}

impl ImageName {
    /// Reads `name:tag`; a registry's port is not a tag.
    pub(crate) fn parse(text: &str) -> Self {
        match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => Self { name: name.to_owned(), tag: tag.to_owned() },
            _ => Self { name: text.to_owned(), tag: "latest".to_owned() },
        }
    }
}

fn major_minor(version: &str) -> String {
    version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_the_registry_is_not_a_tag() {
        let parse = |text| {
            let image = ImageName::parse(text);
            (image.name, image.tag)
        };
        assert_eq!(parse("postgres:15-bookworm"), ("postgres".to_owned(), "15-bookworm".to_owned()));
        assert_eq!(parse("host:5000/postgres"), ("host:5000/postgres".to_owned(), "latest".to_owned()));
        assert_eq!(parse("host:5000/postgres:15"), ("host:5000/postgres".to_owned(), "15".to_owned()));
    }

    #[test]
    fn a_version_is_cut_to_two_numbers() {
        assert_eq!(major_minor("20.10.24+dfsg1"), "20.10");
    }
}
