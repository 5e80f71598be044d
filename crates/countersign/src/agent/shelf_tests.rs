//! What survives a crash of the swap, tried at every step of it.

use super::*;
use countersign_core::Lifetime;
use countersign_testkit::Chance;
use countersign_x509::tcld::{CaRequest, LeafRequest, generate_ca, generate_leaf};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const OWN: Rights = Rights { mode: 0o600, user: None, group: None };

/// Three generations of one client: certificate, chain and key as PEM.
static MADE: LazyLock<Vec<(String, String, Secret)>> = LazyLock::new(|| {
    let request = CaRequest { organization: "Acme".to_owned(), validity: Lifetime::from_days(90), rsa: false };
    let (ca, ca_key) = generate_ca(&request, NOW, &Chance).expect("a CA");
    (0..3)
        .map(|n| {
            let leaf = LeafRequest {
                organization: "Acme".to_owned(),
                organizational_unit: None,
                common_name: Some("client".to_owned()),
                validity: Some(Lifetime::from_days(30)),
            };
            let then = NOW.plus(Lifetime::from_seconds(n * 60));
            let (certificate, key) = generate_leaf(&leaf, &ca, ca_key.expose(), then, &Chance).expect("a leaf");
            (certificate, ca.clone(), key)
        })
        .collect()
});

fn made(n: usize) -> Set {
    let (certificate, chain, key) = &MADE[n];
    let ders = |text: &str| set::certificates(text.as_bytes(), Path::new("x")).expect("certificates");
    Set::new(ders(certificate).remove(0), ders(chain), LocalKey::from_pem(key.expose()).expect("a key")).expect("a set")
}

fn place(directory: &Path, n: usize) {
    let (certificate, chain, key) = &MADE[n];
    std::fs::write(directory.join("client.pem"), format!("{certificate}\n{chain}")).expect("a file");
    let file = directory.join("client.key");
    std::fs::write(&file, key.expose()).expect("a file");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
}

fn copies(directory: &Path) -> Copies {
    let at = |name: &str| Some(directory.join(name));
    Copies { certificate: at("client.pem"), key: at("client.key"), chain: at("chain.pem"), keystore: None }
}

fn shelf(directory: &Path) -> Shelf {
    Shelf::at(&directory.join("tls"), copies(directory), OWN).expect("a shelf")
}

/// What a reader finds behind `current`, and in the plain copies: each a certificate and the key of it, or the read fails.
fn whole(directory: &Path) -> (Set, Set) {
    let current = directory.join("tls/current");
    let linked = Set::read(&current.join(set::CERTIFICATE), &current.join(set::KEY), None).expect("a whole set");
    let combined = std::fs::read(current.join(set::COMBINED)).expect("the combined file");
    assert_eq!(set::certificates(&combined, &current).expect("certificates").first(), Some(&linked.der));
    (linked, Set::read(&directory.join("client.pem"), &directory.join("client.key"), None).expect("a whole pair of copies"))
}

#[test]
fn a_crash_at_any_step_leaves_the_old_set_or_the_new_one_and_never_a_half() {
    let (old, new) = (made(0), made(1));
    let password = Secret::new("sesame-open".to_owned());
    let mut finished = false;
    for steps in 0..200 {
        let dir = tempfile::tempdir().expect("a directory");
        place(dir.path(), 0);
        let first = shelf(dir.path());
        first.settle(Some(&password), NOW).expect("taken up");
        first.disk.steps_left.set(Some(steps));
        let done = first.install(&new, Some(&password)).is_ok();
        // Nothing of the process is left, only what is on the disk.
        drop(first);
        let current = dir.path().join("tls/current");
        let seen = Set::read(&current.join(set::CERTIFICATE), &current.join(set::KEY), None).expect("whole right after the crash");
        assert!(seen.der == old.der || seen.der == new.der, "after {steps} steps");
        let again = shelf(dir.path());
        let settled = again.settle(Some(&password), NOW).expect("settled").set;
        let (linked, copied) = whole(dir.path());
        assert_eq!((&settled.der, &linked.der), (&seen.der, &seen.der), "settling changes no generation, after {steps} steps");
        assert_eq!(copied.der, seen.der, "the copies follow, after {steps} steps");
        assert_eq!(again.is_hook_due(&settled), seen.der == new.der, "the hook is due exactly when the new set is in force");
        again.install(&new, Some(&password)).expect("the next attempt ends well");
        assert_eq!(whole(dir.path()).0.der, new.der);
        if done {
            finished = true;
            break;
        }
    }
    assert!(finished, "it never came to its end");
}

