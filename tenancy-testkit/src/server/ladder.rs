//! The ladder: where a server may come from, and in which order that is tried.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use crate::error::Error;

/// One source of servers.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Rung {
    /// A server that somebody else runs, named by a URL.
    Url,
    /// A Docker container, started through testcontainers.
    Container,
    /// Server binaries of this machine, with their data in memory (`/dev/shm`) where 4 GiB are free and `TMPDIR` is not set,
    /// and in a temporary folder otherwise.
    Local,
}

impl Rung {
    const ALL: [Self; 3] = [Self::Url, Self::Container, Self::Local];
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "url",
            Self::Container => "container",
            Self::Local => "local",
        })
    }
}

impl FromStr for Rung {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|rung| rung.to_string() == text);
        found.ok_or_else(|| Error::configuration("a rung is one of url, container, local"))
    }
}

/// Where a server may come from.
///
/// The default tries [`Rung::Url`], [`Rung::Container`] and [`Rung::Local`] in this order and takes the first that
/// works. A URL that is given is meant: when it does not answer, the ladder ends there instead of quietly testing
/// against something else.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenancy_testkit::{Ladder, Rung};
///
/// let ladder = Ladder::new().with_rungs([Rung::Local]).with_linger(Duration::from_secs(2));
/// assert_eq!(ladder.rungs(), [Rung::Local]);
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Ladder {
    rungs: Vec<Rung>,
    pub(crate) url: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) binaries: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) linger: Duration,
    pub(crate) pull_timeout: Duration,
}

impl fmt::Debug for Ladder {
    // The URL holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ladder")
            .field("rungs", &self.rungs)
            .field("url", &self.url.is_some())
            .finish_non_exhaustive()
    }
}

impl Default for Ladder {
    fn default() -> Self {
        Self::new()
    }
}

impl Ladder {
    /// Returns the default ladder: every rung, no URL.
    #[must_use]
    pub fn new() -> Self {
        Self {
            rungs: Rung::ALL.to_vec(),
            url: None,
            image: None,
            binaries: None,
            user: None,
            linger: Duration::from_secs(10),
            pull_timeout: Duration::from_secs(60),
        }
    }

    /// Reads the ladder of `service` (`POSTGRES`, `REDIS`) from environment variables.
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `TENANCY_POSTGRES` | the rungs to try, comma-separated: `url`, `container`, `local` | all three |
    /// | `TENANCY_POSTGRES_URL` | the administrator's URL for `url` | none |
    /// | `TENANCY_POSTGRES_IMAGE` | the image for `container` | `postgres:15-bookworm` |
    /// | `TENANCY_POSTGRES_BIN` | the folder of the binaries for `local` | searched |
    /// | `TENANCY_POSTGRES_USER` | who runs them when the tests run as root | `postgres`, `nobody` |
    /// | `TENANCY_POSTGRES_LINGER` | seconds that a server outlives its last user | 10 |
    /// | `TENANCY_POSTGRES_PULL_TIMEOUT` | seconds that pulling the image may take | 60 |
    ///
    /// An empty variable counts as unset.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a variable cannot be understood: a
    /// misspelt rung is never taken for "all of them".
    pub fn from_env(service: &str) -> Result<Self, Error> {
        Self::from_lookup(service, |name| std::env::var(name).ok())
    }

    /// Reads the ladder of `service` from any source of variables; [`from_env`](Self::from_env) describes them.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_lookup(service: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let prefix = format!("TENANCY_{service}");
        let get =
            |suffix: &str| lookup(&format!("{prefix}{suffix}")).filter(|value| !value.trim().is_empty());
        let seconds = |suffix: &str, default: Duration| match get(suffix).map(|text| text.trim().parse()) {
            None => Ok(default),
            Some(Ok(value)) => Ok(Duration::from_secs(value)),
            Some(Err(_)) => Err(Error::configuration(format!("{prefix}{suffix} is not a number of seconds"))),
        };
        let default = Self::new();
        let rungs = match get("") {
            Some(list) => list.split(',').map(|rung| rung.trim().parse()).collect::<Result<_, Error>>(),
            None => Ok(default.rungs),
        };
        Ok(Self {
            rungs: rungs.map_err(|error| Error::configuration(format!("{prefix}: {error}")))?,
            url: get("_URL"),
            image: get("_IMAGE"),
            binaries: get("_BIN").map(PathBuf::from),
            user: get("_USER"),
            linger: seconds("_LINGER", default.linger)?,
            pull_timeout: seconds("_PULL_TIMEOUT", default.pull_timeout)?,
        })
    }

    /// Returns the rungs in the order in which they are tried.
    #[must_use]
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// Tries these rungs only, in this order.
    #[must_use]
    pub fn with_rungs(mut self, rungs: impl IntoIterator<Item = Rung>) -> Self {
        self.rungs = rungs.into_iter().collect();
        self
    }

    /// Names the server of [`Rung::Url`] by an administrator's URL.
    #[must_use]
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Names the image of [`Rung::Container`], as `name:tag`.
    #[must_use]
    pub fn with_image(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// Looks for the binaries of [`Rung::Local`] in this folder only.
    #[must_use]
    pub fn with_binaries(mut self, folder: impl Into<PathBuf>) -> Self {
        self.binaries = Some(folder.into());
        self
    }

    /// Names the user who runs the binaries of [`Rung::Local`] when this process runs as root.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Lets a server that the kit started outlive its last user by this long, at least a second.
    ///
    /// Test processes follow one another with gaps; within this time the next one finds the server running.
    #[must_use]
    pub fn with_linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Lets pulling the image of [`Rung::Container`] take this long.
    #[must_use]
    pub fn with_pull_timeout(mut self, timeout: Duration) -> Self {
        self.pull_timeout = timeout;
        self
    }
}
