//! News as text, one a line: what hosts say to each other on the database's channel.

use crate::worker::News;
use crate::{JobId, Queue};
use afterimage_core::ModelName;

/// Longest text that the database passes on is 8,000 bytes.
const LONGEST: usize = 7_900;

/// What somebody said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// The process that said it.
    pub(super) from: String,
    /// What it said to itself, to find out whether it hears.
    pub(super) echo: Option<String>,
    pub(super) news: Vec<News>,
}

/// `news` in as few texts as they fit into.
pub(super) fn texts(from: &str, news: &[News]) -> Vec<String> {
    let mut texts = Vec::new();
    let mut text = from.to_owned();
    for line in news.iter().map(line) {
        if text.len() + line.len() + 1 > LONGEST {
            texts.push(std::mem::replace(&mut text, from.to_owned()));
        }
        text.push('\n');
        text.push_str(&line);
    }
    if text.len() > from.len() {
        texts.push(text);
    }
    texts
}

/// What a process says to itself.
pub(super) fn echo(from: &str, word: &str) -> String {
    format!("{from}\n?{word}")
}

fn line(news: &News) -> String {
    match news {
        News::Submitted(queue) => format!("s{}", queue.as_ref().map_or("", ModelName::as_str)),
        News::Awaiting => "a".to_owned(),
        News::CancelRequested(job) => format!("c{job}"),
        News::Ended(job) => format!("e{job}"),
    }
}

/// Reads a text. Lines that only another version understands are left out: news are never needed.
pub(super) fn read(text: &str) -> Notice {
    let mut lines = text.lines();
    let mut message = Notice { from: lines.next().unwrap_or_default().to_owned(), echo: None, news: Vec::new() };
    for line in lines {
        let Some(kind) = line.chars().next() else { continue };
        let rest = &line[kind.len_utf8()..];
        match kind {
            's' => message.news.extend(queue(rest).map(News::Submitted)),
            'a' => message.news.push(News::Awaiting),
            'c' => message.news.extend(JobId::parse(rest).map(News::CancelRequested)),
            'e' => message.news.extend(JobId::parse(rest).map(News::Ended)),
            '?' => message.echo = Some(rest.to_owned()),
            _ => {}
        }
    }
    message
}

fn queue(name: &str) -> Option<Queue> {
    if name.is_empty() { Some(None) } else { name.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn news() -> impl Strategy<Value = News> {
        prop_oneof![
            prop::option::of("[a-z][a-z0-9-]{0,20}")
                .prop_map(|name| News::Submitted(name.map(|name| name.parse().unwrap()))),
            Just(News::Awaiting),
            Just(()).prop_map(|()| News::CancelRequested(JobId::random())),
            Just(()).prop_map(|()| News::Ended(JobId::random())),
        ]
    }

    proptest! {
        #[test]
        fn all_news_arrive(news in prop::collection::vec(news(), 0..600)) {
            let texts = texts("me", &news);
            prop_assert!(texts.iter().all(|text| text.len() <= LONGEST));
            let heard: Vec<News> = texts.iter().flat_map(|text| read(text).news).collect();
            prop_assert_eq!(heard, news);
        }

        #[test]
        fn nothing_that_is_said_does_harm(text: String) {
            read(&text);
        }
    }

    #[test]
    fn an_echo_is_no_news() {
        let message = read(&echo("me", "17"));
        assert_eq!(message, Notice { from: "me".to_owned(), echo: Some("17".to_owned()), news: Vec::new() });
    }
}
