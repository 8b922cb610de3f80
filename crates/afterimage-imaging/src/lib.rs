//! Decoding, resampling and encoding of pictures, masks over them, and sheets of many.
//!
//! Input files come from strangers: every size is checked against [`PictureLimits`] from the header, before memory for
//! pixels is taken, and anything damaged is refused with an [`Error::Picture`] that says what is wrong. Resampling is
//! bit-exact with Pillow's, since the models were trained and are compared on pictures that Pillow resized.
//!
//! ```no_run
//! use afterimage_imaging::{Filter, OutputFormat, OutputMetadata, PictureLimits, Size, encode, read_file, resize};
//! # fn main() -> afterimage_imaging::Result<()> {
//! let picture = read_file("photo.jpg".as_ref(), &PictureLimits::default())?.picture;
//! let small = resize(&picture, Size::new(384, 384), Filter::Bicubic)?;
//! let file = encode(&small, OutputFormat::Png, &OutputMetadata::new("{}"))?;
//! # Ok(())
//! # }
//! ```

mod decode;
mod encode;
mod format;
mod mask;
mod recorded;
mod resize;
mod sheet;
mod source;

pub use afterimage_core::{Error, Field, FileReading, OutputFormat, Picture, PictureLimits, Result, Size};
pub use decode::{PictureHeader, SourcePicture, decode, decode_as, decode_source, read_header};
pub use encode::{OutputMetadata, encode};
pub use format::PictureFormat;
pub use mask::{MaskRegion, blend, fill_resize, gaussian_blur, luma, paste};
pub use recorded::read_parameters;
pub use resize::{Filter, resize, resize_part};
pub use sheet::{CaptionedPicture, contact_sheet, picture_table, thumbnail};
pub use source::{read_file, read_file_as, read_stream};
