//! [`World`]: the tenants of one start of the service, and the marks by which their data is known again.

use crate::oracle::rng::Rng;

/// Identities whose decimal texts begin with each other's: a prefix that is cut too short crosses tenants.
const IDS: [u64; 8] = [1, 10, 11, 2, 111, 3, 12, 100];
pub(crate) const NAMES: [&str; 8] =
    ["acme", "acme-1", "acme-11", "globex", "acme-111", "initech", "acme-12", "acme-100"];
/// As long as one label of a host name may be, but for what makes the names differ.
const LONG: usize = 60;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// What all canaries begin with: rare in English and in identifiers, and what a search box can be asked for.
pub(crate) const MARK: &str = "zq";
/// How many characters follow a tenant's token in a canary.
pub(crate) const NUMBER: usize = 4;

/// What a tenant is when a program begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Standing {
    /// Served, and with rows of its own.
    Active,
    /// Served, but without a single row.
    Empty,
    /// Known to the service and not to be served.
    Suspended,
    /// Not there yet: the start of the service leaves it out, [`Service::with_onboard`](super::Service::with_onboard)
    /// brings it in.
    Later,
}

/// One tenant of a [`World`].
#[derive(Clone, Debug)]
pub struct TenantHandle {
    index: usize,
    id: u64,
    slug: String,
    standing: Standing,
    token: String,
}

impl TenantHandle {
    /// Returns the tenant's place in [`World::tenants`]; the same in every world of a run.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns a positive number that identifies the tenant, where tenants are numbered.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns a name of at most 63 lowercase letters, digits and dashes: a host's label, or the name of an account.
    #[must_use]
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// Returns what the tenant is when a program begins.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Returns a text that no other tenant's data holds: put it into the rows that a hook plants.
    #[must_use]
    pub fn canary(&self, number: u16) -> String {
        let mut text = self.token.clone();
        let mut left = usize::from(number);
        let mut digits = [b'0'; NUMBER];
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[left % 36];
            left /= 36;
        }
        text.extend(digits.iter().map(|digit| char::from(*digit)));
        text
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

/// The tenants of one start of the service.
#[derive(Clone, Debug)]
pub struct World {
    tenants: Vec<TenantHandle>,
    present: Vec<usize>,
    pool_size: u32,
    seed: u64,
}

impl World {
    /// `standings` names the tenants; `long` gives them names that differ in their last characters alone.
    pub(crate) fn new(seed: u64, standings: &[Standing], long: bool, pool_size: u32) -> Self {
        let tenants = standings.iter().enumerate().map(|(index, standing)| {
            let slug = if long { padded(NAMES[index]) } else { NAMES[index].to_owned() };
            let token = token(seed, index);
            TenantHandle { index, id: IDS[index], slug, standing: *standing, token }
        });
        Self { tenants: tenants.collect(), present: (0..standings.len()).collect(), pool_size, seed }
    }

    /// Returns the tenants that the service is to know from its start: all but those that come later.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantHandle> {
        let present = self.present.iter().map(|index| &self.tenants[*index]);
        present.filter(|tenant| tenant.standing != Standing::Later)
    }

    /// Returns how many connections the service's pool is to have: one hides a mix-up that eight show, and the reverse.
    #[must_use]
    pub fn pool_size(&self) -> u32 {
        self.pool_size
    }

    /// Returns the number from which the run's randomness comes, for a start that has choices of its own to make.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The same world with one tenant alone.
    pub(crate) fn alone(&self, index: usize) -> Self {
        Self { present: vec![index], ..self.clone() }
    }

    pub(crate) fn all(&self) -> &[TenantHandle] {
        &self.tenants
    }

    /// A tenant that no service knows.
    pub(crate) fn stranger(&self) -> TenantHandle {
        let token = token(self.seed, self.tenants.len());
        let (index, slug) = (self.tenants.len(), "nobody-here".to_owned());
        TenantHandle { index, id: 987_654_321, slug, standing: Standing::Later, token }
    }
}

fn padded(name: &str) -> String {
    let tail = name.rsplit_once('-').map_or("0", |(_, tail)| tail);
    let tail = if name.starts_with("acme") { tail.to_owned() } else { name.chars().take(3).collect() };
    format!("{}{tail}", "long-tenant-name-".repeat(4).split_at(LONG).0)
}

/// Eight random characters after the mark: 2.8 × 10¹² texts, so that one does not turn up by chance.
fn token(seed: u64, index: usize) -> String {
    let mut rng = Rng::derive(seed, 1_000 + index as u64);
    let mut text = MARK.to_owned();
    // A letter first: a token never reads as a number, and a column that trims digits keeps it whole.
    text.push(char::from(DIGITS[10 + rng.below(26)]));
    text.extend((0..7).map(|_| char::from(*rng.pick(DIGITS))));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KIT-01: what two tenants hold can be told apart, and their names are awkward on purpose.
    #[test]
    fn tenants_have_distinct_canaries_and_names_that_begin_alike() {
        for long in [false, true] {
            let world = World::new(7, &[Standing::Active; 8], long, 1);
            for (i, a) in world.all().iter().enumerate() {
                assert!(a.slug().len() <= 63 && a.canary(0).len() == 14, "{a:?}");
                for b in &world.all()[i + 1..] {
                    assert_ne!(a.slug(), b.slug());
                    assert_ne!(a.token(), b.token());
                }
            }
            assert!(world.all()[2].slug().starts_with(&world.all()[2].slug()[..5]));
            if long {
                assert_eq!(world.all()[0].slug()[..56], world.all()[1].slug()[..56]);
            }
        }
    }

    #[test]
    fn a_world_alone_keeps_its_tenant_as_it_was() {
        let world = World::new(7, &[Standing::Active, Standing::Active, Standing::Later], false, 2);
        assert_eq!(world.tenants().map(TenantHandle::index).collect::<Vec<_>>(), [0, 1]);
        let alone = world.alone(1);
        assert_eq!(alone.tenants().map(TenantHandle::index).collect::<Vec<_>>(), [1]);
        assert_eq!(alone.all()[1].token(), world.all()[1].token());
    }
}
