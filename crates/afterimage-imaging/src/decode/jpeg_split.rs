//! Takes the subsampled components of a JPEG out into grey JPEGs of their own.
//!
//! The decoder hands out components only after upsampling, and rounds there in another way than libjpeg. Decoded as
//! grey pictures they come out as they are stored. Nothing is decoded here: DC values are predicted within a component
//! (ITU-T T.81, F.1.1.5.1), so for a component with one block in each MCU the codes can be moved as they are.

use super::jpeg_bits::{BitReader, BitWriter, Huffman};
use super::jpeg_markers::{Frame, is_standalone, next_marker, read_frame};

/// A component stored at half the width, the height or both.
pub(super) struct SplitComponent {
    /// Place among the components of the frame.
    pub(super) index: usize,
    /// Size as stored.
    pub(super) width: u32,
    pub(super) height: u32,
    /// By how much it is to be enlarged, 1 or 2.
    pub(super) horizontal: u32,
    pub(super) vertical: u32,
    /// The component as a grey JPEG.
    pub(super) file: Vec<u8>,
}

/// The components at half resolution. None if there is none, or if the file does something that no usual encoder does.
pub(super) fn split_subsampled(bytes: &[u8]) -> Option<Vec<SplitComponent>> {
    let mut rest = bytes.get(2..)?;
    let mut split: Option<Split> = None;
    // Tables may come before the frame.
    let mut tables = Tables::default();
    let mut preamble = vec![0xff, 0xd8];
    loop {
        let (marker, after) = next_marker(rest)?;
        rest = after;
        if marker == 0xd9 {
            break;
        }
        if is_standalone(marker) {
            continue;
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let segment = rest.get(2..length)?;
        let whole = &rest[..length];
        rest = &rest[length..];
        match marker {
            0xc0..=0xc2 if split.is_none() => {
                let frame = read_frame(marker == 0xc2, segment).ok()?;
                split = Some(Split::new(marker, frame, segment, &preamble)?);
            }
            0xc4 | 0xdb | 0xdd => {
                match marker {
                    0xc4 => tables.read_huffman(segment)?,
                    0xdd => tables.restart_interval = u32::from(u16::from_be_bytes(*segment.first_chunk()?)),
                    _ => {}
                }
                let files = match &mut split {
                    Some(split) => split.components.iter_mut().map(|component| &mut component.file).collect(),
                    None => vec![&mut preamble],
                };
                for file in files {
                    file.extend([0xff, marker]);
                    file.extend(whole);
                }
            }
            0xda => rest = split.as_mut()?.scan(segment, &tables, rest)?,
            _ => {}
        }
    }
    let mut components = split?.components;
    for component in &mut components {
        component.file.extend([0xff, 0xd9]);
    }
    Some(components)
}

#[derive(Default)]
struct Tables {
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    /// MCUs between restart markers, 0 for none.
    restart_interval: u32,
}

impl Tables {
    fn read_huffman(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&place, after)) = segment.split_first() {
            let (counts, after) = after.split_first_chunk::<16>()?;
            let symbols = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, after) = after.split_at_checked(symbols)?;
            let tables = if place >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(place & 0xf))? = Some(Huffman::new(counts, symbols));
            segment = after;
        }
        Some(())
    }
}

/// What the codes of a block look like.
#[derive(Clone, Copy)]
enum Coding {
    Sequential,
    DcFirst,
    DcRefinement,
}

/// A component within a scan of several.
struct Member<'a> {
    blocks: u32,
    dc: Option<&'a Huffman>,
    ac: Option<&'a Huffman>,
    /// Place among the components that are split off, and the codes for it.
    output: Option<(usize, BitWriter)>,
}

struct Split {
    frame: Frame,
    /// MCUs in a scan of several components.
    units: u64,
    components: Vec<SplitComponent>,
}

impl Split {
    fn new(marker: u8, frame: Frame, segment: &[u8], preamble: &[u8]) -> Option<Self> {
        let largest_horizontal = frame.components.iter().map(|component| component.horizontal).max()?;
        let largest_vertical = frame.components.iter().map(|component| component.vertical).max()?;
        if !matches!((largest_horizontal, largest_vertical), (2, 1 | 2) | (1, 2)) {
            return None;
        }
        let (width, height) = (frame.width.div_ceil(largest_horizontal), frame.height.div_ceil(largest_vertical));
        let mut components = Vec::new();
        for (index, component) in frame.components.iter().enumerate() {
            if (component.horizontal, component.vertical) != (1, 1) {
                if (component.horizontal, component.vertical) != (largest_horizontal, largest_vertical) {
                    return None;
                }
                continue;
            }
            let [identifier, _, quantization] = *segment.get(6 + 3 * index..)?.first_chunk()?;
            let mut file = preamble.to_vec();
            file.extend([0xff, marker, 0, 11, 8]);
            file.extend(u16::try_from(height).ok()?.to_be_bytes());
            file.extend(u16::try_from(width).ok()?.to_be_bytes());
            file.extend([1, identifier, 0x11, quantization]);
            components.push(SplitComponent {
                index,
                width,
                height,
                horizontal: largest_horizontal,
                vertical: largest_vertical,
                file,
            });
        }
        let units = u64::from(width.div_ceil(8)) * u64::from(height.div_ceil(8));
        Some(Self { frame, units, components })
    }

