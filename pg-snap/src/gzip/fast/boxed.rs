//! Large arrays on the heap.

/// An array of this value that is never on the stack.
pub fn boxed<T: Clone, const N: usize>(value: T) -> Box<[T; N]> {
    let Ok(array) = vec![value; N].into_boxed_slice().try_into() else {
        unreachable!("it has that length")
    };
    array
}
