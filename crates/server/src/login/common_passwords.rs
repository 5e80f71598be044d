//! Passwords that are guessed first (NIST SP 800-63B section 3.1.1.2): made of words that everybody uses, of names of this product and
//! of the user, of runs on the keyboard, of years and of repetitions. What is left of a password without them has to be worth
//! something. The list is made here, of patterns that every collection of leaked passwords shows.

/// Words that passwords are made of, lower case. Digits and signs that stand for letters are read as those.
const WORDS: &str = "password passwort passwd passcode passphrase motdepasse contrasena contraseña senha parola wachtwoord haslo heslo \
    salasana lösenord losenord sifre admin administrator administrateur root superuser sysadmin operator owner manager user username guest \
    test testing tester demo default changeme changeit change secret secrets geheim login logon signin welcome willkommen bienvenue \
    bienvenido letmein letme enter open sesame access master please trustno superman batman spiderman starwars pokemon naruto minecraft \
    fortnite iloveyou loveyou love lover lovely amor teamo jetaime ichliebedich princess prinzessin sunshine sunflower flower butterfly \
    angel baby babygirl honey sugar cookie chocolate cheese banana orange apple pepper ginger cherry coffee hello hallo hola bonjour \
    goodbye monkey dragon tiger lion eagle shadow hunter ranger killer ninja warrior soldier pirate wizard magic phoenix mustang ferrari \
    porsche corvette harley yamaha honda toyota mercedes football fussball futbol soccer baseball basketball hockey tennis golf arsenal \
    chelsea liverpool barcelona realmadrid juventus bayern yankees cowboys lakers michael jordan jennifer jessica ashley daniel thomas \
    robert andrew joshua matthew charlie george william james david anthony nicole michelle maria patrick alexander samantha buster maggie \
    bailey summer winter spring autumn sommer herbst frühling january february march april june july august september october november \
    december januar februar juni juli oktober dezember monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch \
    donnerstag freitag samstag sonntag london paris berlin madrid newyork texas america canada germany deutschland france espana italia \
    brasil india china internet computer laptop server desktop windows linux ubuntu debian google facebook twitter instagram youtube \
    microsoft amazon oracle cisco docker kubernetes database mysql postgres redis jenkins gitlab github matrix freedom forever whatever \
    nothing something blink jesus christ heaven blessed church money dollar million business office company corporate internal private \
    public security secure safety network firewall router wireless system service account client customer support helpdesk production \
    prod staging stage development develop developer deploy localhost localdomain example certificate credential gateway \
    control console token apikey temporal cloud qwerty qwertz azerty asdfgh asdf zxcv zxcvbn qazwsx qaz wsx edc 1qaz 2wsx 3edc 4rfv 5tgb \
    q1w2e3 q1w2 1q2w3e 1q2w3 zaq1 abc123 abcd1234 a1b2c3 mypassword thisismy newpass temp temporary fuckyou fuck shit bitch asshole sexy \
    correcthorsebatterystaple countersign";

/// Rows, columns and zigzags on which fingers run along, in either direction.
const RUNS: [&str; 13] = [
    "abcdefghijklmnopqrstuvwxyz",
    "0123456789",
    "1234567890",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "yxcvbnm",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "qazwsxedcrfvtgbyhnujmik",
];

/// Letters and digits that have to be left once everything that is guessed first is taken out.
const LEFT_MIN: usize = 6;
/// How long a run is at least.
const RUN_MIN: usize = 3;

