//! Notices and settings.

use super::{House, at};
use crate::NoticeRow;

fn notice(credential: &str, days: i64, channel: &str, due: i64) -> NoticeRow {
    NoticeRow {
        credential: credential.into(),
        days,
        channel: channel.into(),
        document: "{}".into(),
        due_at: at(due),
        attempts: 0,
        next_attempt_at: at(due),
        sent_at: None,
        failure: String::new(),
    }
}

#[tokio::test]
async fn a_notice_is_kept_once_for_each_credential_day_and_channel() {
    let house = House::new().await;
    let (one, other) = (notice("k1", 30, "mail", 5), notice("k1", 30, "inbox", 6));
    let mut write = house.store.begin().await.unwrap();
    assert!(write.add_notice(&one).await.unwrap() && write.add_notice(&other).await.unwrap());
    assert!(!write.add_notice(&notice("k1", 30, "mail", 9)).await.unwrap(), "never twice");
    assert_eq!(write.open_notices(at(4), 10).await.unwrap(), vec![]);
    assert_eq!(write.open_notices(at(9), 10).await.unwrap().len(), 2);
    write.notice_failed(&one, at(20), "no answer").await.unwrap();
    write.notice_sent(&other, at(7)).await.unwrap();
    assert_eq!(write.open_notices(at(9), 10).await.unwrap(), vec![]);
    let open = write.open_notices(at(20), 10).await.unwrap();
    assert_eq!((open.len(), open[0].attempts, open[0].failure.as_str()), (1, 1, "no answer"));
    let newest = write.notices(None, 1).await.unwrap();
    assert_eq!(newest[0].channel, "inbox");
    let key = (newest[0].due_at, newest[0].credential.clone(), newest[0].days, newest[0].channel.clone());
    assert_eq!(write.notices(Some(&key), 9).await.unwrap()[0].channel, "mail");
    assert_eq!(write.give_up_notices("k1").await.unwrap(), 1, "what was delivered stays");
    assert_eq!(write.notices_of("k1").await.unwrap().len(), 1);
    assert_eq!(write.forget_notices(at(100)).await.unwrap(), 1);
    write.commit_without_revision().await.unwrap();
}

#[tokio::test]
async fn a_setting_is_what_was_set_last() {
    let house = House::new().await;
    let mut write = house.store.begin().await.unwrap();
    assert_eq!(write.setting::<Vec<String>>("x").await.unwrap(), None);
    write.put_setting("x", &vec!["a"], at(1)).await.unwrap();
    write.put_setting("x", &vec!["b"], at(2)).await.unwrap();
    assert_eq!(write.setting::<Vec<String>>("x").await.unwrap(), Some(vec!["b".to_owned()]));
    write.commit_without_revision().await.unwrap();
}