#[test]
fn a_reader_never_sees_the_key_of_one_set_and_the_certificate_of_another() {
    let dir = tempfile::tempdir().expect("a directory");
    place(dir.path(), 0);
    let shelf = shelf(dir.path());
    shelf.settle(None, NOW).expect("taken up");
    let current = dir.path().join("tls/current");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let read = || {
        let mut reads = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            // One that was two sets behind finds nothing, and looks again; what it finds is whole.
            let Ok(resolved) = std::fs::canonicalize(&current) else { continue };
            match Set::read(&resolved.join(set::CERTIFICATE), &resolved.join(set::KEY), None) {
                Ok(_) => reads += 1,
                Err(failure) => assert_eq!(failure.code, "file_error", "{failure:?}"),
            }
            let Ok(text) = std::fs::read_to_string(current.join(set::COMBINED)) else { continue };
            let der = set::certificates(text.as_bytes(), &current).expect("certificates").remove(0);
            Set::new(der, Vec::new(), LocalKey::from_pem(&text).expect("a key")).expect("one file is of one set");
        }
        reads
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(read);
        for n in (0..60).map(|n| [1, 2, 0][n % 3]) {
            shelf.install(&made(n), None).expect("installed");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().expect("nothing was seen") > 0);
    });
}

#[test]
fn a_crash_while_the_next_key_is_made_leaves_the_old_set_and_a_way_on() {
    for steps in 0..30 {
        let dir = tempfile::tempdir().expect("a directory");
        place(dir.path(), 0);
        let first = shelf(dir.path());
        let old = first.settle(None, NOW).expect("taken up").set;
        first.disk.steps_left.set(Some(steps));
        let key = first.next_key(&old, KeyKind::P256);
        drop(first);
        let again = shelf(dir.path());
        let old = again.settle(None, NOW).expect("settled").set;
        use countersign_x509::private_key::Signer as _;
        let next = again.next_key(&old, KeyKind::P256).expect("a key");
        if let Ok(key) = key {
            assert_eq!(key.public_key(), next.public_key(), "a request whose answer was lost is the same request again");
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn what_somebody_places_in_the_files_is_taken_up_and_an_old_copy_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    place(dir.path(), 0);
    let shelf = shelf(dir.path());
    assert_eq!(shelf.settle(None, NOW).expect("taken up").set.der, made(0).der);
    assert!(!shelf.is_hook_due(&made(0)), "nothing changed for anybody yet");
    shelf.install(&made(1), None).expect("installed");
    place(dir.path(), 0);
    assert_eq!(shelf.settle(None, NOW).expect("settled").set.der, made(1).der, "a copy from before is mended");
    assert_eq!(whole(dir.path()).1.der, made(1).der);
    place(dir.path(), 2);
    assert_eq!(shelf.settle(None, NOW).expect("settled").set.der, made(2).der, "a newer one is taken up");
    assert!(shelf.is_hook_due(&made(2)));
}

#[test]
fn half_a_change_by_hand_is_left_alone_and_said_and_the_set_in_force_is_renewed() {
    let dir = tempfile::tempdir().expect("a directory");
    place(dir.path(), 0);
    let shelf = shelf(dir.path());
    shelf.settle(None, NOW).expect("taken up");
    // The new certificate is there, its key is not yet.
    std::fs::write(dir.path().join("client.pem"), &MADE[2].0).expect("a file");
    let settled = shelf.settle(None, NOW).expect("settled");
    assert_eq!(settled.set.der, made(0).der);
    assert_eq!(settled.wrong.iter().map(|failure| failure.code.as_str()).collect::<Vec<_>>(), ["key_mismatch"]);
    shelf.install(&made(1), None).expect("renewed all the same");
    assert_eq!(std::fs::read_to_string(dir.path().join("client.pem")).expect("a file"), MADE[2].0);
    std::fs::write(dir.path().join("client.key"), MADE[2].2.expose()).expect("a file");
    let settled = shelf.settle(None, NOW).expect("settled");
    assert_eq!((settled.set.der, settled.wrong.len()), (made(2).der, 0), "the change is whole and taken up");
}

#[test]
fn an_emptied_or_cut_copy_and_a_dangling_link_are_made_whole_and_stop_nothing() {
    let cut = &MADE[0].0[..MADE[0].0.len() / 2];
    for broken in ["", "half a certif", cut] {
        for file in ["client.pem", "client.key", "chain.pem"] {
            let dir = tempfile::tempdir().expect("a directory");
            place(dir.path(), 0);
            let shelf = shelf(dir.path());
            shelf.settle(None, NOW).expect("taken up");
            std::fs::write(dir.path().join(file), broken).expect("a file");
            let settled = shelf.settle(None, NOW).unwrap_or_else(|failure| panic!("{file} {broken:?}: {failure:?}"));
            assert_eq!((settled.set.der, settled.wrong.len()), (made(0).der, 0), "{file} {broken:?}");
            assert!(settled.healed.iter().any(|line| line.contains(file)), "{file} {broken:?}: {:?}", settled.healed);
            assert_eq!(whole(dir.path()).1.der, made(0).der, "{file} {broken:?}");
        }
    }
    for link in ["client.pem", "client.key", "chain.pem"] {
        let dir = tempfile::tempdir().expect("a directory");
        place(dir.path(), 0);
        let shelf = shelf(dir.path());
        shelf.settle(None, NOW).expect("taken up");
        std::fs::remove_file(dir.path().join(link)).expect("removed");
        std::os::unix::fs::symlink("nowhere", dir.path().join(link)).expect("a link");
        let settled = shelf.settle(None, NOW).expect("settled");
        assert_eq!((settled.set.der, settled.wrong.len()), (made(0).der, 0), "{link}");
        assert_eq!(whole(dir.path()).1.der, made(0).der, "{link}");
    }
}

#[test]
fn a_broken_set_in_force_is_made_whole_from_what_is_sound() {
    type Break = (&'static str, fn(&Path));
    let break_it: [Break; 6] = [
        ("the link leads nowhere", |tls| {
            std::fs::remove_file(tls.join("current")).expect("removed");
            std::os::unix::fs::symlink("nowhere", tls.join("current")).expect("a link");
        }),
        ("the link is gone", |tls| std::fs::remove_file(tls.join("current")).expect("removed")),
        ("its certificate is emptied", |tls| std::fs::write(tls.join("current/certificate.pem"), "").expect("a file")),
        ("its key is emptied", |tls| std::fs::write(tls.join("current/key.pem"), "").expect("a file")),
        ("its key is gone", |tls| std::fs::remove_file(tls.join("current/key.pem")).expect("removed")),
        ("all its files are emptied", |tls| {
            for file in [set::CERTIFICATE, set::KEY, set::CHAIN, set::COMBINED] {
                std::fs::write(tls.join("current").join(file), "").expect("a file");
            }
        }),
    ];
    for (what, broken) in break_it {
        let dir = tempfile::tempdir().expect("a directory");
        place(dir.path(), 0);
        let shelf = shelf(dir.path());
        shelf.settle(None, NOW).expect("taken up");
        shelf.install(&made(1), None).expect("installed");
        broken(&dir.path().join("tls"));
        let settled = shelf.settle(None, NOW).unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
        assert_eq!((settled.set.der, settled.wrong.len()), (made(1).der, 0), "{what}");
        let (linked, copied) = whole(dir.path());
        assert_eq!((linked.der, copied.der), (made(1).der, made(1).der), "{what}");
    }
}

#[test]
fn a_key_that_is_placed_before_its_certificate_is_not_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    place(dir.path(), 0);
    let shelf = shelf(dir.path());
    shelf.settle(None, NOW).expect("taken up");
    std::fs::write(dir.path().join("client.key"), MADE[2].2.expose()).expect("a file");
    assert_eq!(shelf.settle(None, NOW).expect("settled").set.der, made(0).der);
    std::fs::write(dir.path().join("client.pem"), &MADE[2].0).expect("a file");
    assert_eq!(shelf.settle(None, NOW).expect("settled").set.der, made(2).der, "the pair is whole and taken up");
    assert_eq!(whole(dir.path()).1.der, made(2).der);
}

#[test]
fn a_key_of_nobody_here_is_kept_beside_the_copy_that_takes_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    place(dir.path(), 0);
    let shelf = shelf(dir.path());
    shelf.settle(None, NOW).expect("taken up");
    std::fs::write(dir.path().join("client.key"), MADE[2].2.expose()).expect("a file");
    std::fs::write(dir.path().join("client.pem"), "").expect("a file");
    shelf.settle(None, NOW).expect("settled");
    assert_eq!(whole(dir.path()).1.der, made(0).der);
    assert_eq!(std::fs::read_to_string(dir.path().join("client.key.set-aside")).expect("kept"), MADE[2].2.expose());
}

#[test]
fn keys_are_for_their_owner_alone_and_only_two_generations_are_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    place(dir.path(), 0);
    let shelf = shelf(dir.path());
    shelf.settle(Some(&Secret::new("sesame-open".to_owned())), NOW).expect("taken up");
    for n in [1, 2] {
        shelf.install(&made(n), Some(&Secret::new("sesame-open".to_owned()))).expect("installed");
    }
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    for private in [set::KEY, set::COMBINED, set::KEYSTORE] {
        assert_eq!(mode(&shelf.path(private)), 0o600, "{private}");
    }
    assert_eq!((mode(&dir.path().join("tls")), mode(&dir.path().join("client.key"))), (0o700, 0o600));
    let sets =
        std::fs::read_dir(dir.path().join("tls")).expect("a directory").filter(|e| e.as_ref().is_ok_and(|e| e.file_name().len() == 32));
    assert_eq!(sets.count(), 2);
    assert!(!dir.path().join("tls/next").exists());
}

