//! What a weights file is, told from its first bytes.

/// Kinds of weights files, and of what people have in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Safetensors,
    Gguf,
    /// `torch.save` since 1.6: a zip archive with a pickle inside.
    Zip,
    Pickle,
    GitLfsPointer,
    WebPage,
}

impl FileKind {
    /// Looks at the first bytes; whatever is not recognised counts as safetensors and is left to that parser's checks.
    pub(crate) fn detect(bytes: &[u8]) -> Self {
        // A safetensors file starts with a 64-bit length and a brace. That length may look like another format's mark:
        // 0x80 0x02, the start of a pickle, is also a header of 640 bytes.
        if bytes.get(8) == Some(&b'{') {
            return Self::Safetensors;
        }
        let text = bytes.trim_ascii_start();
        let starts_with_tag = |tag: &[u8]| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        match bytes {
            [b'G', b'G', b'U', b'F', ..] => Self::Gguf,
            [b'P', b'K', 3, 4, ..] => Self::Zip,
            [0x80, 2..=5, ..] => Self::Pickle,
            _ if bytes.starts_with(b"version https://git-lfs") => Self::GitLfsPointer,
            _ if starts_with_tag(b"<!doctype") || starts_with_tag(b"<html") => Self::WebPage,
            _ => Self::Safetensors,
        }
    }

    /// Why a file of this kind is not read and what to do about it; `None` for those that are.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Safetensors | Self::Gguf => None,
            Self::Zip | Self::Pickle => Some(
                "is a PyTorch pickle, which can run code when it is opened and is never read; \
                 convert it to safetensors (save_pretrained of diffusers does)",
            ),
            Self::GitLfsPointer => Some("is a Git LFS pointer, not the file itself; run `git lfs pull` in its folder"),
            Self::WebPage => Some("is a web page, not weights; download it again, logged in if the model is gated"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FileKind;

    #[test]
    fn first_bytes_tell_the_kind() {
        assert_eq!(FileKind::detect(b"GGUF\x03\0\0\0\0\0"), FileKind::Gguf);
        assert_eq!(FileKind::detect(b"PK\x03\x04\x14\0"), FileKind::Zip);
        assert_eq!(FileKind::detect(b"\x80\x02}q\0."), FileKind::Pickle);
        assert_eq!(FileKind::detect(b"version https://git-lfs.github.com/spec/v1\n"), FileKind::GitLfsPointer);
        assert_eq!(FileKind::detect(b"\n<!DOCTYPE html>"), FileKind::WebPage);
        assert_eq!(FileKind::detect(b"\x80\x02\0\0\0\0\0\0{\"a\""), FileKind::Safetensors);
        assert_eq!(FileKind::detect(b""), FileKind::Safetensors);
    }
}
