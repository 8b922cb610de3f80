"""Tests of circles.py on tiny crates in a temporary folder."""

import tempfile
import unittest
from pathlib import Path

import circles
import rust_modules


class Circles(unittest.TestCase):
    def chains(self, **files):
        """The circles of a crate; a key `a__b` stands for the file `a/b.rs`."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "src"
            for name, text in files.items():
                path = source / (name.replace("__", "/") + ".rs")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            found = circles.circles(source / "lib.rs")
            return [[(str(file.relative_to(source)), line) for file, line in chain] for chain in found]

    def assert_none(self, **files):
        self.assertEqual(self.chains(**files), [])

    def test_two_files_that_use_each_other(self):
        chains = self.chains(
            lib="mod a;\nmod b;",
            a="//! Of a.\nuse crate::b::B;\npub struct A(B);",
            b="pub struct B;\n\n\nfn f(_: super::a::A) {}",
        )
        self.assertEqual(chains, [[("a.rs", 2), ("b.rs", 4)]])

    def test_one_direction_is_no_circle(self):
        self.assert_none(lib="mod a;\nmod b;", a="use crate::b::B;", b="pub struct B;")

    def test_round_about(self):
        chains = self.chains(
            lib="mod a;\nmod b;\nmod c;",
            a="use super::b::b; pub fn a() {}",
            b="pub fn b() { crate::c::c() }",
            c="pub fn c() {}\nuse crate::{\n    a::{a as other},\n};",
        )
        self.assertEqual(chains, [[("a.rs", 1), ("b.rs", 1), ("c.rs", 3)]])

    def test_every_file_of_a_knot_is_in_a_chain(self):
        chains = self.chains(
            lib="mod a;\nmod b;\nmod c;",
            a="use crate::{b::B, c::C}; pub struct A;",
            b="use crate::a::A; pub struct B;",
            c="use crate::a::A; pub struct C;",
        )
        self.assertEqual({file for chain in chains for file, _ in chain}, {"a.rs", "b.rs", "c.rs"})

    def test_a_parent_that_declares_and_hands_on(self):
        self.assert_none(lib="mod p;", p__mod="mod child;\npub use child::Child;\npub const SIZE: u32 = 1;", p__child="pub struct Child;\nconst DOUBLE: u32 = 2 * super::SIZE;")

    def test_a_parent_whose_code_uses_its_child(self):
        for use in ["use child::run;\nfn f() { run() }", "fn f() { child::run() }", "pub use child::run;\nfn f() { run() }", "use child::*;\nfn f() { run() }"]:
            chains = self.chains(lib="mod p;", p="mod child;\npub const SIZE: u32 = 1;\n" + use, p__child="pub fn run() -> u32 { super::SIZE }")
            self.assertEqual([[file for file, _ in chain] for chain in chains], [["p/child.rs", "p.rs"]], use)

    def test_a_name_counts_for_the_file_that_defines_it(self):
        # Through the parent, which has nothing of its own.
        self.assert_none(
            lib="mod p;",
            p__mod="mod low;\nmod high;\npub use low::Low;\npub use high::High;",
            p__low="pub struct Low;",
            p__high="use super::Low;\npub struct High(Low);",
        )
        chains = self.chains(
            lib="mod p;",
            p__mod="mod low;\nmod high;\npub use low::*;\npub use high::High as Renamed;",
            p__low="pub struct Low(super::Renamed);",
            p__high="use crate::p::Low;\npub struct High(Low);",
        )
        self.assertEqual(chains, [[("p/high.rs", 1), ("p/low.rs", 1)]])

    def test_what_is_compiled_for_tests_does_not_count(self):
        for text in [
            "pub struct B;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}",
            "pub struct B;\n#[cfg(test)]\nuse crate::a::A;",
            "pub struct B;\n#[cfg(all(test, unix))]\nimpl B { fn f(_: crate::a::A) {} }",
            "pub struct B { #[cfg(test)] a: crate::a::A, c: u8 }",
            "pub struct B;\n#[test]\n#[ignore]\nfn f() { crate::a::A; }",
        ]:
            self.assert_none(lib="mod a;\nmod b;", a="use crate::b::B;\npub struct A;", b=text)
        self.assert_none(lib="mod a;\nmod b;", a="use crate::b::B;\npub struct A;", b="pub struct B;\n#[cfg(test)]\nmod tests;", b__tests="use crate::a::A;")

    def test_what_stands_behind_tests_counts(self):
        for text in [
            "#[cfg(test)]\nmod tests { fn f() { if a { } } }\nuse crate::a::A; pub struct B;",
            "#[cfg(test)]\nconst C: [u8; 2] = [1; 2];\npub struct B(crate::a::A);",
            "pub struct B { #[cfg(test)] c: u8, a: crate::a::A }",
            "#[cfg(not(test))]\nuse crate::a::A;\npub struct B;",
            "pub struct B;\n#[cfg(any(test, unix))]\nfn f(_: crate::a::A) {}",
        ]:
            self.assertEqual(len(self.chains(lib="mod a;\nmod b;", a="use crate::b::B;\npub struct A;", b=text)), 1, text)

    def test_comments_and_strings_are_no_code(self):
        text = (
            "/// See [`crate::a::A`].\n// use crate::a::A;\n/* /* use crate::a::A; */ crate::a::A */\n"
            'pub struct B;\nconst T: &str = "crate::a::A \\" crate::a::A";\nconst R: &str = r#"use crate::a::A;" "#;\n'
            "const Q: char = '\"'; fn f<'a>(_: &'a str) {} const E: char = '\\'';\npub(in crate::b) struct P;"
        )
        self.assert_none(lib="mod a;\nmod b;", a="use crate::b::B;\npub struct A;", b=text)
        # And after all that, code is code again.
        self.assertEqual(len(self.chains(lib="mod a;\nmod b;", a="use crate::b::B;\npub struct A;", b=text + "\nuse crate::a::A;")), 1)

    def test_paths_that_derives_take_as_text(self):
        chains = self.chains(lib="mod a;\nmod b;", a="use crate::b::B;\npub fn read() {}", b='pub struct B {\n    #[serde(with = "crate::a::read")]\n    c: u8,\n}')
        self.assertEqual(chains, [[("a.rs", 1), ("b.rs", 2)]])

    def test_modules_in_modules_and_at_paths(self):
        chains = self.chains(
            lib='mod a {\n    pub mod inner;\n}\n#[path = "elsewhere/other.rs"]\nmod b;',
            a__inner="use crate::b::B;\npub struct Inner;",
            elsewhere__other="pub struct B;\nmod nested { fn f(_: super::super::a::inner::Inner) {} }",
        )
        self.assertEqual(chains, [[("a/inner.rs", 1), ("elsewhere/other.rs", 2)]])

    def test_macros_by_rules(self):
        chains = self.chains(lib="#[macro_use]\nmod m;\nmacro_rules! twice { ($x:expr) => { $x + $x } }\nmod a;\nfn f() { a::one(); }", m="", a="pub fn one() -> u32 { twice!(1) }")
        self.assertEqual(chains, [[("a.rs", 1), ("lib.rs", 5)]])

    def test_other_crates_of_the_same_name(self):
        self.assert_none(lib="mod fax;\nmod a;", fax="use crate::a::A;", a="pub struct A;\nuse ::fax::Reader;\nfn f() { std::fax::g(); }")

    def test_the_exit_status_tells(self):
        import contextlib
        import io

        for text, status in [("pub struct B;", 0), ("use crate::a::A; pub struct B;", 1)]:
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as output:
                source = Path(folder) / "src"
                source.mkdir()
                for name, content in [("lib", "mod a;\nmod b;"), ("a", "use crate::b::B;\npub struct A;"), ("b", text)]:
                    (source / f"{name}.rs").write_text(content, encoding="utf-8")
                self.assertEqual(circles.main([folder]), status)
            self.assertEqual("use crate::b::B;" in output.getvalue(), status == 1)


class Scanner(unittest.TestCase):
    def test_lines_are_counted_over_everything(self):
        text = "/* a\n */ \"b\n\" r#\"c\n\"# 'd' 'e\nf"
        self.assertEqual([(text, line) for _, text, line in rust_modules.tokens(text)][-1], ("f", 5))


def run():
    suite = unittest.defaultTestLoader.loadTestsFromModule(__import__("circles_test"))
    return 0 if unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful() else 1
