//! The bytes of the embedded demo model.
