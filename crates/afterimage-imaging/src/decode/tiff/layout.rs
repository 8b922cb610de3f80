//! What the tags of a TIFF page say about its samples and where they are.

use super::super::defect::Defect;
use super::super::directory::{ByteOrder, Directory};
use super::super::limits::check_size;
use super::compression::Compression;
use super::sample_format::SampleFormat;
use afterimage_core::PictureLimits;

/// Numbers of the tags.
pub(super) mod tag {
    pub(in super::super) const WIDTH: u16 = 256;
    pub(in super::super) const HEIGHT: u16 = 257;
    pub(in super::super) const BITS: u16 = 258;
    pub(in super::super) const COMPRESSION: u16 = 259;
    pub(in super::super) const PHOTOMETRIC: u16 = 262;
    pub(in super::super) const FILL_ORDER: u16 = 266;
    pub(in super::super) const STRIP_OFFSETS: u16 = 273;
    pub(in super::super) const SAMPLES: u16 = 277;
    pub(in super::super) const STRIP_ROWS: u16 = 278;
    pub(in super::super) const STRIP_BYTES: u16 = 279;
    pub(in super::super) const PLANAR: u16 = 284;
    pub(in super::super) const FAX_OPTIONS: u16 = 292;
    pub(in super::super) const PREDICTOR: u16 = 317;
    pub(in super::super) const TILE_WIDTH: u16 = 322;
    pub(in super::super) const TILE_HEIGHT: u16 = 323;
    pub(in super::super) const TILE_OFFSETS: u16 = 324;
    pub(in super::super) const TILE_BYTES: u16 = 325;
    pub(in super::super) const INK_SET: u16 = 332;
    pub(in super::super) const EXTRA_SAMPLES: u16 = 338;
    pub(in super::super) const SAMPLE_FORMAT: u16 = 339;
    pub(in super::super) const SUBSAMPLING: u16 = 530;
    pub(in super::super) const COLOR_MAP: u16 = 320;
    pub(in super::super) const JPEG_TABLES: u16 = 347;
    pub(in super::super) const COEFFICIENTS: u16 = 529;
    pub(in super::super) const REFERENCE: u16 = 532;

    const ORIENTATION: u16 = 274;
    const XMP: u16 = 700;
    const PROFILE: u16 = 34675;

    /// All that decide what the picture looks like.
    pub(in super::super) const ALL: [u16; 28] = [
        ORIENTATION,
        XMP,
        PROFILE,
        WIDTH,
        HEIGHT,
        BITS,
        COMPRESSION,
        PHOTOMETRIC,
        FILL_ORDER,
        STRIP_OFFSETS,
        SAMPLES,
        STRIP_ROWS,
        STRIP_BYTES,
        PLANAR,
        FAX_OPTIONS,
        PREDICTOR,
        TILE_WIDTH,
        TILE_HEIGHT,
        TILE_OFFSETS,
        TILE_BYTES,
        INK_SET,
        EXTRA_SAMPLES,
        SAMPLE_FORMAT,
        SUBSAMPLING,
        COLOR_MAP,
        JPEG_TABLES,
        COEFFICIENTS,
        REFERENCE,
    ];
}

/// Samples of a pixel that are looked at; what Pillow reads ends at six.
const MOST_SAMPLES: u64 = 16;

/// Strips or tiles of all planes.
const MOST_PIECES: u64 = 1 << 19;

/// How a pixel's samples make its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
    CieLab,
}

/// What a fourth (second, fifth) sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpha {
    None,
    /// Colours are multiplied by it.
    Associated,
    Unassociated,
}

/// A validated page.
pub(super) struct PageLayout<'a> {
    pub(super) directory: Directory<'a>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) compression: Compression,
    pub(super) photometric: Photometric,
    pub(super) alpha: Alpha,
    pub(super) sample_format: SampleFormat,
    /// Of each sample.
    pub(super) bits: usize,
    /// Of each pixel, superfluous ones included.
    pub(super) samples: usize,
    /// Each sample has strips or tiles of its own.
    pub(super) planar: bool,
    /// The lowest bit of a byte comes first.
    pub(super) reversed_bits: bool,
    /// 1 for none, 2 for differences, 3 for differences of floating-point numbers.
    pub(super) predictor: u64,
    pub(super) fax_options: u64,
    /// Pixels that share a value of colour, across and down.
    pub(super) subsampling: (usize, usize),
    /// Width of a tile, or of the picture.
    pub(super) piece_width: u32,
    /// Rows of a tile or strip; the last strip may have fewer.
    pub(super) piece_height: u32,
    tiled: bool,
    /// Of all planes, one after the other.
    data: Vec<&'a [u8]>,
}

