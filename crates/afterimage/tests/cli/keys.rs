//! Keys without a server.

use crate::context::Context;

#[test]
fn looking_for_keys_makes_no_database() {
    let context = Context::new();
    for arguments in [
        &["keys", "list", "--data-dir", "out"][..],
        &["keys", "revoke", "x", "--data-dir", "out"],
        &["keys", "role", "x", "user", "--data-dir", "out"],
    ] {
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
    assert!(text.contains("user") && !text.contains("operator"), "{text}");
    let promoted = context.run(&["keys", "role", &id, "operator", "--data-dir", "out"]);
    assert_eq!(promoted.succeeded().text(), "the key's role is operator now\n");
    assert!(context.run(&["keys", "list", "--data-dir", "out"]).succeeded().text().contains("operator"));
    let unknown = context.run(&["keys", "role", &id, "owner", "--data-dir", "out"]);
    unknown.refused(&["ROLE", "`user` and `operator`"]);
    context.run(&["keys", "role", "x", "user", "--data-dir", "out"]).refused(&["ID", "no such key"]);
    let made = context.run(&["keys", "create", "--data-dir", "out", "--name", "mine", "--role", "operator"]);
    made.succeeded();
    let listed = context.run(&["keys", "list", "--data-dir", "out"]).succeeded().text();
    assert_eq!(listed.lines().filter(|line| line.contains("operator")).count(), 2, "{listed}");
    let revoked = context.run(&["keys", "revoke", &id, "--data-dir", "out"]);
    assert_eq!(revoked.succeeded().text(), "revoked; waiting jobs cancelled: 0, running jobs asked to stop: 0\n");
    let again = context.run(&["keys", "revoke", &id, "--data-dir", "out"]);
    again.refused(&["ID", "revoked before"]);
}
