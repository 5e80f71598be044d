//! Which connections a listener keeps when there are more than it has room for: shares for each address and each identity, and an order
//! in which connections give way. Opens and closes nothing; the time is an argument.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Milliseconds after which a connection that has not authenticated is old: it then gives way first, whatever its address.
const OLD_MILLIS: u64 = 1000;
/// Milliseconds for which an address counts as known after a credential of it was accepted.
const KNOWN_MILLIS: u64 = 300_000;
/// Addresses remembered as known.
const KNOWN_MAX: usize = 4096;
/// Busy connections that are passed over while an idle one is looked for.
const LOOKED_AT_MAX: usize = 512;

/// Bounds of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections in all.
    pub total: usize,
    /// Connections from one address; an IPv6 address counts with its /64 network.
    pub per_address: usize,
    /// Authenticated connections of one identity. Further ones give way, busy or not, when nothing else does.
    pub per_identity: usize,
}

/// How a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// After what is under way: it was idle and authenticated.
    Graceful,
    /// Without delay.
    Immediate,
}

/// What the connection and the limiter both read and write.
struct Shared {
    /// 0 while it may stay, else an [`Eviction`].
    eviction: AtomicU8,
    authenticated: AtomicBool,
    requests: AtomicU32,
    idle_since: AtomicU64,
    notify: Box<dyn Fn() + Send + Sync>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// From an address of which nothing is known.
    Anonymous,
    /// Not authenticated either, from an address that authenticated lately.
    Vouched,
    /// Authenticated, and since when it is idle at least.
    Authenticated(u64),
    /// The same beyond its identity's share.
    Surplus(u64),
    /// Evicted and not yet gone.
    Leaving,
}

struct Entry {
    address: IpAddr,
    identity: Option<u64>,
    class: Class,
    entered: u64,
    shared: Arc<Shared>,
}

/// The connections of one address or one identity.
#[derive(Default)]
struct Group {
    waiting: BTreeSet<u64>,
    idle: BTreeSet<(u64, u64)>,
}

impl Group {
    fn len(&self) -> usize {
        self.waiting.len() + self.idle.len()
    }
}

/// By how many anonymous connections an address has, then by the age of its oldest.
type Rank = (usize, std::cmp::Reverse<u64>, IpAddr);

#[derive(Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
    anonymous: BTreeSet<u64>,
    vouched: BTreeSet<u64>,
    idle: BTreeSet<(u64, u64)>,
    surplus: BTreeSet<u64>,
    addresses: HashMap<IpAddr, Group>,
    identities: HashMap<u64, Group>,
    ranks: BTreeSet<Rank>,
    known: HashMap<IpAddr, u64>,
    leaving: usize,
}

impl Table {
    fn rank(&self, address: IpAddr) -> Option<Rank> {
        let group = self.addresses.get(&address)?;
        Some((group.waiting.len(), std::cmp::Reverse(*group.waiting.first()?), address))
    }

    /// Changes an address's group and keeps its rank true.
    fn with_group(&mut self, address: IpAddr, change: impl FnOnce(&mut Group)) {
        if let Some(rank) = self.rank(address) {
            self.ranks.remove(&rank);
        }
        let group = self.addresses.entry(address).or_default();
        change(group);
        if group.len() == 0 {
            self.addresses.remove(&address);
        }
        if let Some(rank) = self.rank(address) {
            self.ranks.insert(rank);
        }
    }

    fn put(&mut self, number: u64, address: IpAddr, identity: Option<u64>, class: Class) {
        match class {
            Class::Anonymous => {
                self.anonymous.insert(number);
                self.with_group(address, |group| {
                    group.waiting.insert(number);
                });
            }
            Class::Vouched => {
                self.vouched.insert(number);
                self.with_group(address, |group| {
                    group.waiting.insert(number);
                });
            }
            Class::Authenticated(since) | Class::Surplus(since) => {
                self.idle.insert((since, number));
                self.with_group(address, |group| {
                    group.idle.insert((since, number));
                });
                if matches!(class, Class::Surplus(_)) {
                    self.surplus.insert(number);
                } else if let Some(identity) = identity {
                    self.identities.entry(identity).or_default().idle.insert((since, number));
                }
            }
            Class::Leaving => self.leaving += 1,
        }
    }

