//! What the C interface hands over: places for results, and pointers into the host's memory.

use crate::status::{CallOutcome, Fault, StandInStatus};
use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;

/// Where a result goes: a C pointer that may be null.
pub type Out<'a, T> = Option<&'a mut MaybeUninit<T>>;

/// Hands a result over.
pub(crate) fn put<T>(out: Out<T>, value: T) -> CallOutcome {
    let place = out.ok_or_else(|| Fault::new(StandInStatus::INVALID_VALUE, "null where a result goes"))?;
    place.write(value);
    Ok(())
}

/// A pointer into the host's memory, of which the function that it is given to tells how much is read or written.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct HostPointer(*mut c_void);

impl HostPointer {
    /// Nothing.
    pub const NULL: Self = Self(std::ptr::null_mut());

    /// A pointer for a call.
    ///
    /// # Safety
    /// It is valid for what the function that it is given to does with it, until the function, or what it asks the card for,
    /// is done.
    pub const unsafe fn new<T>(pointer: *mut T) -> Self {
        Self(pointer.cast())
    }

    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// As a number, from which [`HostPointer::at`] makes it again.
    pub(crate) fn address(self) -> usize {
        self.0.expose_provenance()
    }

    pub(crate) fn at(address: usize) -> Self {
        Self(std::ptr::with_exposed_provenance_mut(address))
    }

    fn checked(self) -> Result<Self, Fault> {
        if self.is_null() { Err(Fault::invalid("null where host memory is read or written")) } else { Ok(self) }
    }

    /// Some bytes behind `offset` others.
    pub(crate) fn read(self, offset: usize, bytes: usize) -> Result<Vec<u8>, Fault> {
        let mut values = vec![0; bytes];
        let start = self.checked()?.0.cast::<u8>();
        // SAFETY: whoever made the pointer promised that as many bytes are there as the call reads; `values` is new.
        unsafe { std::ptr::copy_nonoverlapping(start.add(offset), values.as_mut_ptr(), bytes) };
        Ok(values)
    }

    /// Fills `values` from here.
    pub(crate) fn read_into(self, values: &mut [u8]) -> CallOutcome {
        let start = self.checked()?.0.cast::<u8>();
        // SAFETY: as for `read`; device memory, which `values` is, is never handed to the host.
        unsafe { std::ptr::copy_nonoverlapping(start, values.as_mut_ptr(), values.len()) };
        Ok(())
    }

    /// Writes bytes behind `offset` others.
    pub(crate) fn write(self, offset: usize, values: &[u8]) -> CallOutcome {
        let start = self.checked()?.0.cast::<u8>();
        // SAFETY: whoever made the pointer promised that there is room for as many bytes as the call writes.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), start.add(offset), values.len()) };
        Ok(())
    }

    /// The text that ends with a zero here.
    pub(crate) fn text(self) -> Result<Vec<u8>, Fault> {
        let start = self.checked()?.0;
        // SAFETY: whoever made the pointer promised a text where the call reads one.
        Ok(unsafe { CStr::from_ptr(start.cast()) }.to_bytes().to_vec())
    }

    /// Entry number `index` of an array of pointers.
    pub(crate) fn entry(self, index: usize) -> Result<Self, Fault> {
        let start = self.checked()?.0.cast::<Self>();
        // SAFETY: whoever made the pointer promised an array with as many entries as the call reads.
        Ok(unsafe { start.add(index).read_unaligned() })
    }

    /// The array of bytes here.
    pub(crate) fn array<const N: usize>(self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.read_into(&mut bytes)?;
        Ok(bytes)
    }
}
