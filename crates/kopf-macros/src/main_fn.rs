//! `#[kopf::main]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result, ReturnType, parse2, spanned::Spanned};

pub(crate) fn expand(arguments: &TokenStream, function: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new(arguments.span(), "`#[kopf::main]` takes no arguments"));
    }
    let function: ItemFn = parse2(function)?;
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        return Err(Error::new(signature.fn_token.span, "the function must be `async`"));
    }
    if !signature.inputs.is_empty() {
        return Err(Error::new(
            signature.inputs.span(),
            "the function takes no arguments: the command line is read by `kopf`",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new(signature.generics.span(), "the function cannot be generic"));
    }
    if signature.output == ReturnType::Default {
        return Err(Error::new(
            signature.span(),
            "the function must return the operator: `-> Operator`, or a `Result` of one",
        ));
    }
    let name = &signature.ident;
    Ok(quote! {
        fn main() -> ::std::process::ExitCode {
            #function
            ::kopf::cli::main(
                ::kopf::cli::Program {
                    name: ::core::env!("CARGO_PKG_NAME"),
                    version: ::core::env!("CARGO_PKG_VERSION"),
                },
                #name,
            )
        }
    })
}

/// The error alone: without a `main` beside it, the compiler would complain of that too.
pub(crate) fn told(error: &Error) -> TokenStream {
    let error = error.to_compile_error();
    quote! {
        #error
        fn main() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(function: TokenStream, expected: &str) {
        assert_eq!(expand(&TokenStream::new(), function).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_no_operator_is_refused_where_it_stands() {
        check(quote! { fn main() -> Operator {} }, "the function must be `async`");
        check(quote! { async fn main<T>() -> Operator {} }, "the function cannot be generic");
        check(
            quote! { async fn main() {} },
            "the function must return the operator: `-> Operator`, or a `Result` of one",
        );
        check(
            quote! { async fn main(port: u16) -> Operator {} },
            "the function takes no arguments: the command line is read by `kopf`",
        );
    }

    #[test]
    fn arguments_are_refused() {
        let error = expand(&quote! { threads = 3 }, quote! { async fn main() -> Operator {} }).unwrap_err();
        assert_eq!(error.to_string(), "`#[kopf::main]` takes no arguments");
    }
}