    /// Moves the codes of one scan; `data` begins behind its header. Returns what follows it.
    fn scan<'a>(&mut self, header: &[u8], tables: &Tables, data: &'a [u8]) -> Option<&'a [u8]> {
        let (&count, header) = header.split_first()?;
        let (selectors, parameters) = header.split_at_checked(2 * usize::from(count))?;
        let (selectors, _) = selectors.as_chunks::<2>();
        let parameters = *parameters.first_chunk::<3>()?;
        let mut members = Vec::new();
        for &[identifier, table] in selectors {
            let index = self.frame.components.iter().position(|component| component.identifier == identifier)?;
            let component = &self.frame.components[index];
            let output = self.components.iter().position(|split| split.index == index);
            if let Some(output) = output {
                let file = &mut self.components[output].file;
                file.extend([0xff, 0xda, 0, 8, 1, identifier, table]);
                file.extend(parameters);
            }
            members.push(Member {
                blocks: component.horizontal * component.vertical,
                dc: tables.dc.get(usize::from(table >> 4))?.as_ref(),
                ac: tables.ac.get(usize::from(table & 0xf))?.as_ref(),
                output: output.map(|output| (output, BitWriter::default())),
            });
        }
        if let [member] = members.as_slice() {
            let end = end_of_scan(data)?;
            if let Some((output, _)) = &member.output {
                self.components[*output].file.extend(&data[..end]);
            }
            return Some(&data[end..]);
        }
        let coding = match parameters {
            _ if !self.frame.progressive => Coding::Sequential,
            [0, 0, approximation] if approximation >> 4 == 0 => Coding::DcFirst,
            [0, 0, _] => Coding::DcRefinement,
            _ => return None,
        };
        let mut reader = BitReader::new(data);
        for unit in 0..self.units {
            if tables.restart_interval > 0 && unit > 0 && unit % u64::from(tables.restart_interval) == 0 {
                let marker = reader.restart()?;
                for (_, writer) in members.iter_mut().filter_map(|member| member.output.as_mut()) {
                    writer.restart(marker);
                }
            }
            for member in &mut members {
                for _ in 0..member.blocks {
                    move_block(&mut reader, member, coding)?;
                }
            }
        }
        for (output, writer) in members.into_iter().filter_map(|member| member.output) {
            self.components[output].file.extend(writer.finish());
        }
        Some(reader.rest())
    }
}

/// Where the entropy-coded data of a scan ends, that is where the next marker but for restarts begins.
fn end_of_scan(data: &[u8]) -> Option<usize> {
    let mut rest = data;
    loop {
        let (marker, after) = next_marker(rest)?;
        if !is_standalone(marker) {
            return Some(data.len() - after.len() - 2);
        }
        rest = after;
    }
}

fn move_block(reader: &mut BitReader, member: &mut Member, coding: Coding) -> Option<()> {
    let mut unused = BitWriter::nowhere();
    let writer = member.output.as_mut().map_or(&mut unused, |(_, writer)| writer);
    if matches!(coding, Coding::DcRefinement) {
        writer.put(reader.take(1)?, 1);
        return Some(());
    }
    let size = member.dc?.move_symbol(reader, writer)?;
    move_bits(reader, writer, size)?;
    if matches!(coding, Coding::DcFirst) {
        return Some(());
    }
    let table = member.ac?;
    let mut position = 1;
    while position < 64 {
        let symbol = table.move_symbol(reader, writer)?;
        let (run, size) = (symbol >> 4, symbol & 0xf);
        match (run, size) {
            (15, 0) => position += 16,
            (_, 0) => break,
            _ => {
                move_bits(reader, writer, size)?;
                position += u32::from(run) + 1;
            }
        }
    }
    Some(())
}

/// The magnitude behind a symbol.
fn move_bits(reader: &mut BitReader, writer: &mut BitWriter, size: u8) -> Option<()> {
    if size > 16 {
        return None;
    }
    writer.put(reader.take(size.into())?, size.into());
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{OutputFormat, OutputMetadata, encode};
    use afterimage_core::Picture;

    const FIXTURES: [&[u8]; 5] = [
        include_bytes!("../../tests/fixtures/decode/420.jpg"),
        include_bytes!("../../tests/fixtures/decode/422.jpg"),
        include_bytes!("../../tests/fixtures/decode/progressive.jpg"),
        include_bytes!("../../tests/fixtures/decode/restarts.jpg"),
        include_bytes!("../../tests/fixtures/decode/ycck.jpg"),
    ];

    #[test]
    fn components_at_half_resolution_are_taken_out() {
        let sizes = |file| {
            let components = split_subsampled(file).unwrap();
            components.iter().map(|one| (one.index, one.width, one.height)).collect::<Vec<_>>()
        };
        assert_eq!(sizes(FIXTURES[0]), [(1, 23, 19), (2, 23, 19)]);
        assert_eq!(sizes(FIXTURES[1]), [(1, 23, 37), (2, 23, 37)]);
        for file in &FIXTURES[2..4] {
            assert!(!sizes(file).is_empty());
        }
    }

    #[test]
    fn nothing_is_taken_out_at_full_resolution() {
        let picture = Picture::from_rgb(9, 9, vec![7; 243]).unwrap();
        let file = encode(&picture, OutputFormat::Jpeg, &OutputMetadata::new("{}")).unwrap();
        assert!(split_subsampled(&file).is_none_or(|components| components.is_empty()));
    }

    #[test]
    fn damage_is_survived() {
        for file in FIXTURES {
            for end in 0..file.len() {
                let _ = split_subsampled(&file[..end]);
            }
            for place in 0..file.len() {
                for value in [0, 0xff, file[place] ^ 0x11] {
                    let mut damaged = file.to_vec();
                    damaged[place] = value;
                    let _ = split_subsampled(&damaged);
                }
            }
        }
    }
}
