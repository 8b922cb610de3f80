//! `serve --model`: what cannot be a set of models, on the command line and in the file.

use crate::context::Context;
use insta::assert_snapshot;
use std::fmt::Write;

#[test]
fn sets_that_cannot_be_used() {
    let context = Context::new();
    let mut text = String::new();
    for case in [
        &["--model", "dev"][..],
        &["--model", ""],
        &["--model", "=base=a"],
        &["--model", "Dev=base=a"],
        &["--model", "dev="],
        &["--model", "dev=base"],
        &["--model", "dev=base="],
        &["--model", "dev=a/b"],
        &["--model", "dev=base=a,b"],
        &["--model", "dev=base=a,"],
        &["--model", "dev=base=a,base=b"],
        &["--model", "dev=redux=a"],
        &["--model", "dev=base=a,colour=b"],
        &["--model", "dev=base=a,device=tpu"],
        &["--model", "dev=base=a,dtype=f64"],
        &["--model", "dev=base=a,cache-threshold=2"],
        &["--model", "dev=base=a,threads=0"],
        &["--model", "dev=base=a,lora-dir="],
        &["--model", "dev=base=a,lora-dir=nowhere"],
        &["--lora-dir", "nowhere", "--model", "dev=base=a"],
        &["--lora-dir", "nowhere"],
        &["--model", "dev=base=a,serves="],
        &["--model", "dev=base=a,serves=flux"],
        &["--model", "dev={\"base\": 1"],
        &["--model", "dev={\"base\": [1]}"],
        &["--model", "dev=base=a", "--model", "dev=base=b"],
        &["--model", "a=base=a,serves=fal-ai/flux/dev/redux", "--model", "b=base=b,serves=fal-ai/flux/dev/redux"],
        &["--model", "dev=base=a", "--base", "b"],
        &["--transformer", "b", "--model", "dev=base=a"],
    ] {
        let arguments: Vec<&str> = ["serve"].iter().chain(case).copied().collect();
        let line = context.refuses(&arguments, &["--"]);
        writeln!(text, "{} => {line}", case.join(" ")).unwrap();
    }
    assert_snapshot!(text);
}

#[test]
fn tables_that_cannot_be_used() {
    let context = Context::new();
    let mut text = String::new();
    for contents in [
        "[model]\ndev = 4",
        "[model.dev]\nredux = 'a'",
        "[model.Dev]\nbase = 'a'",
        "[model.dev]\nbase = 'a'\nsteps = 4",
        "[model.dev]\nbase = 1979-05-27",
        "[model.dev]\nbase = 'a'\nserves = 'fal-ai/flux/dev/redux'",
        "[model.dev]\nbase = 'a'\nserves = ['flux']",
        "base = 'b'\n[model.dev]\nbase = 'a'",
        "[serve.model.dev]\nbase = ''",
        "[vary.model.dev]\nbase = 'a'",
        "model = ['dev=base=a', 'dev=base=b']",
        "model = 'dev'",
    ] {
        context.write("c.toml", contents);
        let line = context.refuses(&["serve", "--config", "c.toml"], &["c.toml"]);
        writeln!(text, "{} => {line}", contents.escape_debug()).unwrap();
    }
    assert_snapshot!(text);
    // Other commands of the same file know nothing of them.
    context.write("c.toml", "[model.dev]\nbase = 'a'");
    context.vary_refuses(&["none.png", "--config", "c.toml"], &["none.png"]);
}
