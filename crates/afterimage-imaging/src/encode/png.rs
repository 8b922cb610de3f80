//! PNG through the `png` crate; `image`'s encoder writes no text.

use super::exif::exif_block;
use super::output_metadata::OutputMetadata;
use super::xmp::xmp_packet;
use crate::recorded::KEYWORD;
use afterimage_core::Picture;
use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Info};

pub(super) fn encode(picture: &Picture, metadata: Option<&OutputMetadata>) -> Result<Vec<u8>, EncodingError> {
    let mut file = Vec::with_capacity(picture.rgb().len() / 2 + 1024);
    let mut info = Info::with_size(picture.width(), picture.height());
    info.color_type = ColorType::Rgb;
    info.bit_depth = BitDepth::Eight;
    info.exif_metadata = metadata.map(|metadata| exif_block(metadata, metadata.text.as_deref()).into());
    let mut encoder = Encoder::with_info(&mut file, info)?;
    encoder.set_compression(Compression::Fast);
    for (keyword, text) in metadata.map_or(Vec::new(), texts) {
        // A zero byte ends a text early, or is refused.
        let text = text.replace('\0', "");
        if text.is_ascii() {
            encoder.add_text_chunk(keyword.to_owned(), text)?;
        } else {
            encoder.add_itxt_chunk(keyword.to_owned(), text)?;
        }
    }
    if let Some(metadata) = metadata {
        encoder.add_itxt_chunk("XML:com.adobe.xmp".to_owned(), xmp_packet(metadata))?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.rgb())?;
    writer.finish()?;
    Ok(file)
}

/// Keywords with what stands below them.
fn texts(metadata: &OutputMetadata) -> Vec<(&'static str, &str)> {
    let mut texts = vec![("Software", metadata.software.as_str()), ("Description", metadata.description.as_str())];
    texts.extend(metadata.text.as_deref().map(|text| ("parameters", text)));
    texts.extend(metadata.parameters.as_deref().map(|json| (KEYWORD, json)));
    texts
}
