//! Functions as handlers: any async function whose arguments are [`FromCause`].

use std::{
    any::{TypeId, type_name},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use kopf_core::handler::Needs;
use kopf_engine::door::BoxFuture;
use serde_json::Value;

use crate::{
    cause::Cause,
    error::Result,
    extract::{FromCause, Setup},
    options::{Configured, Declared},
    outcome::IntoOutcome,
};

/// What can handle objects of `K`: an async function with up to twelve arguments that are [`FromCause`], and a result that
/// is [`IntoOutcome`]; or one with options, made by [`handler`](crate::handler).
///
/// `A` is only for the compiler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of `{K}`",
    label = "not a handler",
    note = "a handler is an `async fn` whose every argument implements `FromCause<{K}>`: `Obj<{K}>`, `Name`, `Patch`, \
            `Change<T>`, `Ctx<T>` and the others in `kopf::extract`",
    note = "it returns `()`, `Json<T>`, or a `Result` of these, and its future is `Send`: nothing that is not may be held \
            across an `.await`"
)]
pub trait Handler<K, A>: Sized {
    /// Erases the type.
    fn into_function(self) -> Function<K>;
}

/// A handler without the type of its function.
pub struct Function<K> {
    pub(crate) identity: u64,
    pub(crate) name: Option<&'static str>,
    pub(crate) needs: Needs,
    pub(crate) checks: Vec<Check>,
    pub(crate) run: Run<K>,
    pub(crate) declared: Declared,
}

/// [`FromCause::check`] of one argument.
pub(crate) type Check = fn(&Setup<'_>) -> std::result::Result<(), String>;

/// One call: makes the arguments, calls the function, makes the result.
pub(crate) type Run<K> = Arc<dyn Fn(&Cause<K>) -> BoxFuture<Result<Option<Value>>> + Send + Sync>;

impl<K> fmt::Debug for Function<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

impl<K: 'static, A, F: Handler<K, A>> Handler<K, (Declared, A)> for Configured<F> {
    fn into_function(self) -> Function<K> {
        let function = self.function.into_function();
        // All functions of one type without captures are one function; those with captures are told apart by number.
        let identity = if size_of::<F>() == 0 { function.identity } else { number::<K>(self.unique) };
        Function { identity, declared: self.declared, ..function }
    }
}

macro_rules! functions {
    ($($argument:ident)*) => {
        impl<K, F, Fut, Out, $($argument,)*> Handler<K, (K, $($argument,)*)> for F
        where
            K: 'static,
            F: Fn($($argument),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Out> + Send + 'static,
            Out: IntoOutcome,
            $($argument: FromCause<K>,)*
        {
            #[allow(unused_variables, reason = "a function without arguments needs nothing of the cause")]
            fn into_function(self) -> Function<K> {
                Function {
                    identity: number::<K>(TypeId::of::<F>()),
                    name: own_name(type_name::<F>()),
                    needs: const { Needs(0)$(.union($argument::NEEDS))* },
                    checks: vec![$($argument::check),*],
                    run: Arc::new(move |cause| {
                        let call = |cause: &Cause<K>| -> Result<Fut> { Ok(self($($argument::from_cause(cause)?),*)) };
                        let future = call(cause);
                        Box::pin(async move { future?.await.into_outcome() })
                    }),
                    declared: Declared::default(),
                }
            }
        }
    };
}

functions!();
functions!(A1);
functions!(A1 A2);
functions!(A1 A2 A3);
functions!(A1 A2 A3 A4);
functions!(A1 A2 A3 A4 A5);
functions!(A1 A2 A3 A4 A5 A6);
functions!(A1 A2 A3 A4 A5 A6 A7);
functions!(A1 A2 A3 A4 A5 A6 A7 A8);
functions!(A1 A2 A3 A4 A5 A6 A7 A8 A9);
functions!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10);
functions!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11);
functions!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12);

/// A number for a function as a handler of the kind.
fn number<K: 'static>(function: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    (TypeId::of::<K>(), function).hash(&mut hasher);
    hasher.finish()
}

/// The last segment of a function's path, without generics; none for closures and function pointers, which have no name.
fn own_name(type_name: &'static str) -> Option<&'static str> {
    let last = without_generics(type_name).rsplit("::").next()?;
    let is_name = !last.is_empty() && last.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_name && !type_name.starts_with("fn(")).then_some(last)
}

/// The path before the last `<..>`, if it ends with one.
fn without_generics(path: &str) -> &str {
    if !path.ends_with('>') {
        return path;
    }
    let mut depth = 0;
    for (position, byte) in path.bytes().enumerate().rev() {
        match byte {
            b'>' if !path[..position].ends_with('-') => depth += 1,
            b'<' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &path[..position];
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_their_own_name_and_closures_have_none() {
        assert_eq!(own_name("example::handlers::create"), Some("create"));
        assert_eq!(own_name("example::create<example::Widget>"), Some("create"));
        assert_eq!(own_name("example::Widget::grow"), Some("grow"));
        assert_eq!(own_name("example::create<fn() -> a::B<c::D>, e::F>"), Some("create"));
        assert_eq!(own_name("example::main<a::B>::{{closure}}::create"), Some("create"));
        assert_eq!(own_name("example::main::{{closure}}"), None);
        assert_eq!(own_name("example::main<a::B>::{{closure}}"), None);
        assert_eq!(own_name("fn(kopf::extract::object::Name) -> core::future::Ready<()>"), None);
    }

    #[test]
    fn one_function_has_one_identity_per_kind() {
        async fn a() {}
        async fn b() {}
        fn of<K: 'static, A>(handler: impl Handler<K, A>) -> u64 {
            handler.into_function().identity
        }
        assert_eq!(of::<u8, _>(a), of::<u8, _>(crate::handler(a).retries(3)));
        assert_ne!(of::<u8, _>(a), of::<u8, _>(b));
        assert_ne!(of::<u8, _>(a), of::<u16, _>(a));
    }

    #[test]
    fn closures_with_captures_are_one_function_only_if_cloned() {
        fn make(n: u8) -> Configured<impl Fn() -> std::future::Ready<()> + Clone> {
            crate::handler(move || {
                std::hint::black_box(n);
                std::future::ready(())
            })
        }
        fn of<A>(handler: impl Handler<u8, A>) -> u64 {
            handler.into_function().identity
        }
        let one = make(1);
        assert_eq!(of(one.clone()), of(one.clone().id("x")));
        assert_ne!(of(one), of(make(2)));
    }
}
