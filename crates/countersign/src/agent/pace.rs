//! When the agent acts: pure arithmetic on moments, so that it can be tried without waiting.

use super::settings::RenewBefore;
use countersign_core::Timestamp;
use countersign_core::credential::certificate::Fingerprint;
use countersign_x509::issuer::BACKDATED;
use std::time::Duration;

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause while the control plane is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The longest pause after a refusal: somebody has to act, so asking more often helps nobody.
const LONGEST_PAUSE_REFUSED: Duration = Duration::from_secs(3600);

/// The moment from which a certificate is renewed. Never before its first half is over, whatever the settings say: a successor
/// would be due as soon as it is there. Up to a tenth of the span before the end is taken off by the certificate's own
/// fingerprint, so that a fleet made in one minute does not come back in one minute, and a restart changes nothing.
pub fn due(not_before: Timestamp, not_after: Timestamp, before: RenewBefore, certificate: &Fingerprint) -> Timestamp {
    let life = life(not_before, not_after);
    let span = match before {
        RenewBefore::Share(hundredths) => life / 100 * hundredths,
        RenewBefore::Fixed(span) => span.micros(),
    };
    let span = span.min(life / 2);
    let [a, b, ..] = certificate.as_bytes();
    let spread = i64::from(u16::from_be_bytes([*a, *b]));
    let later = span / 10 * spread / 65_536;
    Timestamp::from_micros(not_after.micros() - span + later)
}

/// From when it was made until its end, in microseconds: what is issued here is valid since before it was made, by [`BACKDATED`].
fn life(not_before: Timestamp, not_after: Timestamp) -> i64 {
    let life = not_after.since(not_before).max(0);
    if life > BACKDATED.micros() { life - BACKDATED.micros() } else { life }
}

/// How long to wait after so many failures in a row (at least one), of which `unit` (0 to 65535) makes one of many.
pub fn pause(failures: u32, refused: bool, unit: u16) -> Duration {
    let most = if refused { LONGEST_PAUSE_REFUSED } else { LONGEST_PAUSE };
    let pause = FIRST_PAUSE.saturating_mul(1_u32 << failures.saturating_sub(1).min(12)).min(most);
    // Between three quarters and the whole of it.
    pause - pause / 4 * u32::from(unit) / 65_536
}

/// How long to sleep until `due`, looking up at least every `check_every`: clocks jump and machines sleep.
pub fn nap(now: Timestamp, due: Timestamp, check_every: Duration) -> Duration {
    let left = u64::try_from(due.since(now)).unwrap_or(0);
    Duration::from_micros(left).min(check_every)
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::Lifetime;

    const START: Timestamp = Timestamp::from_seconds(1_000_000);

    fn due_after(life: i64, before: RenewBefore, print: [u8; 32]) -> i64 {
        let end = START.plus(Lifetime::from_seconds(life));
        due(START.minus(BACKDATED), end, before, &Fingerprint::from_bytes(print)).since(START) / 1_000_000
    }

    #[test]
    fn renewal_begins_a_third_of_the_life_before_the_end_and_is_spread() {
        assert_eq!(due_after(300, RenewBefore::Share(33), [0; 32]), 201);
        let latest = due_after(300, RenewBefore::Share(33), [255; 32]);
        assert!((202..=211).contains(&latest), "{latest}");
        assert_eq!(due_after(864_000, RenewBefore::Fixed(Lifetime::from_days(2)), [0; 32]), 8 * 86_400);
    }

    #[test]
    fn a_span_longer_than_the_life_does_not_renew_without_end() {
        assert_eq!(due_after(3600, RenewBefore::Fixed(Lifetime::from_days(30)), [0; 32]), 1800);
        assert_eq!(due_after(3600, RenewBefore::Share(90), [0; 32]), 1800);
    }

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let seconds: Vec<u64> = (1..=12).map(|n| pause(n, false, 0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(pause(40, true, 0).as_secs(), 3600);
        assert!(pause(10, false, u16::MAX) < pause(10, false, 0) && pause(10, false, u16::MAX) >= Duration::from_secs(225));
    }

    #[test]
    fn a_nap_ends_with_the_check_or_when_it_is_time() {
        let hour = Duration::from_secs(3600);
        assert_eq!(nap(START, START.plus(Lifetime::from_seconds(5)), hour), Duration::from_secs(5));
        assert_eq!(nap(START, START.plus(Lifetime::from_days(5)), hour), hour);
        assert_eq!(nap(START, START.minus(Lifetime::from_seconds(5)), hour), Duration::ZERO);
    }
}
