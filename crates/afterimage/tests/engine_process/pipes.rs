//! What the process does when the other side of its pipes misbehaves.

use afterimage_worker::{Command as Order, Frame, FrameReader, PROTOCOL_VERSION, Report, Work};
use std::io::Write;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

struct Engine {
    child: Child,
    orders: Option<ChildStdin>,
    reports: FrameReader<ChildStdout, Report>,
}

impl Engine {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_afterimage"))
            .arg("engine-process")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let reports = FrameReader::new(child.stdout.take().unwrap());
        Self { child, orders, reports }
    }

    fn ready() -> Self {
        let mut engine = Self::start(&[]);
        engine.wait_for(|report| matches!(report, Report::Ready { version: PROTOCOL_VERSION, .. }));
        engine
    }

    fn write(&mut self, bytes: &[u8]) {
        self.orders.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn send(&mut self, order: Order) {
        self.write(&Frame::from(order).head().unwrap());
    }

    fn next(&mut self) -> Option<Report> {
        self.reports.next_frame().unwrap().map(|frame| frame.message)
    }

    fn wait_for(&mut self, wanted: impl Fn(&Report) -> bool) -> Report {
        loop {
            let report = self.next().expect("the process ended");
            if wanted(&report) {
                return report;
            }
        }
    }

    /// Waits for the exit; how it went and what standard error says.
    fn exit(mut self) -> (ExitStatus, String) {
        drop(self.orders.take());
        let start = Instant::now();
        let mut stderr = self.child.stderr.take().unwrap();
        let status = self.child.wait().unwrap();
        assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
        (status, text)
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

/// A job that takes minutes.
fn endless(ticket: u64) -> Order {
    use afterimage_core::{Enlarge, GenerationRequest, Size, Task};
    let request = GenerationRequest {
        prompt: Some("a lake".to_owned()),
        size: Some(Size::new(1024, 1024)),
        steps: 50,
        // One long pass: the first of two would be small and its steps short.
        enlarge: Enlarge::Off,
        ..GenerationRequest::new(Task::TextToImage)
    };
    let (format, sources) = (afterimage_core::OutputFormat::Png, Vec::new());
    let work = Box::new(Work { tenant: "t".to_owned(), request, format, sources });
    Order::Generate { ticket, work, previews: false }
}

#[test]
fn the_end_of_standard_input_ends_it_even_amid_a_step() {
    let idle = Engine::ready();
    assert_eq!(idle.exit().0.code(), Some(0));
    let mut busy = Engine::ready();
    busy.send(endless(1));
    busy.wait_for(|report| matches!(report, Report::Step { .. }));
    assert_eq!(busy.exit().0.code(), Some(0));
}

#[test]
fn garbage_ends_it_with_an_error() {
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x00AIe\xff\xff\xff\xff", b"\x00AIe\x00\x00\x00\x02{}"] {
        let mut engine = Engine::ready();
        engine.write(bytes);
        while let Some(report) = engine.next() {
            assert!(matches!(report, Report::Alive { .. }), "{report:?}");
        }
        let (status, text) = engine.exit();
        assert_eq!(status.code(), Some(1));
        assert!(text.starts_with("engine process: ") && text.lines().count() == 1, "{text:?}");
    }
}

#[test]
fn models_that_cannot_be_opened_are_reported() {
    let mut engine = Engine::start(&["--base", "nowhere"]);
    let report = engine.wait_for(|report| !matches!(report, Report::Alive { .. }));
    let Report::FailedToOpen { message, bad_input: true } = report else { panic!("{report:?}") };
    assert!(message.contains("nowhere"), "{message}");
    // It ends by itself, not because its input does.
    while engine.next().is_some() {}
    assert_eq!(engine.exit().0.code(), Some(2));
}

#[test]
fn ctrl_c_is_ignored_and_sigterm_ends_it_in_good_order() {
    let mut engine = Engine::ready();
    engine.send(endless(7));
    engine.wait_for(|report| matches!(report, Report::Step { done: 0, .. }));
    engine.signal("-INT");
    engine.wait_for(|report| matches!(report, Report::Step { done: 1, .. }));
    engine.signal("-TERM");
    engine.wait_for(|report| *report == Report::Cancelled { ticket: 7 });
    assert_eq!(engine.exit().0.code(), Some(0));
}

#[test]
fn signs_of_life_stop_when_nothing_moves() {
    // Any step of a large picture takes longer than the limit.
    let mut engine = Engine::start(&["--alive-interval", "0.01", "--stall-limit", "0.05"]);
    engine.wait_for(|report| matches!(report, Report::Ready { version: PROTOCOL_VERSION, .. }));
    engine.send(endless(1));
    engine.wait_for(|report| matches!(report, Report::Step { .. }));
    let mut signs = 0;
    while !matches!(engine.next(), Some(Report::Step { .. })) {
        signs += 1;
    }
    let (_, text) = engine.exit();
    assert!(text.contains("no progress"), "{text:?}");
    assert!(signs < 20, "{signs} signs of life");
}