/// A strip or tile.
pub(super) struct Piece<'a> {
    /// Sample that it holds, 0 when it holds all.
    pub(super) plane: usize,
    pub(super) x: u32,
    pub(super) y: u32,
    /// Rows that are stored.
    pub(super) rows: u32,
    /// As stored, from its place to its end, or to the file's where no length is told.
    pub(super) data: &'a [u8],
}

pub(super) fn first_directory(bytes: &[u8]) -> Result<Directory<'_>, Defect> {
    Directory::first(bytes).ok_or_else(|| "truncated".to_owned())
}

pub(super) fn size(directory: &Directory) -> Result<(u32, u32), Defect> {
    let side = |tag| directory.integer(tag).ok_or_else(|| "truncated or without a size".to_owned());
    let whole = |side: u64| u32::try_from(side).map_err(|_| format!("{side} pixels a side are too large"));
    Ok((whole(side(tag::WIDTH)?)?, whole(side(tag::HEIGHT)?)?))
}

impl<'a> PageLayout<'a> {
    pub(super) fn read(bytes: &'a [u8], limits: &PictureLimits) -> Result<Self, Defect> {
        let directory = first_directory(bytes)?;
        if !directory.holds(&tag::ALL) {
            return Err("truncated".to_owned());
        }
        let (width, height) = size(&directory)?;
        check_size(width, height, limits)?;
        let number = |tag, default| directory.integer(tag).unwrap_or(default);
        let compression = Compression::from_tag(number(tag::COMPRESSION, 1))?;
        let old_jpeg = matches!(compression, Compression::OldJpeg);
        let photometric = photometric(&directory, old_jpeg)?;
        let samples = number(tag::SAMPLES, if old_jpeg { 3 } else { 1 });
        if samples == 0 || samples > MOST_SAMPLES {
            return Err(format!("{samples} samples a pixel; 1 to {MOST_SAMPLES} are accepted"));
        }
        let samples = samples as usize;
        // Grey pictures that call themselves YCbCr exist, and Pillow reads them.
        let photometric =
            if photometric == Photometric::YCbCr && samples == 1 { Photometric::BlackIsZero } else { photometric };
        let bits = same_for_all(&directory, tag::BITS, 1, samples)
            .map_err(|all| format!("samples of different sizes ({all} bits); all must have the same"))?;
        let format = same_for_all(&directory, tag::SAMPLE_FORMAT, 1, samples)
            .map_err(|all| format!("samples of different kinds ({all}); all must be of the same"))?;
        let sample_format = SampleFormat::new(format, bits)?;
        let alpha = alpha(&directory, photometric, samples)?;
        if photometric == Photometric::Cmyk && number(tag::INK_SET, 1) != 1 {
            return Err("printed with other inks than cyan, magenta, yellow and black; save it as RGB".to_owned());
        }
        let tiled = directory.has(tag::TILE_OFFSETS) || directory.has(tag::TILE_WIDTH);
        let side = |tag| number(tag, 0).clamp(0, u64::from(u32::MAX)) as u32;
        let (piece_width, piece_height) = if tiled {
            (side(tag::TILE_WIDTH), side(tag::TILE_HEIGHT))
        } else {
            (width, number(tag::STRIP_ROWS, u64::from(height)).min(u64::from(height)) as u32)
        };
        let planar = number(tag::PLANAR, 1) == 2 && samples > 1;
        let mut layout = Self {
            width,
            height,
            compression,
            photometric,
            alpha,
            sample_format,
            bits: bits as usize,
            samples,
            planar,
            reversed_bits: number(tag::FILL_ORDER, 1) == 2,
            predictor: if compression.has_predictor() { number(tag::PREDICTOR, 1) } else { 1 },
            fax_options: number(tag::FAX_OPTIONS, 0),
            subsampling: subsampling(&directory)?,
            piece_width,
            piece_height,
            tiled,
            data: Vec::new(),
            directory,
        };
        if !old_jpeg {
            layout.find_pieces(bytes)?;
        }
        Ok(layout)
    }

