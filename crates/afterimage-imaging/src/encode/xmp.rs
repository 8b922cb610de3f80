//! The XMP packet by which other programs recognise a generated picture.

use super::output_metadata::OutputMetadata;

/// IPTC's term for pictures made by a trained model.
const DIGITAL_SOURCE_TYPE: &str = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia";

pub(super) fn xmp_packet(metadata: &OutputMetadata) -> String {
    format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
         <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description rdf:about=\"\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" \
         xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\" \
         xmp:CreatorTool=\"{}\" Iptc4xmpExt:DigitalSourceType=\"{DIGITAL_SOURCE_TYPE}\"/>\
         </rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>",
        escape(&metadata.software)
    )
}

/// Escapes for an attribute and leaves out what XML cannot hold.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_attribute() {
        let metadata = OutputMetadata { software: "a\"<b>&\u{0}c".to_owned(), ..OutputMetadata::new("") };
        assert!(xmp_packet(&metadata).contains("xmp:CreatorTool=\"a&quot;&lt;b>&amp;c\""));
    }
}
