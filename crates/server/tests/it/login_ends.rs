//! Everything that begins a login against everything that ends one: what was begun before opens nothing after.

use crate::harness::{Plane, id_of};
use crate::login::{Browser, PASSWORD, by_password, code_of, invite, is_in, member, secret_in, start, totp};
use crate::login_tools::{answer, begin, challenge, form, poll, tokens};
use countersign_server::bootstrap;
use countersign_server::login::SecondFactor;
use serde_json::{Value, json};

const NEW: &str = "another horse battery";

/// What begins a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Browser,
    Access,
    Refresh,
    Device,
    Code,
    Ticket,
    Enrolment,
    Invitation,
}

/// What ends the logins of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Nothing,
    PasswordChanged,
    FactorSetUp,
    FactorRemoved,
    RecoveryCodeUsed,
    Invited,
    InvitationAccepted,
    Promoted,
    PromotedByMembership,
    PromotedByGroup,
    CustomRoleGiven,
    CustomRoleWidened,
    CustomRoleOfGroupWidened,
    SessionEnded,
    Demoted,
    Deleted,
}

const BEGINS: [Begin; 8] =
    [Begin::Browser, Begin::Access, Begin::Refresh, Begin::Device, Begin::Code, Begin::Ticket, Begin::Enrolment, Begin::Invitation];

const ENDS: [End; 16] = [
    End::Nothing,
    End::PasswordChanged,
    End::FactorSetUp,
    End::FactorRemoved,
    End::RecoveryCodeUsed,
    End::Invited,
    End::InvitationAccepted,
    End::Promoted,
    End::PromotedByMembership,
    End::PromotedByGroup,
    End::CustomRoleGiven,
    End::CustomRoleWidened,
    End::CustomRoleOfGroupWidened,
    End::SessionEnded,
    End::Demoted,
    End::Deleted,
];

/// Whether the two go together at all: who was only invited has no password to change, and who has a second factor sets up none.
fn is_possible(begin: Begin, end: End) -> bool {
    match (begin, end) {
        (Begin::Invitation, _) => !matches!(
            end,
            End::PasswordChanged
                | End::FactorSetUp
                | End::FactorRemoved
                | End::RecoveryCodeUsed
                | End::InvitationAccepted
                | End::SessionEnded
        ),
        (Begin::Ticket, End::FactorSetUp) => false,
        (_, End::FactorRemoved | End::RecoveryCodeUsed) => begin == Begin::Ticket,
        _ => true,
    }
}

/// What takes only half-finished logins along: sessions and invitations go on, with the rights of now.
fn is_kept(begin: Begin, end: End) -> bool {
    let whole = matches!(begin, Begin::Browser | Begin::Access | Begin::Refresh | Begin::Invitation);
    end == End::Nothing || (whole && matches!(end, End::SessionEnded | End::Demoted))
}

struct Ann {
    id: String,
    email: String,
    /// A session of hers, by which she ends others.
    helper: Browser,
    /// The browser in which the login was begun.
    browser: Browser,
    secret: String,
    recovery: Vec<String>,
    group: String,
    role: String,
    group_role: String,
}

const READS: &[&str] = &["cloud.auditlog.list"];
const WRITES: &[&str] = &["cloud.auditlog.list", "cloud.auditlog.createSink"];

fn lines(actions: &[&str]) -> Value {
    json!([{"resourceType": "account", "allowAll": true, "actions": actions}])
}

async fn made(plane: &Plane, path: &str, body: Value) -> String {
    plane.post(path, &plane.owner, body).await.ok()["id"].as_str().unwrap().to_owned()
}