    /// Looks up where the strips or tiles are.
    fn find_pieces(&mut self, file: &'a [u8]) -> Result<(), Defect> {
        const ROOM: u64 = 1 << 26;
        if self.piece_width == 0 || self.piece_height == 0 {
            return Err("damaged (strips or tiles without rows)".to_owned());
        }
        let area = |width: u32, height: u32| u64::from(width) * u64::from(height);
        let (across, down) = self.pieces_across_and_down();
        let planes = if self.planar { self.samples as u64 } else { 1 };
        let count = across * down * planes;
        // Tiles reach over the edges; by much more than their own size only in an attack.
        let unfolded = (across * down).saturating_mul(area(self.piece_width, self.piece_height));
        if count > MOST_PIECES || unfolded > 4 * area(self.width, self.height) + ROOM {
            return Err(format!(
                "{count} strips or tiles of {}x{} pixels are too much for its size",
                self.piece_width, self.piece_height
            ));
        }
        let (offsets, lengths) = if self.tiled && self.directory.has(tag::TILE_OFFSETS) {
            (tag::TILE_OFFSETS, tag::TILE_BYTES)
        } else {
            (tag::STRIP_OFFSETS, tag::STRIP_BYTES)
        };
        let offsets = self.directory.integers(offsets, count as usize).unwrap_or_default();
        if (offsets.len() as u64) < count {
            return Err("truncated or damaged (some strips or tiles have no place)".to_owned());
        }
        // Uncompressed data need no lengths, and some programs write wrong ones.
        let lengths = match self.compression {
            Compression::None => Vec::new(),
            _ => self.directory.integers(lengths, count as usize).unwrap_or_default(),
        };
        let mut total = 0_u64;
        for (index, offset) in offsets.iter().enumerate() {
            let behind = usize::try_from(*offset).ok().and_then(|offset| file.get(offset..)).ok_or("truncated")?;
            let data = match lengths.get(index).copied() {
                None | Some(0) => behind,
                Some(length) => {
                    usize::try_from(length).ok().and_then(|length| behind.get(..length)).ok_or("truncated")?
                }
            };
            self.data.push(data);
            total += data.len() as u64;
        }
        // Each piece may cost as much as it is long: strips on top of each other would multiply the file.
        if self.compression != Compression::None && !lengths.is_empty() && total > 2 * file.len() as u64 {
            return Err("damaged (its strips or tiles lie on top of each other)".to_owned());
        }
        if self.compression != Compression::None && lengths.is_empty() && count > 16 {
            return Err("damaged (its strips or tiles have no length)".to_owned());
        }
        Ok(())
    }

    fn pieces_across_and_down(&self) -> (u64, u64) {
        (self.width.div_ceil(self.piece_width).into(), self.height.div_ceil(self.piece_height).into())
    }

    /// All strips or tiles.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'a>> {
        let (across, down) = self.pieces_across_and_down();
        let (across, in_plane) = (across as usize, (across * down) as usize);
        self.data.iter().enumerate().map(move |(index, data)| {
            let (plane, index) = (index / in_plane, index % in_plane);
            let y = (index / across) as u32 * self.piece_height;
            Piece {
                plane,
                x: (index % across) as u32 * self.piece_width,
                y,
                rows: if self.tiled { self.piece_height } else { self.piece_height.min(self.height - y) },
                data,
            }
        })
    }

    pub(super) fn order(&self) -> ByteOrder {
        self.directory.order()
    }

    /// Samples of a pixel that lie side by side.
    pub(super) fn samples_in_piece(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// Bytes of an unpacked row of a piece; rows begin at whole bytes.
    pub(super) fn row_bytes(&self) -> usize {
        (self.piece_width as usize * self.samples_in_piece() * self.bits).div_ceil(8)
    }

    /// Bytes of the largest unpacked piece.
    pub(super) fn most_piece_bytes(&self) -> u64 {
        (self.row_bytes() as u64).saturating_mul(self.piece_height.into())
    }

    /// Samples that are colours.
    pub(super) fn color_channels(&self) -> usize {
        match self.photometric {
            Photometric::WhiteIsZero | Photometric::BlackIsZero | Photometric::Palette => 1,
            Photometric::Rgb | Photometric::YCbCr | Photometric::CieLab => 3,
            Photometric::Cmyk => 4,
        }
    }

    /// Samples of a pixel that are kept: colours and opacity.
    pub(super) fn kept_channels(&self) -> usize {
        self.color_channels() + usize::from(self.alpha != Alpha::None)
    }
}

