//! The report as text for a terminal.

use super::report::{ComponentKind, ComponentReport, Inspection};
use afterimage_core::{shortened, shortened_to};
use std::fmt;

/// Names listed before the rest is only counted; `--json` has them all.
const SHOWN: usize = 10;

/// Characters of a listed name or problem that are shown.
const LINE: usize = 700;

impl fmt::Display for ComponentKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FluxTransformer => "FLUX transformer",
            Self::Vae => "VAE",
            Self::T5 => "T5 encoder",
            Self::Clip => "CLIP text encoder",
            Self::Siglip => "SigLIP vision tower",
            Self::Redux => "Redux adapter",
            Self::Lora => "LoRA",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.path.display())?;
        for component in &self.components {
            writeln!(formatter)?;
            component.fmt(formatter)?;
        }
        if self.components.len() != 1 {
            writeln!(formatter, "\nfits: {}, {}", yes_or_no(self.fits), self.reason)?;
        }
        Ok(())
    }
}

impl fmt::Display for ComponentReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "  {}: {}", self.name, self.kind)?;
        let mut row = |label: &str, value: &dyn fmt::Display| writeln!(formatter, "    {label:<12}{value}");
        if self.tensors > 0 {
            let layout = self.layout.as_deref().unwrap_or("unknown");
            if self.prefix.is_empty() {
                row("layout", &layout)?;
            } else {
                row("layout", &format_args!("{layout}, names start with {}", self.prefix))?;
            }
            row("files", &format_args!("{}, {}", self.files, megabytes(self.bytes)))?;
            row("tensors", &format_args!("{}, {} parameters", self.tensors, grouped(self.parameters)))?;
            let types: Vec<String> = self.dtypes.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
            row("types", &types.join(", "))?;
        }
        for (number, (name, value)) in self.sizes.iter().enumerate() {
            row(if number == 0 { "sizes" } else { "" }, &format_args!("{name} {value}"))?;
        }
        let problems: Vec<String> = self
            .problems
            .iter()
            .map(|problem| {
                format!(
                    "{}: expected {}, found {}",
                    shortened(&problem.tensor),
                    shortened(&problem.expected),
                    shortened(&problem.found)
                )
            })
            .collect();
        for (label, lines) in [("problems", &problems), ("not needed", &self.unneeded)] {
            for (number, line) in lines.iter().take(SHOWN).enumerate() {
                row(if number == 0 { label } else { "" }, &shortened_to(line, LINE))?;
            }
            if lines.len() > SHOWN {
                row("", &format_args!("… and {} more", lines.len() - SHOWN))?;
            }
        }
        row("fits", &format_args!("{}, {}", yes_or_no(self.fits), self.reason))
    }
}

fn yes_or_no(fits: bool) -> &'static str {
    if fits { "yes" } else { "no" }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// `11,901,408,320`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(11_901_408_320), "11,901,408,320");
    }
}
