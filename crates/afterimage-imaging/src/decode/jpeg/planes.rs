//! From the segments of a file to the planes of its components.

use super::super::defect::Defect;
use super::super::limits::working_memory;
use super::arithmetic::{ArithmeticConditioning, ArithmeticDecoder};
use super::block::{Quantizers, ZIGZAG};
use super::coefficients::Coefficients;
use super::frame::JpegFrame;
use super::huffman::{HuffmanDecoder, HuffmanTables};
use super::markers::{is_standalone, next_marker};
use super::reconstruction::samples;
use super::scan::Scan;
use super::scan_decoding::{BlockDecoder, decode_scan};
use super::smoothing::Smoother;
use super::upsampling::Plane;
use afterimage_core::PictureLimits;
use rayon::prelude::*;

/// Reads the components as they are stored.
///
/// Nothing that is missing or damaged is made up: the end of the image, each component's data and each block in it have
/// to be there.
pub(super) fn read_planes(bytes: &[u8], limits: &PictureLimits) -> Result<ComponentPlanes, Defect> {
    let mut decoder = PlanesDecoder::default();
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        let (marker, after) = next_marker(rest).ok_or("truncated")?;
        rest = after;
        if marker == 0xd9 {
            break;
        }
        if is_standalone(marker) {
            continue;
        }
        let length = rest.first_chunk().map_or(0, |bytes| usize::from(u16::from_be_bytes(*bytes)));
        let segment = rest.get(2..length).ok_or("truncated")?;
        rest = &rest[length..];
        match marker {
            0xda => rest = decoder.scan(segment, rest)?,
            _ => decoder.segment(marker, segment, limits)?,
        }
    }
    decoder.picture.ok_or("damaged (no start of frame)")?.planes()
}

/// What the segments said so far.
#[derive(Default)]
struct PlanesDecoder {
    huffman: HuffmanTables,
    conditioning: ArithmeticConditioning,
    quantizers: [Option<Quantizers>; 4],
    /// Units between restart markers, 0 for none.
    restart_interval: u32,
    picture: Option<Coded>,
}

impl PlanesDecoder {
    /// Any segment but a scan.
    fn segment(&mut self, marker: u8, segment: &[u8], limits: &PictureLimits) -> Result<(), Defect> {
        match marker {
            0xc4 => self.huffman.read(segment)?,
            0xcc => self.conditioning.read(segment)?,
            0xdb => self.read_quantizers(segment)?,
            0xdd => {
                let interval = segment.first_chunk().ok_or("damaged (restart interval)")?;
                self.restart_interval = u32::from(u16::from_be_bytes(*interval));
            }
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xf7 => {
                if self.picture.is_some() {
                    return Err("damaged (two frames)".to_owned());
                }
                self.picture = Some(Coded::new(JpegFrame::read(marker, segment)?, limits)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn read_quantizers(&mut self, mut segment: &[u8]) -> Result<(), Defect> {
        const DAMAGED: &str = "damaged (quantization table)";
        while let Some((&place, after)) = segment.split_first() {
            let bytes = if place >> 4 == 0 { 1 } else { 2 };
            let (values, after) = after.split_at_checked(64 * bytes).ok_or(DAMAGED)?;
            let mut table = [0; 64];
            for (&place, value) in ZIGZAG.iter().zip(values.chunks_exact(bytes)) {
                table[usize::from(place)] = value.iter().fold(0, |value, &byte| value << 8 | u16::from(byte));
            }
            *self.quantizers.get_mut(usize::from(place & 0xf)).ok_or(DAMAGED)? = Some(table);
            segment = after;
        }
        Ok(())
    }

    /// Decodes the scan whose data follows. Returns what comes behind it.
    fn scan<'a>(&mut self, segment: &[u8], data: &'a [u8]) -> Result<&'a [u8], Defect> {
        let picture = self.picture.as_mut().ok_or("damaged (scan before the start of frame)")?;
        let frame = &picture.frame;
        let scan = Scan::read(segment, frame)?;
        for member in &scan.members {
            let coefficients = &mut picture.coefficients[member.component];
            if !frame.progressive && coefficients.quantizers.is_some() {
                return Err("damaged (two scans of a component)".to_owned());
            }
            coefficients.accuracy.add(scan.pass);
            if coefficients.quantizers.is_none() {
                let table = self.quantizers.get(frame.components[member.component].quantizers);
                coefficients.quantizers = table.copied().flatten();
            }
        }
        if frame.arithmetic {
            let decoder = ArithmeticDecoder::new(&scan, self.conditioning, data)?;
            picture.decode(&scan, self.restart_interval, decoder)
        } else {
            if !frame.progressive {
                self.huffman.add_standard_tables();
            }
            let decoder = HuffmanDecoder::new(&scan, &self.huffman, data)?;
            picture.decode(&scan, self.restart_interval, decoder)
        }
    }
}

/// A picture as its scans have told it so far.
struct Coded {
    frame: JpegFrame,
    /// Of each component.
    coefficients: Vec<Coefficients>,
}

impl Coded {
    fn new(frame: JpegFrame, limits: &PictureLimits) -> Result<Self, Defect> {
        // Coefficients take two bytes, samples one.
        let bytes: u64 = frame.components.iter().map(|component| Coefficients::bytes(&frame, component)).sum();
        if bytes + bytes / 2 > working_memory(limits) {
            return Err("needs too much memory to decode".to_owned());
        }
        let coefficients = frame.components.iter().map(|component| Coefficients::new(&frame, component)).collect();
        Ok(Self { frame, coefficients })
    }

    fn decode<'a>(
        &mut self,
        scan: &Scan,
        restart_interval: u32,
        mut decoder: impl BlockDecoder<'a>,
    ) -> Result<&'a [u8], Defect> {
        decode_scan(scan, &self.frame, restart_interval, &mut self.coefficients, &mut decoder)
            .map_err(|damage| damage.to_string())?;
        Ok(decoder.rest())
    }

