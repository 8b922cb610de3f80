//! Links between the documents lead somewhere: to a file of the repository, and to a heading in it.

use crate::context::repository;
use crate::printed::{Document, documents};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// The lines of `text` outside of fenced blocks, without what is set as code.
fn prose(text: &str) -> String {
    let outside = text.split("```").step_by(2);
    let lines = outside.flat_map(str::lines).map(|line| line.split('`').step_by(2).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

/// What `text` links to.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of the headings in `text`, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let outside = text.split("```").step_by(2);
    for heading in outside.flat_map(str::lines).filter(|line| line.starts_with('#')) {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        let anchor: String = kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect();
        let again = (1..).map(|count| format!("{anchor}-{count}"));
        let free = std::iter::once(anchor.clone()).chain(again).find(|anchor| !anchors.contains(anchor));
        anchors.extend(free);
    }
    anchors
}

/// `path` without `.` and `..`; `None` when it leaves the repository.
fn resolved(path: &Path) -> Option<PathBuf> {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir if resolved.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

/// What is wrong with a link from `document` to `target`.
fn problem(document: &Document, target: &str, headings: &BTreeMap<PathBuf, BTreeSet<String>>) -> Option<&'static str> {
    if target.contains("://") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let here = document.name.parent().unwrap_or(Path::new(""));
    let path = if path.is_empty() { Some(document.name.clone()) } else { resolved(&here.join(path)) };
    let Some(path) = path.filter(|path| repository().join(path).exists()) else { return Some("no such file") };
    let found = anchor.is_empty() || headings.get(&path).is_none_or(|anchors| anchors.contains(anchor));
    if found { None } else { Some("no such heading") }
}

#[test]
fn links_lead_somewhere() {
    let documents = documents();
    let headings = documents.iter().map(|document| (document.name.clone(), anchors(&document.text))).collect();
    let mut problems = Vec::new();
    let mut count = 0;
    for document in &documents {
        for target in targets(&document.text) {
            count += 1;
            if let Some(problem) = problem(document, &target, &headings) {
                problems.push(format!("{}: {target}: {problem}", document.name.display()));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(count >= 100, "{count} links");
}

#[test]
fn wrong_links_are_found() {
    let text = "# A `b` c\n[x](#a-b-c) `[y](none)`\n```\n# d\n[z](none)\n```\n## a b c\n[v](docs/e.md#f) [w](../e.md)";
    assert_eq!(targets(text), ["#a-b-c", "docs/e.md#f", "../e.md"]);
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), ["a-b-c", "a-b-c-1"]);
    let document = Document { name: "README.md".into(), text: text.to_owned() };
    let headings = BTreeMap::from([("README.md".into(), anchors(text)), ("docs/cli.md".into(), BTreeSet::new())]);
    let problem = |target| problem(&document, target, &headings);
    assert_eq!((problem("#a-b-c-1"), problem("LICENSE-MIT"), problem("docs/cli.md")), (None, None, None));
    assert_eq!(problem("#d"), Some("no such heading"));
    assert_eq!(problem("docs/cli.md#none"), Some("no such heading"));
    assert_eq!(problem("docs/none.md"), Some("no such file"));
    assert_eq!(problem("../Cargo.toml"), Some("no such file"));
}
