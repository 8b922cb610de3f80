//! Parts of buffers that operations read and write.

/// A buffer of numbers, in whatever type and memory its device keeps them.
pub trait DeviceBuffer: Send + Sync {
    /// How many numbers it holds.
    fn len(&self) -> usize;

    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A weight matrix `[rows = outputs, cols = inputs]` that a device took over.
pub trait MatrixShape: Send + Sync {
    /// Outputs of the layer, or rows of the table.
    fn rows(&self) -> usize;
    /// Inputs of the layer, or width of the table.
    fn cols(&self) -> usize;
}

/// A table of rotary angles that a device took over.
pub trait RotaryShape: Send + Sync {
    /// Tokens in the table.
    fn tokens(&self) -> usize;
    /// Width of one head.
    fn head_dim(&self) -> usize;
}

/// `[rows, cols]` inside a buffer: number `col` of row `row` stands at `offset + row * stride + col`.
#[derive(Debug)]
pub struct View<'a, B> {
    /// The buffer.
    pub buffer: &'a B,
    /// Where row 0 starts.
    pub offset: usize,
    /// Rows.
    pub rows: usize,
    /// Numbers of a row.
    pub cols: usize,
    /// Numbers from one row to the next, at least `cols`.
    pub stride: usize,
}

impl<B> Clone for View<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for View<'_, B> {}

impl<'a, B> View<'a, B> {
    /// `rows` rows without gaps from the buffer's start on.
    pub fn new(buffer: &'a B, rows: usize, cols: usize) -> Self {
        Self { buffer, offset: 0, rows, cols, stride: cols }
    }

    /// A single row of `cols` numbers from `offset` on.
    pub fn vector(buffer: &'a B, offset: usize, cols: usize) -> Self {
        Self { buffer, offset, rows: 1, cols, stride: cols }
    }

    /// The same view, `offset` numbers further into the buffer.
    #[must_use]
    pub fn at(self, offset: usize) -> Self {
        Self { offset: self.offset + offset, ..self }
    }

    /// The same view with rows `stride` apart.
    #[must_use]
    pub fn strided(self, stride: usize) -> Self {
        Self { stride, ..self }
    }
}

/// Like [`View`], for writing.
#[derive(Debug)]
pub struct ViewMut<'a, B> {
    /// The buffer.
    pub buffer: &'a mut B,
    /// Where row 0 starts.
    pub offset: usize,
    /// Rows.
    pub rows: usize,
    /// Numbers of a row.
    pub cols: usize,
    /// Numbers from one row to the next, at least `cols`.
    pub stride: usize,
}

impl<'a, B> ViewMut<'a, B> {
    /// `rows` rows without gaps from the buffer's start on.
    pub fn new(buffer: &'a mut B, rows: usize, cols: usize) -> Self {
        Self { buffer, offset: 0, rows, cols, stride: cols }
    }

    /// The same view, `offset` numbers further into the buffer.
    #[must_use]
    pub fn at(self, offset: usize) -> Self {
        Self { offset: self.offset + offset, ..self }
    }

    /// The same view with rows `stride` apart.
    #[must_use]
    pub fn strided(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// The same view, for reading.
    pub fn as_view(&self) -> View<'_, B> {
        View { buffer: self.buffer, offset: self.offset, rows: self.rows, cols: self.cols, stride: self.stride }
    }
}

/// A picture in planes without gaps: the number of `(channel, y, x)` stands at `(channel * height + y) * width + x`.
#[derive(Debug)]
pub struct Planes<'a, B> {
    /// The buffer.
    pub buffer: &'a B,
    /// Planes.
    pub channels: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Columns of a plane.
    pub width: usize,
}

impl<B> Clone for Planes<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Planes<'_, B> {}

impl<'a, B> Planes<'a, B> {
    /// All numbers as `[channels, height × width]`.
    pub fn view(&self) -> View<'a, B> {
        View::new(self.buffer, self.channels, self.height * self.width)
    }
}
