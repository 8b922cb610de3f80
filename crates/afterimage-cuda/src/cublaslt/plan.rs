//! How the library is asked for one product: descriptors, and the algorithm that it chose.

use super::functions::{Algorithm, ChosenAlgorithm, CublasLtFunctions, status_name};
use super::product::{ALIGNMENT, LibraryAddresses, LibraryFinish, LibraryOperands, LibraryProduct};
use crate::buffer::NumberType;
use crate::driver::{Address, Handle};
use std::ffi::c_int;
use std::ptr::null_mut;

/// `CUDA_R_32F`, `CUDA_R_16BF`, `CUDA_R_8F_E4M3`
const F32: c_int = 0;
const BF16: c_int = 14;
const E4M3: c_int = 28;
/// `CUBLAS_COMPUTE_32F`
const SUMS_OF_F32: c_int = 68;
/// `CUBLAS_OP_T`
const TRANSPOSED: c_int = 1;
/// `CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F`: a scale for each row of a side.
const SCALE_A_ROW: c_int = 3;

/// `CUBLASLT_MATMUL_DESC_…`
const TRANSPOSE_WEIGHT: c_int = 3;
const EPILOGUE: c_int = 7;
const BIAS_POINTER: c_int = 8;
const WEIGHT_SCALE_POINTER: c_int = 17;
const X_SCALE_POINTER: c_int = 18;
const FAST_SUMS: c_int = 25;
const BIAS_TYPE: c_int = 26;
const WEIGHT_SCALE_MODE: c_int = 31;
const X_SCALE_MODE: c_int = 32;

/// `CUBLASLT_EPILOGUE_…`: flags that add up, but for the first.
const NOTHING: c_int = 1;
const BIAS: c_int = 4;
const GELU: c_int = 32;

/// `CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES`, `…_MIN_ALIGNMENT_A_BYTES` and those of B, C, D.
const WORKSPACE: c_int = 1;
/// `…_REDUCTION_SCHEME_MASK`, and `CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE`: parts of a sum are added in f32, never in bf16.
const REDUCTION: c_int = 3;
const IN_F32: u32 = 2;
const ALIGNMENTS: [c_int; 4] = [5, 6, 7, 8];

/// `CUBLAS_STATUS_ALLOC_FAILED`, `…_NOT_SUPPORTED`
const ALLOC_FAILED: c_int = 3;
const NOT_SUPPORTED: c_int = 15;

/// One product as the library knows it.
pub(super) struct ProductPlan {
    functions: &'static CublasLtFunctions,
    product: Handle,
    weight: Handle,
    x: Handle,
    out: Handle,
    algorithm: Algorithm,
    workspace: usize,
    adds: bool,
}

// SAFETY: descriptors are plain memory of the library, which any thread may use, one at a time.
unsafe impl Send for ProductPlan {}

/// What the library did not do, with the function that said so.
#[derive(Clone, Copy, Debug)]
pub(super) struct LibraryFailure {
    function: &'static str,
    status: c_int,
}

impl LibraryFailure {
    /// Success, or what `function` answered.
    pub fn check(function: &'static str, status: c_int) -> Result<(), Self> {
        if status == 0 { Ok(()) } else { Err(Self { function, status }) }
    }
}

impl LibraryFailure {
    /// Whether the library has nothing for what was asked.
    pub fn is_not_supported(&self) -> bool {
        self.status == NOT_SUPPORTED
    }

    /// Whether there was no room for what it needs.
    pub fn is_want_of_memory(&self) -> bool {
        self.status == ALLOC_FAILED
    }
}

impl std::fmt::Display for LibraryFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {} ({})", self.function, status_name(self.status), self.status)
    }
}

fn number(number: NumberType) -> c_int {
    match number {
        NumberType::F32 => F32,
        NumberType::Bf16 => BF16,
    }
}

impl ProductPlan {
    /// Asks the library for the best algorithm that works in `workspace` bytes.
    ///
    /// The library thinks in columns: a matrix of rows is its own transpose to it. So `out = x · weightᵀ` of rows is, in columns,
    /// `outᵀ = weight · xᵀ`, with the weight transposed and everything else as it lies.
    pub fn new(
        functions: &'static CublasLtFunctions,
        handle: Handle,
        wanted: &LibraryProduct,
        addresses: &LibraryAddresses,
        workspace: usize,
    ) -> Result<Self, LibraryFailure> {
        let mut plan = Self {
            functions,
            product: null_mut(),
            weight: null_mut(),
            x: null_mut(),
            out: null_mut(),
            algorithm: Algorithm::default(),
            workspace: 0,
            adds: wanted.finish == LibraryFinish::Add,
        };
        // SAFETY: writes one handle, which `drop` gives back.
        let status = unsafe { (functions.create_product)(&raw mut plan.product, SUMS_OF_F32, F32) };
        LibraryFailure::check("cublasLtMatmulDescCreate", status)?;
        let operand = match wanted.operands {
            LibraryOperands::Bf16 => BF16,
            LibraryOperands::F8 => E4M3,
        };
        let layout = |handle: &mut Handle, kind, rows: usize, cols: usize, stride: usize| {
            // SAFETY: writes one handle, which `drop` gives back.
            let status = unsafe { (functions.create_layout)(handle, kind, rows as u64, cols as u64, stride as i64) };
            LibraryFailure::check("cublasLtMatrixLayoutCreate", status)
        };
        layout(&mut plan.weight, operand, wanted.inputs, wanted.outputs, wanted.inputs)?;
        layout(&mut plan.x, operand, wanted.inputs, wanted.rows, wanted.x_stride)?;
        layout(&mut plan.out, number(wanted.out), wanted.outputs, wanted.rows, wanted.out_stride)?;
        plan.describe(wanted)?;
        plan.point(addresses)?;
        plan.choose(handle, workspace)?;
        Ok(plan)
    }

