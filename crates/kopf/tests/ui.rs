//! What the compiler says to those who get a handler wrong: our messages are a part of the interface.

use std::io::{Write, stderr};

/// The texts around our messages differ from compiler to compiler. With another one, only the messages would be right to
/// judge, which `trybuild` cannot do alone.
const JUDGED_WITH: &str = "rustc 1.95.";

#[test]
fn the_compiler_tells_what_is_wrong_with_a_handler() {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(compiler).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.starts_with(JUDGED_WITH) {
        // Not by a macro, whose output is not shown for tests that pass.
        writeln!(
            stderr(),
            "NOT RUN: messages of the compiler are judged with {JUDGED_WITH}x, this is {version}"
        )
        .unwrap();
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