impl Ann {
    async fn new(plane: &Plane, n: usize, begin: Begin, end: End) -> (Self, String) {
        let email = format!("ann{n}@example.test");
        let ((id, helper), address) = if begin == Begin::Invitation {
            let (id, address) = invite(plane, &email, "read").await;
            ((id, Browser::default()), address)
        } else {
            (member(plane, &email, "read").await, String::new())
        };
        let role = made(plane, "/custom-roles", json!({"name": format!("role{n}"), "permissions": lines(READS)})).await;
        let group_role = made(plane, "/custom-roles", json!({"name": format!("group role{n}"), "permissions": lines(READS)})).await;
        let access = json!({"accountRole": "read", "customRoles": [group_role]});
        let group = made(plane, "/user-groups", json!({"name": format!("group{n}"), "access": access})).await;
        let mut ann =
            Self { id, email, helper, browser: Browser::default(), secret: String::new(), recovery: vec![], group, role, group_role };
        ann.prepare(plane, end).await;
        // Preparing is a promotion, too: what begins begins after it.
        let address = if begin == Begin::Invitation { ann.invited(plane).await } else { address };
        if begin != Begin::Invitation {
            ann.helper = by_password(plane, &ann.email, PASSWORD).await.0;
            assert!(is_in(plane, &mut ann.helper).await);
        }
        if begin == Begin::Ticket {
            let page = ann.helper.post(plane, "/security/second", &[("do", "begin"), ("old", PASSWORD)]).await;
            ann.secret = secret_in(&page.text);
            let done = ann.helper.post(plane, "/security/second", &[("do", "confirm"), ("code", &totp(plane, &ann.secret, -1))]).await;
            ann.recovery = done.text.split("<li>").skip(1).map(|part| part.split('<').next().unwrap().to_owned()).collect();
        }
        (ann, address)
    }

    /// What has to be there before the login begins, so that the end is one step.
    async fn prepare(&mut self, plane: &Plane, end: End) {
        let user = format!("/users/{}", self.id);
        let members = format!("/user-groups/{}/members", self.group);
        match end {
            End::CustomRoleWidened => {
                plane.call("PATCH", &user, &plane.owner, json!({"customRoles": [self.role]})).await.ok();
            }
            End::PromotedByGroup | End::CustomRoleOfGroupWidened => {
                plane.post(&members, &plane.owner, json!({"userId": self.id})).await.ok();
            }
            End::Demoted => {
                plane.call("PATCH", &user, &plane.owner, json!({"accountRole": "developer"})).await.ok();
            }
            _ => {}
        }
    }

    async fn invited(&self, plane: &Plane) -> String {
        let again = plane.post(&format!("/users/{}/invitation", self.id), &plane.owner, json!({})).await.ok();
        again["invitationUrl"].as_str().unwrap().strip_prefix("https://localhost:8443").unwrap().to_owned()
    }

