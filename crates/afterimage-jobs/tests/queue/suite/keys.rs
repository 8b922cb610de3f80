use crate::fixtures::{Harness, new_job, result, with_webhook};
use afterimage_jobs::{CancelledAll, Error, Fenced, JobState, KeyId, KeyRole, NewKey, Secret};

fn given(text: &str) -> NewKey {
    NewKey { name: "given".to_owned(), concurrency: Some(3), secret: Some(Secret::new(text)), ..NewKey::default() }
}

pub async fn a_key_is_found_by_its_text_only(mut harness: Harness) {
    let (key, secret) = harness.store.create_key(NewKey::default()).await.unwrap();
    let text = secret.expose().to_owned();
    assert!(text.starts_with(&format!("ai_{}_", key.id)) && text.len() > 64, "{text}");
    assert!(!format!("{secret:?}").contains(&text));
    harness.restart().await;
    assert_eq!(harness.store.find_key(&text).await.unwrap(), Some(key.clone()));
    let almost = format!("{}x", &text[..text.len() - 1]);
    for wrong in ["", "ai_", key.id.as_str(), &almost, &text.to_uppercase(), &format!("{text} "), "' OR 1=1 --"] {
        assert_eq!(harness.store.find_key(wrong).await.unwrap(), None, "{wrong:?}");
    }
    assert!(harness.store.keys().await.unwrap().contains(&key));
    assert_eq!(harness.store.key(&key.id).await.unwrap(), Some(key));
    assert_eq!(harness.store.key(&KeyId::from("nobody")).await.unwrap(), None);
}

pub async fn given_texts_work_and_are_kept_once(harness: Harness) {
    let (key, secret) = harness.store.create_key(given("hunter2-hunter2")).await.unwrap();
    assert_eq!(secret.expose(), "hunter2-hunter2");
    let count = harness.store.keys().await.unwrap().len();
    let (again, _) = harness.store.create_key(given("hunter2-hunter2")).await.unwrap();
    assert_eq!(again, key);
    assert_eq!(harness.store.keys().await.unwrap().len(), count);
    assert_eq!(harness.store.find_key("hunter2-hunter2").await.unwrap().unwrap().concurrency, Some(3));
    assert!(matches!(harness.store.create_key(given("short")).await, Err(Error::UnusableKey { .. })));
}

pub async fn revoked_keys_are_not_found(harness: Harness) {
    let (key, _) = harness.store.create_key(given("hunter2-hunter2")).await.unwrap();
    assert!(harness.store.revoke_key(&key.id).await.unwrap());
    assert!(!harness.store.revoke_key(&key.id).await.unwrap());
    assert!(!harness.store.revoke_key(&KeyId::from("nobody")).await.unwrap());
    assert_eq!(harness.store.find_key("hunter2-hunter2").await.unwrap(), None);
    assert_eq!(harness.store.key(&key.id).await.unwrap(), None);
    let listed = harness.store.keys().await.unwrap().into_iter().find(|listed| listed.id == key.id).unwrap();
    assert!(listed.revoked_at.is_some());
    // A script that still passes it at start must not bring it back.
    assert!(matches!(harness.store.create_key(given("hunter2-hunter2")).await, Err(Error::UnusableKey { .. })));
}

pub async fn roles_are_kept(mut harness: Harness) {
    let of_operator = || NewKey { role: KeyRole::Operator, ..given("hunter2-hunter2") };
    let (key, secret) = harness.store.create_key(of_operator()).await.unwrap();
    let (user, _) = harness.store.create_key(NewKey::default()).await.unwrap();
    assert_eq!((key.role, user.role), (KeyRole::Operator, KeyRole::User));
    harness.restart().await;
    let role = async |harness: &Harness, id: &KeyId| harness.store.key(id).await.unwrap().unwrap().role;
    assert_eq!(role(&harness, &key.id).await, KeyRole::Operator);
    assert_eq!(harness.store.find_key(secret.expose()).await.unwrap().unwrap().role, KeyRole::Operator);
    let listed: Vec<KeyRole> = harness.store.keys().await.unwrap().iter().map(|key| key.role).collect();
    assert_eq!(listed.iter().filter(|role| **role == KeyRole::Operator).count(), 1);
    assert!(harness.store.set_key_role(&user.id, KeyRole::Operator).await.unwrap());
    assert!(harness.store.set_key_role(&key.id, KeyRole::User).await.unwrap());
    assert_eq!((role(&harness, &user.id).await, role(&harness, &key.id).await), (KeyRole::Operator, KeyRole::User));
    // A start with the same text gives nothing back that was taken away.
    assert_eq!(harness.store.create_key(of_operator()).await.unwrap().0.role, KeyRole::User);
    harness.store.revoke_key(&user.id).await.unwrap();
    assert!(!harness.store.set_key_role(&user.id, KeyRole::User).await.unwrap());
    assert!(!harness.store.set_key_role(&KeyId::from("nobody"), KeyRole::Operator).await.unwrap());
}

pub async fn the_server_secret_stays(mut harness: Harness) {
    let secret = harness.store.server_secret().await.unwrap();
    assert_ne!(secret, [0; 32]);
    harness.restart().await;
    assert_eq!(harness.store.server_secret().await.unwrap(), secret);
    let id = harness.store.database_id().await.unwrap();
    assert_eq!(id.len(), 36, "{id}");
    harness.restart().await;
    assert_eq!(harness.store.database_id().await.unwrap(), id);
}

pub async fn a_keys_jobs_can_all_be_cancelled(harness: Harness) {
    let finished = harness.submit_plain().await.id;
    let lease = harness.claim().await.lease(&harness.worker);
    harness.store.succeed(&lease, result()).await.unwrap();
    let running = harness.submit_plain().await.id;
    let lease = harness.claim().await.lease(&harness.worker);
    let mut waiting = Vec::new();
    for _ in 0..450 {
        waiting.push(harness.submit(with_webhook(new_job(&harness.key))).await.id);
    }
    let others = harness.submit(new_job(&harness.other_key)).await.id;

    harness.store.revoke_key(&harness.key).await.unwrap();
    let outcome = harness.store.cancel_all(&harness.key).await.unwrap();
    assert_eq!(outcome, CancelledAll { cancelled: 450, requested: 1 });
    assert_eq!(harness.store.cancel_all(&harness.key).await.unwrap(), CancelledAll::default());
    for id in &waiting {
        assert_eq!(harness.job(id).await.state, JobState::Cancelled);
    }
    assert_eq!(harness.store.open_deliveries().await.unwrap(), 450);
    let job = harness.job(&running).await;
    assert_eq!((job.state, job.cancel_requested), (JobState::Running, true));
    assert_eq!(harness.store.cancelled(&lease).await.unwrap(), Fenced::Done);
    assert_eq!(harness.job(&finished).await.state, JobState::Succeeded);
    assert_eq!(harness.claim().await.id, others);
    assert_eq!(harness.store.cancel_all(&KeyId::from("nobody")).await.unwrap(), CancelledAll::default());
}
