//! Who gives way to whom, by hand-made connections and moments.

use super::*;
use proptest::prelude::*;

const LIMITS: ConnectionLimits = ConnectionLimits { total: 16, per_address: 12, per_identity: 8 };

fn limiter() -> Arc<ConnectionLimiter> {
    Arc::new(ConnectionLimiter::new(LIMITS))
}

fn address(last: u16) -> IpAddr {
    IpAddr::from([192, 0, (last >> 8) as u8, last as u8])
}

fn enter(limiter: &Arc<ConnectionLimiter>, from: u16, now: u64) -> ConnectionSlot {
    limiter.enter(address(from), now, || {}).unwrap()
}

fn evicted(slot: &ConnectionSlot) -> bool {
    slot.handle().eviction().is_some()
}

#[test]
fn an_address_that_floods_evicts_its_own_connections_and_nobody_elses() {
    let limiter = limiter();
    let other = enter(&limiter, 2, 0);
    let flood: Vec<_> = (0..LIMITS.per_address).map(|_| enter(&limiter, 1, 0)).collect();
    assert!(!flood.iter().any(evicted));
    let more = enter(&limiter, 1, 0);
    assert!(evicted(&flood[0]) && !flood[1..].iter().any(evicted) && !evicted(&other) && !evicted(&more));
}

#[test]
fn at_the_bound_the_oldest_that_has_not_authenticated_gives_way() {
    let limiter = limiter();
    let mut good = Vec::new();
    for n in 0..LIMITS.total - 1 {
        let slot = enter(&limiter, 10 + n as u16, 0);
        slot.handle().authenticate(Some(n as u64), 0);
        good.push(slot);
    }
    let silent = enter(&limiter, 1, 5);
    let newcomer = enter(&limiter, 2, 5 + OLD_MILLIS);
    assert_eq!(silent.handle().eviction(), Some(Eviction::Immediate));
    assert!(!good.iter().any(evicted) && !evicted(&newcomer));
}

#[test]
fn with_nobody_silent_the_longest_idle_gives_way_and_a_busy_one_never() {
    let limiter = limiter();
    let mut held = Vec::new();
    for n in 0..LIMITS.total {
        let slot = enter(&limiter, 10 + n as u16, n as u64);
        slot.handle().authenticate(Some(n as u64), n as u64);
        held.push(slot);
    }
    held[0].handle().request_began();
    held[1].handle().request_began();
    held[1].handle().request_ended(500);
    let newcomer = enter(&limiter, 1, 1000);
    assert_eq!(held[2].handle().eviction(), Some(Eviction::Graceful));
    newcomer.handle().authenticate(Some(99), 1000);
    newcomer.handle().request_began();
    held.iter().skip(1).filter(|slot| !evicted(slot)).for_each(|slot| slot.handle().request_began());
    assert!(limiter.enter(address(3), 2000, || {}).is_none(), "all of them are busy");
    assert_eq!(held.iter().filter(|slot| evicted(slot)).count(), 1);
}

#[test]
fn an_identity_beyond_its_share_loses_its_own_longest_idle_connection() {
    let limiter = limiter();
    let other = enter(&limiter, 1, 0);
    other.handle().authenticate(Some(2), 0);
    let held: Vec<_> = (0..LIMITS.per_identity as u16).map(|n| enter(&limiter, 10 + n, 0)).collect();
    held.iter().for_each(|slot| slot.handle().authenticate(Some(1), 1));
    let more = enter(&limiter, 30, 2);
    more.handle().authenticate(Some(1), 2);
    assert_eq!(held.iter().filter(|slot| evicted(slot)).count(), 1);
    assert!(!evicted(&other) && !evicted(&more));
}

#[test]
fn an_identity_whose_share_is_busy_keeps_further_connections_only_while_there_is_room() {
    let limiter = limiter();
    let held: Vec<_> = (0..LIMITS.per_identity as u16).map(|n| enter(&limiter, 10 + n, 0)).collect();
    for slot in &held {
        slot.handle().authenticate(Some(1), 0);
        slot.handle().request_began();
    }
    let more: Vec<_> = (0..8).map(|n| enter(&limiter, 40 + n, 0)).collect();
    more.iter().for_each(|slot| {
        slot.handle().authenticate(Some(1), 0);
        slot.handle().request_began();
    });
    assert!(more[0].handle().is_authenticated() && !more.iter().any(evicted));
    let strangers: Vec<_> = (0..50).map(|n| enter(&limiter, 50 + n, 1)).collect();
    assert_eq!(more.iter().filter(|slot| evicted(slot)).count(), LIMITS.total / 8 + 1, "strangers take no more than their part");
    assert!(!held.iter().any(evicted));
    drop(strangers);
}