    async fn end(&mut self, plane: &Plane, end: End) {
        let (user, group) = (format!("/users/{}", self.id), format!("/user-groups/{}", self.group));
        let owner = &plane.owner;
        match end {
            End::Nothing => {}
            End::PasswordChanged => {
                let fields = [("old", PASSWORD), ("new", NEW), ("again", NEW)];
                assert_eq!(self.helper.post(plane, "/security/password", &fields).await.status, 200);
                assert!(is_in(plane, &mut self.helper).await, "the one who changes it goes on");
            }
            End::FactorSetUp => {
                let page = self.helper.post(plane, "/security/second", &[("do", "begin"), ("old", PASSWORD)]).await;
                let code = totp(plane, &secret_in(&page.text), 0);
                let done = self.helper.post(plane, "/security/second", &[("do", "confirm"), ("code", &code)]).await;
                assert!(done.text.contains("Recovery"), "{}", done.text);
                assert!(is_in(plane, &mut self.helper).await, "the one who sets it up goes on");
            }
            End::FactorRemoved => {
                let code = totp(plane, &self.secret, 0);
                assert_eq!(self.helper.post(plane, "/security/second", &[("do", "remove"), ("code", &code)]).await.status, 303);
            }
            End::RecoveryCodeUsed => {
                let (mut other, _) = by_password(plane, &self.email, PASSWORD).await;
                other.post(plane, "/login/second", &[("code", &self.recovery[0])]).await;
                assert!(is_in(plane, &mut other).await && is_in(plane, &mut self.helper).await);
            }
            End::Invited => {
                self.invited(plane).await;
            }
            End::InvitationAccepted => {
                let code = code_of(&self.invited(plane).await);
                let fields = [("code", code.as_str()), ("password", NEW), ("again", NEW)];
                assert_eq!(Browser::default().post(plane, "/invitation", &fields).await.status, 303);
            }
            End::Promoted => {
                plane.call("PATCH", &user, owner, json!({"accountRole": "developer"})).await.ok();
            }
            End::PromotedByMembership => {
                plane.call("PATCH", &group, owner, json!({"access": {"accountRole": "admin"}})).await.ok();
                plane.post(&format!("{group}/members"), owner, json!({"userId": self.id})).await.ok();
            }
            End::PromotedByGroup => {
                plane.call("PATCH", &group, owner, json!({"access": {"accountRole": "finance_admin"}})).await.ok();
            }
            End::CustomRoleGiven => {
                plane.call("PATCH", &user, owner, json!({"customRoles": [self.role]})).await.ok();
            }
            End::CustomRoleWidened => {
                plane.call("PATCH", &format!("/custom-roles/{}", self.role), owner, json!({"permissions": lines(WRITES)})).await.ok();
            }
            End::CustomRoleOfGroupWidened => {
                plane.call("PATCH", &format!("/custom-roles/{}", self.group_role), owner, json!({"permissions": lines(WRITES)})).await.ok();
            }
            End::SessionEnded => {
                let text = self.helper.session().unwrap();
                plane.call("DELETE", &format!("/sessions/{}", id_of(text)), owner, Value::Null).await.ok();
                assert!(!is_in(plane, &mut self.helper).await);
            }
            End::Demoted => {
                plane.call("PATCH", &user, owner, json!({"accountRole": "read"})).await.ok();
            }
            End::Deleted => {
                plane.call("DELETE", &user, owner, Value::Null).await.ok();
            }
        }
    }
}

/// Begins a login, lets `end` happen, goes on with the login, and says whether that opened anything.
async fn opens(plane: &Plane, n: usize, begins: Begin, end: End) -> bool {
    let (mut ann, address) = Ann::new(plane, n, begins, end).await;
    let verifier = "v".repeat(43);
    match begins {
        Begin::Browser => {
            ann.browser = by_password(plane, &ann.email, PASSWORD).await.0;
            ann.end(plane, end).await;
            is_in(plane, &mut ann.browser).await
        }
        Begin::Access | Begin::Refresh => {
            let (access, refresh) = tokens(plane, &mut ann.helper).await;
            ann.end(plane, end).await;
            if begins == Begin::Access {
                return plane.get("/current-identity", &access).await.status == 200;
            }
            form(plane, "/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", &refresh), ("client_id", "cli")]).await.status
                == 200
        }
        Begin::Device => {
            let started = begin(plane).await;
            assert_eq!(answer(plane, &mut ann.helper, &started, "yes").await.status, 200);
            ann.end(plane, end).await;
            poll(plane, &started, "cli").await.status == 200
        }
        Begin::Code => {
            let challenge = challenge(&verifier);
            let fields = [
                ("response_type", "code"),
                ("client_id", "cli"),
                ("redirect_uri", "http://127.0.0.1:1/"),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
                ("answer", "yes"),
            ];
            let place = ann.helper.post(plane, "/oauth/authorize", &fields).await.headers["location"].to_str().unwrap().to_owned();
            let code = place.split_once("code=").unwrap().1.split('&').next().unwrap();
            ann.end(plane, end).await;
            let fields = [
                ("grant_type", "authorization_code"),
                ("code", code),
                ("client_id", "cli"),
                ("redirect_uri", "http://127.0.0.1:1/"),
                ("code_verifier", &verifier),
            ];
            form(plane, "/oauth/token", &fields).await.status == 200
        }
        Begin::Ticket => {
            ann.browser = by_password(plane, &ann.email, PASSWORD).await.0;
            assert!(ann.browser.session().is_none());
            ann.end(plane, end).await;
            ann.browser.post(plane, "/login/second", &[("code", &totp(plane, &ann.secret, 1))]).await;
            ann.browser.session().is_some()
        }
        Begin::Enrolment => {
            ann.browser = by_password(plane, &ann.email, PASSWORD).await.0;
            let page = ann.browser.post(plane, "/security/second", &[("do", "begin"), ("old", PASSWORD)]).await;
            let code = totp(plane, &secret_in(&page.text), 1);
            ann.end(plane, end).await;
            ann.browser.post(plane, "/security/second", &[("do", "confirm"), ("code", &code)]).await.text.contains("Recovery codes")
        }
        Begin::Invitation => {
            ann.end(plane, end).await;
            let code = code_of(&address);
            let shown = ann.browser.get(plane, &address).await.status == 200;
            let fields = [("code", code.as_str()), ("password", PASSWORD), ("again", PASSWORD)];
            let answer = ann.browser.post(plane, "/invitation", &fields).await;
            assert_eq!(shown, answer.status == 303, "the page says what the form does");
            ann.browser.session().is_some()
        }
    }
}

