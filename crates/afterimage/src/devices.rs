//! `--device`: one device for what makes one picture, several for a server.

use crate::values;
use afterimage_engine::DeviceChoice;

/// A word of `--device`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceWord {
    /// This one.
    One(DeviceChoice),
    /// Every card that can be used: `cuda:all`.
    AllCards,
}

/// Reads a word.
pub fn word(text: &str) -> Result<DeviceWord, String> {
    if text == "cuda:all" { Ok(DeviceWord::AllCards) } else { values::device(text).map(DeviceWord::One) }
}

/// The device of a command that computes on one.
///
/// # Errors
/// What would work.
pub fn single(words: &[DeviceWord]) -> Result<DeviceChoice, String> {
    match words {
        [] => Ok(DeviceChoice::Auto),
        [DeviceWord::One(device)] => Ok(*device),
        [DeviceWord::AllCards, ..] => Err(only_a_server(DeviceChoice::Cuda(0))),
        [DeviceWord::One(first), ..] => Err(only_a_server(*first)),
    }
}

fn only_a_server(example: DeviceChoice) -> String {
    format!("only `serve` takes several devices; name one, such as {example}")
}

/// The devices of a server, each once. `cards` finds those that can be used, where all are wanted.
///
/// # Errors
/// When one is named twice, `auto` is not alone, or there is no card.
pub fn several(
    words: &[DeviceWord],
    cards: impl Fn() -> Result<Vec<usize>, String>,
) -> Result<Vec<DeviceChoice>, String> {
    let mut devices = Vec::new();
    for word in words {
        match word {
            DeviceWord::One(device) => devices.push(*device),
            DeviceWord::AllCards => devices.extend(cards()?.into_iter().map(DeviceChoice::Cuda)),
        }
    }
    if devices.is_empty() {
        devices.push(DeviceChoice::Auto);
    }
    for (number, device) in devices.iter().enumerate() {
        if devices[..number].contains(device) {
            return Err(format!("{device} is named twice; --workers gives each device several processes"));
        }
    }
    if devices.len() > 1 && devices.contains(&DeviceChoice::Auto) {
        return Err("auto stands alone: what it takes may be named beside it".to_owned());
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use DeviceChoice::{Auto, Cpu, Cuda};

    fn words(texts: &[&str]) -> Vec<DeviceWord> {
        texts.iter().map(|text| word(text).unwrap()).collect()
    }

    #[test]
    fn a_server_takes_several_devices() {
        let several = |texts: &[&str]| several(&words(texts), || Ok(vec![0, 2]));
        assert_eq!(several(&["cuda:1", "cuda:0"]), Ok(vec![Cuda(1), Cuda(0)]));
        assert_eq!((several(&["cuda:all"]), several(&[])), (Ok(vec![Cuda(0), Cuda(2)]), Ok(vec![Auto])));
        assert_eq!(several(&["cuda", "cpu"]), Ok(vec![Cuda(0), Cpu]));
        for (texts, part) in [
            (&["cuda", "cuda:0"][..], "cuda:0 is named twice; --workers"),
            (&["cuda:2", "cuda:all"], "cuda:2 is named twice"),
            (&["auto", "cuda:0"], "auto stands alone"),
        ] {
            assert!(several(texts).unwrap_err().contains(part), "{texts:?}");
        }
    }

    #[test]
    fn other_commands_take_one() {
        assert_eq!((single(&words(&["cuda:1"])), single(&[])), (Ok(Cuda(1)), Ok(Auto)));
        assert!(single(&words(&["cuda:1", "cpu"])).unwrap_err().ends_with("name one, such as cuda:1"));
        assert!(single(&words(&["cuda:all"])).unwrap_err().ends_with("such as cuda:0"));
    }
}