fn photometric(directory: &Directory, old_jpeg: bool) -> Result<Photometric, Defect> {
    // Required, but forgotten by writers of black-and-white pages; Pillow fills in the same.
    Ok(match directory.integer(tag::PHOTOMETRIC).unwrap_or(0) {
        _ if old_jpeg => Photometric::YCbCr,
        0 => Photometric::WhiteIsZero,
        1 => Photometric::BlackIsZero,
        2 => Photometric::Rgb,
        3 => Photometric::Palette,
        4 => return Err("only a mask of another picture; save the picture itself".to_owned()),
        5 => Photometric::Cmyk,
        6 => Photometric::YCbCr,
        8 => Photometric::CieLab,
        9 | 10 => return Err("in Lab colours of a rare kind; save it as RGB".to_owned()),
        32844 | 32845 => return Err("a high dynamic range picture (LogLuv); save it as 8-bit or 16-bit RGB".to_owned()),
        other => {
            return Err(format!("in colours of an unknown kind (photometric interpretation {other}); save it as RGB"));
        }
    })
}

/// The number that a tag holds for each sample; `Err` lists them when they differ. One for all is common.
fn same_for_all(directory: &Directory, tag: u16, default: u64, samples: usize) -> Result<u64, String> {
    let all = directory.integers(tag, samples).unwrap_or_default();
    let first = all.first().copied().unwrap_or(default);
    if all.iter().all(|number| *number == first) {
        return Ok(first);
    }
    Err(all.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
}

/// What the samples beside the colours are. The first one counts; without a word about it, a single one is opacity. More
/// than that without a word are no colours of this kind: a file whose kind is wrong or missing would be a wrong picture.
fn alpha(directory: &Directory, photometric: Photometric, samples: usize) -> Result<Alpha, Defect> {
    let colors = match photometric {
        Photometric::WhiteIsZero | Photometric::BlackIsZero | Photometric::Palette => 1,
        Photometric::Rgb | Photometric::CieLab => 3,
        Photometric::YCbCr if samples == 3 => 3,
        Photometric::YCbCr => return Err(too_few(samples, 3)),
        Photometric::Cmyk => 4,
    };
    if samples < colors {
        return Err(too_few(samples, colors));
    }
    if samples == colors {
        return Ok(Alpha::None);
    }
    if samples > colors + 1 && !directory.has(tag::EXTRA_SAMPLES) {
        return Err(format!(
            "damaged ({samples} samples a pixel, where its colours need {colors}, and no word about the others)"
        ));
    }
    Ok(match directory.integer(tag::EXTRA_SAMPLES) {
        Some(0) => Alpha::None,
        Some(1) => Alpha::Associated,
        // Corel Draw 10 writes 999.
        _ => Alpha::Unassociated,
    })
}

fn too_few(samples: usize, colors: usize) -> Defect {
    format!("damaged ({samples} samples a pixel, where its colours need {colors})")
}

/// Factors of 1, 2 or 4; without the tag two each way.
fn subsampling(directory: &Directory) -> Result<(usize, usize), Defect> {
    let factors = directory.integers(tag::SUBSAMPLING, 2).unwrap_or_default();
    let [across, down] = factors[..] else { return Ok((2, 2)) };
    if ![across, down].iter().all(|factor| matches!(factor, 1 | 2 | 4)) {
        return Err(format!("damaged (colour subsampled by {across}x{down})"));
    }
    Ok((across as usize, down as usize))
}
