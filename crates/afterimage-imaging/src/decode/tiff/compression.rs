//! How strips and tiles are packed, as the tags tell it.

use super::super::defect::Defect;

/// How strips and tiles are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Fax(FaxCoding),
    Lzw,
    OldJpeg,
    Jpeg,
    Deflate,
    PackBits,
}

/// How rows of fax are coded (ITU-T T.4 and T.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaxCoding {
    /// Runs alone; each row begins at a multiple of so many bits.
    Runs { alignment: u8 },
    /// Rows behind marks, in one or two dimensions.
    Group3,
    /// Differences to the row above.
    Group4,
}

impl Compression {
    pub(super) fn from_tag(value: u64) -> Result<Self, Defect> {
        let name = match value {
            1 => return Ok(Self::None),
            2 => return Ok(Self::Fax(FaxCoding::Runs { alignment: 8 })),
            3 => return Ok(Self::Fax(FaxCoding::Group3)),
            4 => return Ok(Self::Fax(FaxCoding::Group4)),
            5 => return Ok(Self::Lzw),
            6 => return Ok(Self::OldJpeg),
            7 => return Ok(Self::Jpeg),
            8 | 32946 => return Ok(Self::Deflate),
            32771 => return Ok(Self::Fax(FaxCoding::Runs { alignment: 16 })),
            32773 => return Ok(Self::PackBits),
            9 | 10 | 34661 => "JBIG",
            32766 => "NeXT",
            32809 => "ThunderScan",
            33003..=33005 | 34712 => "JPEG 2000",
            34676 | 34677 => "SGI LogLuv",
            34887 => "LERC",
            34925 => "LZMA",
            34933 | 34934 => "PNG",
            50000 | 34926 => "Zstandard",
            50001 | 34927 => "WebP",
            50002 | 52546 => "JPEG XL",
            _ => return Err(format!("packed in an unknown way (compression {value}); save it with LZW or Deflate")),
        };
        Err(format!("packed with {name}, which is not supported; save it with LZW or Deflate"))
    }

    /// Whether differences may be packed instead of samples.
    pub(super) fn has_predictor(self) -> bool {
        matches!(self, Self::Lzw | Self::Deflate)
    }
}