#[test]
fn a_link_in_place_of_a_copy_is_replaced_and_never_followed() {
    let dir = tempfile::tempdir().expect("a directory");
    place(dir.path(), 0);
    let shelf = shelf(dir.path());
    shelf.settle(None, NOW).expect("taken up");
    let (victim, chain) = (dir.path().join("victim"), dir.path().join("chain.pem"));
    std::fs::write(&victim, "precious").expect("a file");
    std::fs::remove_file(&chain).expect("removed");
    std::os::unix::fs::symlink(&victim, &chain).expect("a link");
    // A link to the set in force is the best copy there is.
    std::fs::remove_file(dir.path().join("client.key")).expect("removed");
    std::os::unix::fs::symlink("tls/current/key.pem", dir.path().join("client.key")).expect("a link");
    shelf.install(&made(1), None).expect("installed");
    assert_eq!(std::fs::read_to_string(&victim).expect("a file"), "precious");
    assert!(std::fs::symlink_metadata(&chain).expect("there").is_file());
    assert!(std::fs::symlink_metadata(dir.path().join("client.key")).expect("there").is_symlink());
    assert_eq!(whole(dir.path()).1.der, made(1).der);
}

#[test]
fn what_others_may_read_or_write_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    place(dir.path(), 0);
    let open = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode");
    open(&dir.path().join("client.key"), 0o604);
    let first = shelf(dir.path());
    assert_eq!(first.settle(None, NOW).expect_err("refused").code, "file_permissions");
    drop(first);
    open(&dir.path().join("tls"), 0o702);
    assert_eq!(Shelf::at(&dir.path().join("tls"), Copies::default(), OWN).expect_err("refused").code, "file_permissions");
}

#[test]
fn a_directory_has_one_agent() {
    let dir = tempfile::tempdir().expect("a directory");
    let _first = shelf(dir.path());
    let second = Shelf::at(&dir.path().join("tls"), Copies::default(), OWN).expect_err("refused");
    assert_eq!(second.code, "agent_running");
}

#[test]
fn without_a_first_certificate_it_says_how_to_make_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let failure = shelf(dir.path()).settle(None, NOW).expect_err("refused");
    assert_eq!(failure.code, "no_certificate");
    assert!(failure.hint.is_some_and(|hint| hint.contains("certificate create --generate-key")));
}