#[tokio::test]
async fn whatever_began_a_login_opens_nothing_after_whatever_ends_logins() {
    let plane = start(SecondFactor::Owners).await;
    let mut n = 0;
    let mut wrong = Vec::new();
    for begins in BEGINS {
        for end in ENDS.into_iter().filter(|end| is_possible(begins, *end)) {
            n += 1;
            if opens(&plane, n, begins, end).await != is_kept(begins, end) {
                wrong.push((begins, end));
            }
        }
    }
    assert!(wrong.is_empty(), "of {n} pairs these are wrong: {wrong:?}");
}

#[tokio::test]
async fn a_ticket_that_demands_a_second_factor_ends_with_its_epoch_and_so_does_a_one_time_address() {
    let plane = start(SecondFactor::Owners).await;
    let (boss, address) = invite(&plane, "boss@example.test", "owner").await;
    let fields = [("code", &*code_of(&address)), ("password", PASSWORD), ("again", PASSWORD)];
    let mut browser = Browser::default();
    browser.post(&plane, "/invitation", &fields).await;
    let page = browser.get(&plane, "/login/enrol").await;
    let code = totp(&plane, &secret_in(&page.text), 0);
    plane.post(&format!("/users/{boss}/invitation"), &plane.owner, json!({})).await.ok();
    assert_eq!(browser.post(&plane, "/login/enrol", &[("code", &code)]).await.status, 303);
    assert_eq!(browser.get(&plane, "/login/enrol").await.status, 303);
    assert!(browser.session().is_none());
    // Of two logins that enrol at once one goes on.
    let (mut one, _) = by_password(&plane, "boss@example.test", PASSWORD).await;
    let (mut two, _) = by_password(&plane, "boss@example.test", PASSWORD).await;
    let (a, b) = (one.get(&plane, "/login/enrol").await, two.get(&plane, "/login/enrol").await);
    one.post(&plane, "/login/enrol", &[("code", &totp(&plane, &secret_in(&a.text), 0))]).await;
    two.post(&plane, "/login/enrol", &[("code", &totp(&plane, &secret_in(&b.text), 0))]).await;
    assert!(one.session().is_some() && two.session().is_none());
    // The address for whoever runs the machine, and the recovery by the machine.
    for recovered in [false, true] {
        let code = bootstrap::one_time_login(&plane.app).await.unwrap();
        if recovered {
            bootstrap::owner_invitation(&plane.app, true).await.unwrap().unwrap();
        }
        let mut browser = Browser::default();
        browser.post(&plane, "/login", &[("code", code.expose())]).await;
        assert_eq!(browser.session().is_some(), !recovered);
    }
}
