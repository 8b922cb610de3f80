//! PNG through the `png` crate; `image`'s encoder writes no text.

use super::OutputMetadata;
use super::exif::exif_block;
use super::xmp::xmp_packet;
use afterimage_core::Picture;
use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Info};

pub(super) fn encode(picture: &Picture, metadata: &OutputMetadata) -> Result<Vec<u8>, EncodingError> {
    let mut file = Vec::with_capacity(picture.rgb().len() / 2 + 1024);
    let mut info = Info::with_size(picture.width(), picture.height());
    info.color_type = ColorType::Rgb;
    info.bit_depth = BitDepth::Eight;
    info.exif_metadata = Some(exif_block(metadata, Some(&metadata.parameters)).into());
    let mut encoder = Encoder::with_info(&mut file, info)?;
    encoder.set_compression(Compression::Fast);
    for (keyword, text) in
        [("Software", &metadata.software), ("Description", &metadata.description), ("parameters", &metadata.parameters)]
    {
        // A zero byte ends a text early, or is refused.
        let text = text.replace('\0', "");
        if text.is_ascii() {
            encoder.add_text_chunk(keyword.to_owned(), text)?;
        } else {
            encoder.add_itxt_chunk(keyword.to_owned(), text)?;
        }
    }
    encoder.add_itxt_chunk("XML:com.adobe.xmp".to_owned(), xmp_packet(metadata))?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.rgb())?;
    writer.finish()?;
    Ok(file)
}
