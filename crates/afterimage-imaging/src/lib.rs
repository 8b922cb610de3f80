//! Decoding, resampling and encoding of pictures.