    fn take(&mut self, number: u64, address: IpAddr, identity: Option<u64>, class: Class) {
        match class {
            Class::Anonymous | Class::Vouched => {
                self.anonymous.remove(&number);
                self.vouched.remove(&number);
                self.with_group(address, |group| {
                    group.waiting.remove(&number);
                });
            }
            Class::Authenticated(since) | Class::Surplus(since) => {
                self.surplus.remove(&number);
                self.idle.remove(&(since, number));
                self.with_group(address, |group| {
                    group.idle.remove(&(since, number));
                });
                if let Some(identity) = identity
                    && let Some(group) = self.identities.get_mut(&identity)
                {
                    group.idle.remove(&(since, number));
                    if group.len() == 0 {
                        self.identities.remove(&identity);
                    }
                }
            }
            Class::Leaving => self.leaving -= 1,
        }
    }

    /// Moves a connection to another class.
    fn reclass(&mut self, number: u64, class: Class, identity: Option<u64>) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        let (address, before, old) = (entry.address, entry.class, entry.identity);
        (entry.class, entry.identity) = (class, identity);
        self.take(number, address, old, before);
        self.put(number, address, identity, class);
    }

    /// The connection that has been idle for longest among those in `of`; none when all of them are busy.
    fn longest_idle(&mut self, of: impl Fn(&Self) -> Option<(u64, u64)>, now: u64) -> Option<u64> {
        for _ in 0..LOOKED_AT_MAX {
            let (since, number) = of(self)?;
            let entry = self.entries.get(&number)?;
            let busy = entry.shared.requests.load(Relaxed) > 0;
            let idle_since = if busy { now } else { entry.shared.idle_since.load(Relaxed) };
            if idle_since <= since {
                // The same when it is busy and was found busy at this very moment: so are all behind it.
                return if busy { None } else { Some(number) };
            }
            let (identity, surplus) = (entry.identity, matches!(entry.class, Class::Surplus(_)));
            self.reclass(number, if surplus { Class::Surplus(idle_since) } else { Class::Authenticated(idle_since) }, identity);
        }
        None
    }

    fn evict(&mut self, number: u64, bound: usize) -> Option<Arc<Shared>> {
        let entry = self.entries.get(&number)?;
        let (shared, identity) = (Arc::clone(&entry.shared), entry.identity);
        // Whoever leaves gracefully holds a descriptor for a moment longer; that must not add up.
        let idle = entry.shared.authenticated.load(Relaxed) && entry.shared.requests.load(Relaxed) == 0;
        let graceful = idle && self.leaving < (bound / 8).max(1);
        self.reclass(number, Class::Leaving, identity);
        shared.eviction.store(if graceful { 1 } else { 2 }, Relaxed);
        Some(shared)
    }

    /// Who gives way to a newcomer when the listener is full.
    fn gives_way(&mut self, limits: &ConnectionLimits, now: u64) -> Option<u64> {
        let oldest = [self.anonymous.first(), self.vouched.first()].into_iter().flatten().min().copied();
        if let Some(oldest) = oldest
            && self.entries.get(&oldest).is_some_and(|entry| now.saturating_sub(entry.entered) >= OLD_MILLIS)
        {
            return Some(oldest);
        }
        // A few newcomers keep their moment to authenticate, though others are idle.
        let few = self.anonymous.len() + self.vouched.len() <= limits.total / 8;
        let idle = if few || oldest.is_none() { self.longest_idle(|table| table.idle.first().copied(), now) } else { None };
        if let Some(place) = idle.or_else(|| self.surplus.first().copied().filter(|_| few)) {
            return Some(place);
        }
        let flooding =
            self.ranks.iter().rev().find_map(|(_, std::cmp::Reverse(number), _)| self.anonymous.contains(number).then_some(*number));
        flooding.or(oldest)
    }

    fn is_known(&self, address: &IpAddr, now: u64) -> bool {
        self.known.get(address).is_some_and(|at| now.saturating_sub(*at) < KNOWN_MILLIS)
    }

    fn note_known(&mut self, address: IpAddr, now: u64) {
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&address) {
            self.known.retain(|_, at| now.saturating_sub(*at) < KNOWN_MILLIS);
            if self.known.len() >= KNOWN_MAX {
                self.known.clear();
            }
        }
        self.known.insert(address, now);
    }
}

/// The connections of one listener. Shared by everything that accepts on it.
pub struct ConnectionLimiter {
    limits: ConnectionLimits,
    table: Mutex<Table>,
}

