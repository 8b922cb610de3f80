//! Servers that follow another one, and what happens to servers: crashes, promotions, demotions.

use crate::postgres::{Server, run, unprivileged};
use crate::waiting::blocking_until;
use std::process::{Command, Output};
use std::time::Duration;

impl Server {
    /// A server that follows this one, which it reaches by `port`.
    pub fn replica(&self, port: u16) -> Self {
        let folder = tempfile::Builder::new().prefix("afterimage-replica").tempdir().unwrap();
        let user = unprivileged(folder.path());
        let copied = run(user, &self.programs.join("pg_basebackup"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-X", "stream", "-c", "fast"])
            .arg("-D")
            .arg(folder.path().join("data"))
            .output();
        succeeded(&copied.unwrap());
        let replica = Self::of(folder, self.programs.clone(), user, "", Vec::new());
        let file = replica.data().join("postgresql.conf");
        let follows = format!("primary_conninfo = 'host=127.0.0.1 port={port} user=postgres'\n");
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &follows).unwrap();
        let signal = run(user, "touch".as_ref()).arg(replica.data().join("standby.signal")).output();
        succeeded(&signal.unwrap());
        replica.run();
        replica
    }

    /// Makes a replica the one that takes changes.
    pub fn promote(&self) {
        let promoted =
            run(self.user, &self.programs.join("pg_ctl")).args(["promote", "-w", "-D"]).arg(self.data()).output();
        succeeded(&promoted.unwrap());
    }

    /// Ends the server's first process by a signal that it cannot hear; the others end by themselves.
    pub fn kill_hard(&self) {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let process = file.lines().next().unwrap().trim();
        succeeded(&Command::new("kill").args(["-9", process]).output().unwrap());
        let data = self.data().canonicalize().unwrap();
        let is_gone = || {
            let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
            !processes.filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok()).any(|cwd| cwd == data)
        };
        blocking_until("the server's processes are gone", Duration::from_secs(30), is_gone);
    }

    /// Whether transactions may change something, as on one that was taken back.
    pub async fn set_read_only(&self, is_read_only: bool) {
        let value = if is_read_only { "on" } else { "off" };
        // The session that turns it off would be read-only, too.
        for statement in
            [format!("ALTER SYSTEM SET default_transaction_read_only = {value}"), "SELECT pg_reload_conf()".to_owned()]
        {
            self.execute("postgres", statement).await;
        }
    }

    /// Whether commits wait for a replica.
    pub async fn set_synchronous(&self, is_synchronous: bool) {
        let names = if is_synchronous { "ANY 1 (*)" } else { "" };
        for statement in
            [format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"), "SELECT pg_reload_conf()".to_owned()]
        {
            self.execute("postgres", statement).await;
        }
    }
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
