//! Large arrays on the heap.

/// An array that is never on the stack.
pub fn boxed<T: Copy + Default, const N: usize>() -> Box<[T; N]> {
    let Ok(array) = vec![T::default(); N].into_boxed_slice().try_into() else {
        unreachable!("it has that length")
    };
    array
}
