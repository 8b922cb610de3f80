//! Keys without a server.

use crate::context::Context;

#[test]
fn looking_for_keys_makes_no_database() {
    let context = Context::new();
    for arguments in [&["keys", "list", "--data-dir", "out"][..], &["keys", "revoke", "x", "--data-dir", "out"]] {
        context.refuses(arguments, &["--data-dir", "there is no database", "keys create"]);
    }
    context.refuses(&["keys", "list", "--database-url", "sqlite:out/x.sqlite"], &["--database-url", "out/x.sqlite"]);
    let key = context.run(&["keys", "create", "--data-dir", "out", "--name", "shop"]);
    assert!(key.succeeded().text().starts_with("ai_"));
    let listed = context.run(&["keys", "list", "--data-dir", "out"]);
    assert_eq!(listed.succeeded().text().lines().count(), 1);
    let text = listed.text();
    assert!(text.contains("active") && text.contains("shop"), "{text}");
    let id = text.split_whitespace().next().unwrap().to_owned();
    let revoked = context.run(&["keys", "revoke", &id, "--data-dir", "out"]);
    assert_eq!(revoked.succeeded().text(), "revoked; waiting jobs cancelled: 0, running jobs asked to stop: 0\n");
    let again = context.run(&["keys", "revoke", &id, "--data-dir", "out"]);
    again.refused(&["ID", "revoked before"]);
}
