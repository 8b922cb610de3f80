//! Results that are made again from what their files say.

use crate::context::{Context, SMALL};
use std::fs;

fn run(context: &Context, arguments: &[&str]) {
    context.run(arguments).succeeded();
}

fn assert_same(context: &Context, one: &str, other: &str) {
    let read = |name: &str| fs::read(context.path(name)).unwrap();
    assert!(read(one) == read(other), "{one} and {other} differ");
}

#[test]
fn the_same_file_comes_out() {
    let context = Context::new();
    let vary: Vec<&str> =
        ["vary", "photo.png", "--prompt", "雪山, \"quiet\"", "--redux-strength", "0.4", "-o", "a.png"]
            .into_iter()
            .chain(SMALL)
            .collect();
    run(&context, &vary);
    run(&context, &["again", "a.png", "photo.png"]);
    assert_same(&context, "a.png", "a-again.png");

    let reshape = [
        "img2img",
        "photo.png",
        "--prompt",
        "a lake",
        "--strength",
        "0.6",
        "--steps",
        "3",
        "-o",
        "b.jpg",
        "--dtype",
        "f32",
    ];
    run(&context, &reshape);
    run(&context, &["again", "b.jpg", "photo.png"]);
    assert_same(&context, "b.jpg", "b-again.jpg");

    let several: Vec<&str> =
        ["vary", "photo.png", "b.jpg", "--num-images", "2", "-o", "c.jpg"].into_iter().chain(SMALL).collect();
    run(&context, &several);
    run(&context, &["again", "c-2.jpg", "photo.png", "b.jpg", "-o", "out"]);
    assert_same(&context, "c-1.jpg", "out/c-2-again-1.jpg");
    assert_same(&context, "c-2.jpg", "out/c-2-again-2.jpg");
}

#[test]
fn what_does_not_say_how_it_was_made_is_refused() {
    let context = Context::new();
    let made: Vec<&str> = ["vary", "photo.png", "-o", "a.png"].into_iter().chain(SMALL).collect();
    run(&context, &made);
    let silent: Vec<&str> =
        ["vary", "photo.png", "-o", "b.jpg", "--metadata", "minimal"].into_iter().chain(SMALL).collect();
    run(&context, &silent);
    context.write("text.png", "no picture");
    context.refuses(&["again", "photo.png", "photo.png"], &["RESULT", "photo.png", "--metadata"]);
    context.refuses(&["again", "b.jpg", "photo.png"], &["RESULT", "b.jpg"]);
    context.refuses(&["again", "text.png", "photo.png"], &["RESULT", "PNG"]);
    context.refuses(&["again", "gone.png", "photo.png"], &["RESULT", "gone.png"]);
    context.refuses(&["again", "a.png"], &["IMAGE", "a.png"]);
    context.refuses(&["again", "a.png", "gone.png"], &["gone.png"]);
}
