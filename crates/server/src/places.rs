//! Who holds a connection to one port of the control plane, so that no address takes all there are and those who showed a credential are
//! not kept out by those who have not. It counts and says who has to go; it opens and closes nothing itself.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Connections at a time that nobody showed a good credential on.
const STRANGERS: Bounds = Bounds { all: 512, by_address: 128 };
/// Those on which somebody did: more by address, since a proxy may stand before many of them.
const KNOWN: Bounds = Bounds { all: 512, by_address: 256 };

#[derive(Clone, Copy, Debug)]
struct Bounds {
    all: usize,
    by_address: usize,
}

/// Connections of one kind, by address and in the order they came.
#[derive(Debug)]
struct Kind {
    bounds: Bounds,
    all: usize,
    held: HashMap<IpAddr, BTreeMap<u64, Arc<Notify>>>,
}

impl Kind {
    const fn new(bounds: Bounds, held: HashMap<IpAddr, BTreeMap<u64, Arc<Notify>>>) -> Self {
        Self { bounds, all: 0, held }
    }

    /// Takes one in. Where there is no room, the oldest of its own address goes, or else the oldest of the address that has the most:
    /// whoever floods then pushes out his own, and a newcomer is always heard.
    fn put(&mut self, address: IpAddr, number: u64, ended: Arc<Notify>) {
        let full = if self.held.get(&address).is_some_and(|held| held.len() >= self.bounds.by_address) {
            Some(address)
        } else if self.all >= self.bounds.all {
            self.held.iter().max_by_key(|(_, held)| held.len()).map(|(address, _)| *address)
        } else {
            None
        };
        if let Some(oldest) = full.and_then(|full| Some((full, *self.held.get(&full)?.keys().next()?)))
            && let Some(ended) = self.take(oldest.0, oldest.1)
        {
            ended.notify_one();
        }
        self.held.entry(address).or_default().insert(number, ended);
        self.all += 1;
    }

    fn take(&mut self, address: IpAddr, number: u64) -> Option<Arc<Notify>> {
        let held = self.held.get_mut(&address)?;
        let taken = held.remove(&number);
        if held.is_empty() {
            self.held.remove(&address);
        }
        self.all -= usize::from(taken.is_some());
        taken
    }
}

#[derive(Debug)]
struct Held {
    next: u64,
    strangers: Kind,
    known: Kind,
}

/// The places of one port.
#[derive(Debug)]
pub(crate) struct Places(Mutex<Held>);

impl Default for Places {
    fn default() -> Self {
        let held = Held { next: 0, strangers: Kind::new(STRANGERS, HashMap::new()), known: Kind::new(KNOWN, HashMap::new()) };
        Self(Mutex::new(held))
    }
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from this address, as one of a stranger.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Place {
        let (address, ended) = (neighbourhood(address), Arc::new(Notify::new()));
        let mut held = self.lock();
        let number = held.next;
        held.next += 1;
        held.strangers.put(address, number, Arc::clone(&ended));
        drop(held);
        Place { standing: Standing { places: Arc::clone(self), address, number }, ended }
    }
}

/// One party's addresses: whoever has an IPv6 address has all of its /64.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

/// A connection's place; given back by its drop.
#[derive(Debug)]
pub(crate) struct Place {
    standing: Standing,
    ended: Arc<Notify>,
}

impl Place {
    /// What requests on this connection carry along.
    pub(crate) fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Returns when somebody else needs the place: the connection is to end.
    pub(crate) async fn taken(&self) {
        self.ended.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Standing { places, address, number } = &self.standing;
        let mut held = places.lock();
        if held.strangers.take(*address, *number).is_none() {
            held.known.take(*address, *number);
        }
    }
}

/// How a connection stands, for those who find out who is at its other end.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    places: Arc<Places>,
    address: IpAddr,
    number: u64,
}

impl Standing {
    /// Says that a good credential was shown on the connection: strangers no longer push it out.
    pub(crate) fn is_known(&self) {
        let mut held = self.places.lock();
        if let Some(ended) = held.strangers.take(self.address, self.number) {
            held.known.put(self.address, self.number, ended);
        }
    }

    /// Whether one was.
    pub(crate) fn known(&self) -> bool {
        self.places.lock().known.held.get(&self.address).is_some_and(|held| held.contains_key(&self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn address(last: u16) -> IpAddr {
        IpAddr::from([192, 0, (last >> 8) as u8, last as u8])
    }

    fn has_to_go(place: &Place) -> bool {
        place.taken().now_or_never().is_some()
    }

    #[test]
    fn an_address_that_floods_pushes_out_its_own_and_nobody_elses() {
        let places = Arc::new(Places::default());
        let other = places.enter(address(2));
        let held: Vec<Place> = (0..STRANGERS.by_address).map(|_| places.enter(address(1))).collect();
        assert!(!held.iter().any(has_to_go));
        let _more = places.enter(address(1));
        assert!(has_to_go(&held[0]) && !held[1..].iter().any(has_to_go) && !has_to_go(&other));
    }

    #[test]
    fn where_all_places_are_held_the_address_with_the_most_gives_one_up() {
        let places = Arc::new(Places::default());
        let many: Vec<Place> = (0..3).map(|_| places.enter(address(1))).collect();
        let others: Vec<Place> = (2..).take(STRANGERS.all - 3).map(|last| places.enter(address(last))).collect();
        let newcomer = places.enter(address(9999));
        assert!(has_to_go(&many[0]) && !has_to_go(&many[1]) && !others.iter().any(has_to_go) && !has_to_go(&newcomer));
    }

    #[test]
    fn strangers_push_out_nobody_who_is_known_though_he_came_first() {
        let places = Arc::new(Places::default());
        let admin = places.enter(address(1));
        assert!(!admin.standing().known());
        admin.standing().is_known();
        assert!(admin.standing().known());
        let _flood: Vec<Place> = (0..2 * STRANGERS.all).map(|n| places.enter(address(n as u16 % 7))).collect();
        assert!(!has_to_go(&admin));
    }

    #[test]
    fn a_place_that_is_given_back_is_counted_no_more() {
        let places = Arc::new(Places::default());
        for n in 0..3 * STRANGERS.all {
            let place = places.enter(address(n as u16));
            if n % 2 == 0 {
                place.standing().is_known();
            }
            let late = place.standing();
            drop(place);
            // A request that outlives its connection makes nothing of it.
            late.is_known();
        }
        let held = places.lock();
        assert_eq!((held.strangers.all, held.known.all, held.strangers.held.len(), held.known.held.len()), (0, 0, 0, 0));
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_partys() {
        let (one, other) = ("2001:db8:1:2::1".parse().unwrap(), "2001:db8:1:2:ffff::9".parse().unwrap());
        assert_eq!(neighbourhood(one), neighbourhood(other));
        assert_ne!(neighbourhood(one), neighbourhood("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(neighbourhood("::ffff:192.0.2.1".parse().unwrap()), IpAddr::from([192, 0, 2, 1]));
    }
}