    fn set<T>(&self, attribute: c_int, value: &T) -> Result<(), LibraryFailure> {
        let from = std::ptr::from_ref(value).cast();
        // SAFETY: the descriptor lives; the library reads as many bytes as it is told and refuses a wrong number of them.
        let status = unsafe { (self.functions.set_product)(self.product, attribute, from, size_of::<T>()) };
        LibraryFailure::check("cublasLtMatmulDescSetAttribute", status)
    }

    fn describe(&self, wanted: &LibraryProduct) -> Result<(), LibraryFailure> {
        self.set(TRANSPOSE_WEIGHT, &TRANSPOSED)?;
        let bias = if wanted.has_bias { BIAS } else { 0 };
        let gelu = if wanted.finish == LibraryFinish::GeluTanh { GELU } else { 0 };
        self.set(EPILOGUE, &if bias + gelu == 0 { NOTHING } else { bias + gelu })?;
        if wanted.has_bias {
            self.set(BIAS_TYPE, &number(wanted.bias_number()))?;
        }
        if wanted.operands == LibraryOperands::F8 {
            self.set(WEIGHT_SCALE_MODE, &SCALE_A_ROW)?;
            self.set(X_SCALE_MODE, &SCALE_A_ROW)?;
            // As our own kernel's: the card's sums of such products.
            self.set(FAST_SUMS, &1_i8)?;
        }
        Ok(())
    }

    /// Says where the vectors are.
    fn point(&self, addresses: &LibraryAddresses) -> Result<(), LibraryFailure> {
        let vectors = [
            (BIAS_POINTER, addresses.bias),
            (WEIGHT_SCALE_POINTER, addresses.weight_scales),
            (X_SCALE_POINTER, addresses.x_scales),
        ];
        vectors
            .iter()
            .filter(|(_, address)| *address != 0)
            .try_for_each(|(pointer, address)| self.set(*pointer, address))
    }

    fn choose(&mut self, handle: Handle, workspace: usize) -> Result<(), LibraryFailure> {
        let functions = self.functions;
        let mut preference = null_mut();
        // SAFETY: writes one handle, given back below.
        let status = unsafe { (functions.create_preference)(&raw mut preference) };
        LibraryFailure::check("cublasLtMatmulPreferenceCreate", status)?;
        let prefer = |attribute, from: *const std::ffi::c_void, bytes| {
            // SAFETY: the preference lives, and `from` has so many bytes.
            let status = unsafe { (functions.set_preference)(preference, attribute, from, bytes) };
            LibraryFailure::check("cublasLtMatmulPreferenceSetAttribute", status)
        };
        let (bytes, alignment, reduction) = (workspace as u64, ALIGNMENT as u32, IN_F32);
        let mut outcome = prefer(WORKSPACE, (&raw const bytes).cast(), size_of::<u64>());
        outcome = outcome.and_then(|()| prefer(REDUCTION, (&raw const reduction).cast(), size_of::<u32>()));
        for attribute in ALIGNMENTS {
            outcome = outcome.and_then(|()| prefer(attribute, (&raw const alignment).cast(), size_of::<u32>()));
        }
        let (mut chosen, mut count) = (ChosenAlgorithm::default(), 0);
        let outcome = outcome.and_then(|()| {
            // SAFETY: everything lives; writes one algorithm and how many.
            let status = unsafe {
                (functions.choose)(
                    handle,
                    self.product,
                    self.weight,
                    self.x,
                    self.out,
                    self.out,
                    preference,
                    1,
                    &raw mut chosen,
                    &raw mut count,
                )
            };
            LibraryFailure::check("cublasLtMatmulAlgoGetHeuristic", status)
        });
        // SAFETY: made above, used no more.
        unsafe { (functions.destroy_preference)(preference) };
        outcome?;
        let status = if count < 1 || chosen.workspace > workspace { NOT_SUPPORTED } else { chosen.status };
        LibraryFailure::check("cublasLtMatmulAlgoGetHeuristic", status)?;
        (self.algorithm, self.workspace) = (chosen.algorithm, chosen.workspace);
        Ok(())
    }

    /// Asks for the product on `stream`.
    ///
    /// # Safety
    /// The addresses are of memory of the sizes that the plan was made for; `workspace` has the bytes that the algorithm was chosen
    /// for and is used on this stream alone.
    pub unsafe fn multiply(
        &self,
        handle: Handle,
        addresses: &LibraryAddresses,
        workspace: Address,
        stream: Handle,
    ) -> Result<(), LibraryFailure> {
        self.point(addresses)?;
        let (one, zero) = (1.0_f32, 0.0_f32);
        let beta = if self.adds { &raw const one } else { &raw const zero };
        let LibraryAddresses { x, weight, out, .. } = *addresses;
        // SAFETY: descriptors live as long as `self`, the factors until this returns, memory as the caller promises.
        let status = unsafe {
            (self.functions.multiply)(
                handle,
                self.product,
                &raw const one,
                weight,
                self.weight,
                x,
                self.x,
                beta,
                out,
                self.out,
                out,
                self.out,
                &raw const self.algorithm,
                workspace,
                self.workspace,
                stream,
            )
        };
        LibraryFailure::check("cublasLtMatmul", status)
    }
}

impl Drop for ProductPlan {
    fn drop(&mut self) {
        let functions = self.functions;
        for layout in [self.weight, self.x, self.out] {
            if !layout.is_null() {
                // SAFETY: made by `new`, used no more.
                unsafe { (functions.destroy_layout)(layout) };
            }
        }
        if !self.product.is_null() {
            // SAFETY: as above.
            unsafe { (functions.destroy_product)(self.product) };
        }
    }
}
