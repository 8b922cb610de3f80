//! Tables of the functions of a library that is opened at run time.

/// Declares a table: doc, name, then for each function a field, the exported name, the signature. All of them return a status.
/// `find` takes what an open library has of them; the error is the name of one that it has not.
macro_rules! library_functions {
    (
        $(#[$doc:meta])* $visibility:vis $table:ident:
        $($field:ident = $name:literal ($($argument:ty),* $(,)?);)*
    ) => {
        $(#[$doc])*
        $visibility struct $table {
            $(pub $field: unsafe extern "C" fn($($argument),*) -> ::std::ffi::c_int,)*
            _library: ::libloading::Library,
        }

        impl $table {
            /// Finds all of them.
            fn find(library: ::libloading::Library) -> Result<Self, String> {
                $(
                    // SAFETY: the library's function of this name has this signature.
                    let $field = *unsafe { library.get::<unsafe extern "C" fn($($argument),*) -> ::std::ffi::c_int>($name) }
                        .map_err(|_| String::from_utf8_lossy($name).trim_end_matches('\0').to_owned())?;
                )*
                Ok(Self { $($field,)* _library: library })
            }
        }
    };
}

pub(crate) use library_functions;