/// Whether a password is among those that are guessed first, for a user who can be called `names`.
pub(super) fn is_guessed_first(password: &str, names: &[&str]) -> bool {
    let all: Vec<char> = password.to_lowercase().chars().collect();
    let chars = &all[..period(&all)];
    let mut covered = vec![false; chars.len()];
    let own: Vec<String> = names.iter().flat_map(|name| parts(name)).collect();
    for word in WORDS.split_whitespace().chain(own.iter().map(String::as_str)) {
        cover(chars, &mut covered, &word.chars().collect::<Vec<_>>());
    }
    for row in RUNS {
        let row: Vec<char> = row.chars().collect();
        let back: Vec<char> = row.iter().rev().copied().collect();
        for row in [row, back] {
            row.windows(RUN_MIN).for_each(|window| cover_exactly(chars, &mut covered, window));
        }
    }
    for at in 0..chars.len() {
        let same = chars[at..].iter().take_while(|c| **c == chars[at]).count();
        if same >= RUN_MIN {
            covered[at..at + same].fill(true);
        }
        if let Some(year) = chars.get(at..at + 4)
            && matches!(year, ['1', '9', a, b] | ['2', '0', a, b] if a.is_ascii_digit() && b.is_ascii_digit())
        {
            covered[at..at + 4].fill(true);
        }
    }
    chars.iter().zip(&covered).filter(|(c, covered)| c.is_alphanumeric() && !**covered).count() < LEFT_MIN
}

/// The length of what is repeated to the end; the whole length where nothing is.
fn period(chars: &[char]) -> usize {
    (1..=chars.len() / 2).find(|n| chars.iter().zip(&chars[*n..]).all(|(a, b)| a == b)).unwrap_or(chars.len())
}

/// What a name is made of: its words of three letters and more, and itself.
fn parts(name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() >= 3).map(str::to_owned);
    words.chain(std::iter::once(lower.clone())).filter(|word| !word.is_empty()).collect()
}

fn cover(chars: &[char], covered: &mut [bool], word: &[char]) {
    for at in 0..chars.len() {
        let fits = chars.get(at..at + word.len()).is_some_and(|part| part.iter().zip(word).all(|(c, wanted)| stands_for(*c, *wanted)));
        if fits {
            covered[at..at + word.len()].fill(true);
        }
    }
}

fn cover_exactly(chars: &[char], covered: &mut [bool], word: &[char]) {
    for at in 0..chars.len() {
        if chars.get(at..at + word.len()) == Some(word) {
            covered[at..at + word.len()].fill(true);
        }
    }
}

/// Whether a character of a password is this letter, as it is or as people disguise it.
const fn stands_for(c: char, letter: char) -> bool {
    c == letter
        || matches!(
            (letter, c),
            ('a', '4' | '@' | 'ä')
                | ('b', '8')
                | ('e', '3' | '€')
                | ('g', '9' | '6')
                | ('i', '1' | '!' | '|')
                | ('l', '1' | '!' | '|')
                | ('o', '0' | 'ö')
                | ('s', '5' | '$')
                | ('t', '7' | '+')
                | ('u', 'ü')
                | ('z', '2')
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_guessed_first_is_known_however_it_is_dressed_up() {
        for bad in [
            "password12345",
            "Password12345!",
            "P@ssw0rd12345",
            "PASSWORD-2024-password",
            "passwordpassword",
            "123456789012",
            "qwertyuiop123",
            "1q2w3e4r5t6y",
            "iloveyou12345",
            "Welcome2024!!",
            "Sommer2026!!!",
            "letmein123456",
            "adminadminadmin",
            "abcabcabcabcabc",
            "countersign123",
            "Countersign-2026",
            "ann.miller1234",
            "Acme-Acme-2025",
            "aaaaaaaabbbbbbbb",
            "correcthorsebatterystaple",
            "changeme12345",
        ] {
            assert!(is_guessed_first(bad, &["ann.miller", "acme.example"]), "{bad}");
        }
        for good in [
            "correct horse battery",
            "another horse battery",
            "violet kettle under the bridge",
            "tW9#kq!vR2pz",
            "äöüß-ÄÖÜ-日本語-xyzw",
            "passwords are kept by otters",
        ] {
            assert!(!is_guessed_first(good, &["ann.miller", "acme.example"]), "{good}");
        }
    }
}