#[test]
fn newcomers_have_a_moment_to_authenticate_while_strangers_keep_coming() {
    let limiter = limiter();
    let strangers: Vec<_> = (0..LIMITS.total as u16).map(|n| enter(&limiter, n % 2, 0)).collect();
    let good = enter(&limiter, 7, 10);
    // Two addresses go on at once; those that have the most give way.
    let more: Vec<_> = (0..100).map(|n| enter(&limiter, n % 2, 20)).collect();
    assert!(!evicted(&good));
    assert!(strangers.iter().all(evicted) && !evicted(&more[99]));
}

#[test]
fn an_address_that_has_authenticated_does_not_count_among_strangers() {
    let limiter = limiter();
    let first = enter(&limiter, 1, 0);
    first.handle().authenticate(Some(1), 0);
    let burst: Vec<_> = (0..10).map(|_| enter(&limiter, 1, 1)).collect();
    let flood: Vec<_> = (0..50).map(|n| enter(&limiter, 20 + n % 3, 2)).collect();
    assert!(!burst.iter().any(evicted) && !evicted(&first), "though the address has the most");
    drop(flood);
}

#[test]
fn strangers_never_push_out_all_who_have_authenticated() {
    let limiter = limiter();
    let good: Vec<_> = (0..LIMITS.total as u16).map(|n| enter(&limiter, 100 + n, 0)).collect();
    good.iter().enumerate().for_each(|(n, slot)| slot.handle().authenticate(Some(n as u64), 0));
    let strangers: Vec<_> = (0..1000_u16).map(|n| enter(&limiter, 300 + n, 1)).collect();
    assert!(good.iter().filter(|slot| evicted(slot)).count() <= LIMITS.total / 8 + 1);
    drop(strangers);
}

#[test]
fn all_addresses_of_an_ipv6_network_are_one_partys() {
    let (one, other) = ("2001:db8:1:2::1".parse().unwrap(), "2001:db8:1:2:ffff::9".parse().unwrap());
    assert_eq!(network(one), network(other));
    assert_ne!(network(one), network("2001:db8:1:3::1".parse().unwrap()));
    assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), IpAddr::from([192, 0, 2, 1]));
}

proptest! {
    #[test]
    fn nothing_is_left_of_connections_that_have_gone(
        steps in prop::collection::vec((0..6_u16, 0..4_u64, 0..5_u8, 0..3000_u64), 1..300)
    ) {
        let limiter = limiter();
        let (mut held, mut now) = (Vec::new(), 0);
        for (from, identity, what, later) in steps {
            now += later;
            match what {
                0 | 1 => held.extend(limiter.enter(address(from), now, || {})),
                2 => held.iter().rev().take(1).for_each(|slot: &ConnectionSlot| slot.handle().authenticate(Some(identity), now)),
                3 => held.iter().take(2).for_each(|slot| {
                    slot.handle().request_began();
                    slot.handle().request_ended(now);
                }),
                _ => { held.pop(); }
            }
            held.retain(|slot| slot.handle().eviction() != Some(Eviction::Immediate));
            let leaving = held.iter().filter(|slot| evicted(slot)).count();
            prop_assert!(held.len() - leaving <= LIMITS.total);
            prop_assert!(limiter.len() == held.len());
        }
        let late: Vec<_> = held.iter().map(|slot| slot.handle().clone()).collect();
        drop(held);
        late.iter().for_each(|handle| handle.authenticate(Some(1), now));
        let table = limiter.lock();
        let empty = [table.entries.len(), table.anonymous.len(), table.vouched.len(), table.idle.len(), table.addresses.len(),
            table.identities.len(), table.ranks.len(), table.leaving, table.surplus.len()];
        prop_assert_eq!(empty, [0; 9]);
    }
}
