//! The attribute macros of `kopf`. Use them through that crate.

use proc_macro::TokenStream;

mod main_fn;

/// Makes a program of an async function that returns an operator.
///
/// The program has the commands of an operator: `run`, with the options of `kopf run`, and `dev`. The function is called
/// within the runtime, once the command line is understood; what it returns is an `Operator`, or a `Result` of one.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, function: TokenStream) -> TokenStream {
    main_fn::expand(&arguments.into(), function.into()).unwrap_or_else(|error| main_fn::told(&error)).into()
}