    /// The samples of all components. Frees coefficients on the way.
    fn planes(self) -> Result<ComponentPlanes, Defect> {
        let mut quantizers = Vec::new();
        for coefficients in &self.coefficients {
            let table = coefficients.quantizers.filter(|_| coefficients.accuracy.has_means());
            quantizers.push(table.ok_or("damaged or truncated (no data or no quantization table for a component)")?);
        }
        let accuracies = self.coefficients.iter().map(|coefficients| coefficients.accuracy);
        let known: Vec<_> = accuracies.zip(&quantizers).collect();
        let smoothers = Smoother::of_frame(&self.frame, &known);
        let mut planes = Vec::new();
        for (index, coefficients) in self.coefficients.into_iter().enumerate() {
            let smoother = smoothers.as_ref().and_then(|smoothers| smoothers.get(index));
            let samples = samples(&coefficients, &quantizers[index], smoother);
            planes.push(Plane::new(&self.frame, &self.frame.components[index], samples));
        }
        Ok(ComponentPlanes { width: self.frame.width as usize, height: self.frame.height as usize, components: planes })
    }
}

/// The components of a picture of `width` x `height` pixels.
pub(super) struct ComponentPlanes {
    width: usize,
    height: usize,
    components: Vec<Plane>,
}

impl ComponentPlanes {
    /// The components enlarged to the size of the picture and interleaved, in rows from the top.
    pub(super) fn interleaved(&self) -> Vec<u8> {
        self.in_rows(self.components.len(), |rows, pixels| {
            for (index, row) in rows.iter().enumerate() {
                for (pixel, &sample) in pixels.chunks_exact_mut(rows.len()).zip(*row) {
                    pixel[index] = sample;
                }
            }
        })
    }

    /// Pixels made of three components each, in rows from the top.
    pub(super) fn to_rgb(&self, convert: impl Fn([u8; 3]) -> [u8; 3] + Sync) -> Vec<u8> {
        self.in_rows(3, |rows, pixels| {
            let [first, second, third] = *rows else { return };
            let components = first.iter().zip(second).zip(third);
            for (pixel, ((&first, &second), &third)) in pixels.as_chunks_mut().0.iter_mut().zip(components) {
                *pixel = convert([first, second, third]);
            }
        })
    }

    /// Makes rows of `bytes` a pixel, each from the same row of all components.
    fn in_rows(&self, bytes: usize, make_row: impl Fn(&[&[u8]], &mut [u8]) + Sync) -> Vec<u8> {
        let mut pixels = vec![0; self.width * self.height * bytes];
        let buffers = || self.components.iter().map(|plane| vec![0; plane.enlarged_width()]).collect::<Vec<_>>();
        pixels.par_chunks_exact_mut(self.width * bytes).enumerate().for_each_init(buffers, |buffers, (y, pixels)| {
            let rows = self.components.iter().zip(buffers).map(|(plane, buffer)| plane.enlarged_row(y, buffer));
            make_row(&rows.collect::<Vec<_>>(), pixels);
        });
        pixels
    }
}