impl fmt::Debug for ConnectionLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLimiter").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl ConnectionLimiter {
    /// An empty one.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self { limits, table: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for a new connection from `address` at `now`, in milliseconds of any monotonic clock. Where there is no room, another
    /// connection is evicted: of the same address where its share is used up, else whoever gives way first. `notify` is called once
    /// if this connection is evicted; it must not block. None when everything is busy: the connection is to be closed.
    pub fn enter(self: &Arc<Self>, address: IpAddr, now: u64, notify: impl Fn() + Send + Sync + 'static) -> Option<ConnectionSlot> {
        let address = network(address);
        let mut guard = self.lock();
        let table = &mut *guard;
        let victim = if table.addresses.get(&address).is_some_and(|group| group.len() >= self.limits.per_address) {
            let oldest = table.addresses.get(&address).and_then(|group| group.waiting.first().copied());
            let idle = |table: &Table| table.addresses.get(&address)?.idle.first().copied();
            Some(oldest.or_else(|| table.longest_idle(idle, now))?)
        } else if table.entries.len() - table.leaving >= self.limits.total {
            Some(table.gives_way(&self.limits, now)?)
        } else {
            None
        };
        let evicted = victim.and_then(|number| table.evict(number, self.limits.total));
        let number = table.next;
        table.next += 1;
        let shared = Arc::new(Shared {
            eviction: AtomicU8::new(0),
            authenticated: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            idle_since: AtomicU64::new(now),
            notify: Box::new(notify),
        });
        let class = if table.is_known(&address, now) { Class::Vouched } else { Class::Anonymous };
        table.entries.insert(number, Entry { address, identity: None, class, entered: now, shared: Arc::clone(&shared) });
        table.put(number, address, None, class);
        drop(guard);
        if let Some(evicted) = evicted {
            (evicted.notify)();
        }
        Some(ConnectionSlot(SlotHandle { limiter: Arc::clone(self), number, shared }))
    }

    /// Connections that hold a slot, those that are on their way out included.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One party's addresses: whoever has an IPv6 address has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

/// A connection's slot, given back by its drop.
#[derive(Debug)]
pub struct ConnectionSlot(SlotHandle);

impl ConnectionSlot {
    /// What requests on the connection carry along.
    pub fn handle(&self) -> &SlotHandle {
        &self.0
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let SlotHandle { limiter, number, .. } = &self.0;
        let mut table = limiter.lock();
        if let Some(entry) = table.entries.remove(number) {
            table.take(*number, entry.address, entry.identity, entry.class);
        }
    }
}

/// A connection's standing with its limiter. Outlives the slot and then changes nothing.
#[derive(Clone)]
pub struct SlotHandle {
    limiter: Arc<ConnectionLimiter>,
    number: u64,
    shared: Arc<Shared>,
}

impl fmt::Debug for SlotHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotHandle").field("number", &self.number).finish_non_exhaustive()
    }
}

impl SlotHandle {
    /// Notes that a credential of `identity` (any number that stands for it) was accepted on the connection. An identity that has used
    /// up its share loses the connection of its own that has been idle for longest; where all of them are busy, this one is kept for
    /// as long as nobody else needs the room.
    pub fn authenticate(&self, identity: Option<u64>, now: u64) {
        self.shared.authenticated.store(true, Relaxed);
        let limits = &self.limiter.limits;
        let mut table = self.limiter.lock();
        let Some(entry) = table.entries.get(&self.number) else { return };
        let address = entry.address;
        table.note_known(address, now);
        if !matches!(table.entries.get(&self.number).map(|entry| entry.class), Some(Class::Anonymous | Class::Vouched)) {
            return;
        }
        let mut evicted = None;
        if let Some(identity) = identity
            && table.identities.get(&identity).is_some_and(|group| group.len() >= limits.per_identity)
        {
            let of = |table: &Table| table.identities.get(&identity)?.idle.first().copied();
            let Some(idle) = table.longest_idle(of, now) else { return table.reclass(self.number, Class::Surplus(now), None) };
            evicted = table.evict(idle, limits.total);
        }
        table.reclass(self.number, Class::Authenticated(now), identity);
        drop(table);
        if let Some(evicted) = evicted {
            (evicted.notify)();
        }
    }

    /// Whether a credential was accepted on the connection.
    pub fn is_authenticated(&self) -> bool {
        self.shared.authenticated.load(Relaxed)
    }

    /// A request has begun: the connection is not idle.
    pub fn request_began(&self) {
        self.shared.requests.fetch_add(1, Relaxed);
    }

    /// A request has ended, at `now`.
    pub fn request_ended(&self, now: u64) {
        self.shared.idle_since.store(now, Relaxed);
        self.shared.requests.fetch_sub(1, Relaxed);
    }

    /// Whether the connection has to end, and how.
    pub fn eviction(&self) -> Option<Eviction> {
        match self.shared.eviction.load(Relaxed) {
            0 => None,
            1 => Some(Eviction::Graceful),
            _ => Some(Eviction::Immediate),
        }
    }
}

#[cfg(test)]
mod tests;
