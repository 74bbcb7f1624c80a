//! What the compiler says to those who get a handler wrong: our messages are a part of the interface.
//!
//! Ignored by default: it builds the crate's dependencies once more, and the texts around our messages differ from
//! compiler to compiler. `scripts/test.py` runs it with the one that it is judged with, and names it where there is
//! another; `TRYBUILD=overwrite` accepts new texts.

#[test]
#[ignore = "needs the compiler that scripts/test.py names"]
fn the_compiler_tells_what_is_wrong_with_a_handler() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
