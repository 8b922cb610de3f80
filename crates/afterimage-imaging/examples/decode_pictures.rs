//! Decodes the files named on standard input, one a line, for `tests/compare_jpeg.py`.
//!
//! For each it writes a line `WIDTH HEIGHT MICROSECONDS` and the pixels as RGB bytes, or a line `- MESSAGE`.

use afterimage_imaging::{PictureLimits, read_file};
use std::io::{BufWriter, Write, stdin, stdout};
use std::time::Instant;

fn main() -> std::io::Result<()> {
    let mut output = BufWriter::new(stdout().lock());
    for name in stdin().lines() {
        let begin = Instant::now();
        match read_file(name?.as_ref(), &PictureLimits::default()) {
            Ok(source) => {
                let picture = source.picture;
                let microseconds = begin.elapsed().as_micros();
                writeln!(output, "{} {} {microseconds}", picture.width(), picture.height())?;
                output.write_all(picture.rgb())?;
            }
            Err(error) => writeln!(output, "- {error}")?,
        }
        output.flush()?;
    }
    Ok(())
}
