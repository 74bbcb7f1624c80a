//! The command line: what is understood, and what is refused.

use super::*;

const PROGRAM: Program = Program { name: "example", version: "1.2.3" };

fn options(arguments: &[&str]) -> Result<run::RunArguments, clap::Error> {
    let all = ["example", "run"].iter().chain(arguments);
    parse(PROGRAM, all).map(|arguments| match arguments.command {
        Command::Run(arguments) => arguments,
        other @ (Command::Dev(_) | Command::Crd) => panic!("{other:?}"),
    })
}

fn served(arguments: &[&str]) -> String {
    format!("{:?}", options(arguments).unwrap().apply(Operator::new().namespaces(["own"])))
}

#[test]
fn the_scope_is_that_of_the_command_line_or_of_the_operator() {
    assert!(served(&["-A"]).contains("scope: Cluster"));
    assert!(served(&["-n", "a,b-*", "-n", "c"]).contains(r#"Namespaces([Glob("a,b-*"), Glob("c")])"#));
    assert!(served(&[]).contains(r#"Namespaces([Glob("own")])"#));
}

#[test]
fn all_namespaces_and_some_namespaces_exclude_each_other() {
    // A-CLI-005.
    let error = options(&["-A", "-n", "x"]).unwrap_err();
    assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict);
    assert!(error.use_stderr());
}

#[test]
fn logging_is_as_the_flags_say() {
    use crate::logging::{LogFormat, Verbosity};
    let logging = |arguments: &[&str]| options(arguments).unwrap().logging.options();
    assert_eq!(logging(&[]).verbosity, Verbosity::Normal);
    assert_eq!(logging(&["-q", "-v"]).verbosity, Verbosity::Verbose);
    assert_eq!(logging(&["-d"]).verbosity, Verbosity::Debug);
    assert_eq!(logging(&["--log-format", "JSON"]).format, LogFormat::Json);
    assert_eq!(logging(&[]).prefix, None);
    assert_eq!(logging(&["--log-prefix"]).prefix, Some(true));
    assert_eq!(logging(&["--log-prefix", "--no-log-prefix"]).prefix, Some(false));
    assert_eq!(logging(&["--log-refkey", "k8s"]).refkey.as_deref(), Some("k8s"));
}

#[test]
fn without_a_command_there_is_help_and_a_usage_error() {
    // A-CLI-001.
    let error = parse(PROGRAM, ["example"]).unwrap_err();
    assert!(error.use_stderr());
    let text = error.to_string();
    assert!(text.contains("run") && text.contains("Usage: example"), "{text}");
    let version = parse(PROGRAM, ["example", "--version"]).unwrap_err();
    assert!(!version.use_stderr());
    assert_eq!(version.to_string(), "example 1.2.3\n");
}

#[test]
fn definitions_are_printed_as_yaml() {
    let operator = Operator::new().serve(crate::on::<crate::testing_cause::Database>().with_crd());
    let text = crd::text(&operator).unwrap();
    assert!(text.starts_with("---\n"), "{text}");
    let read: serde_json::Value = serde_saphyr::from_str(text.trim_start_matches("---")).unwrap();
    assert_eq!(read, serde_json::json!(operator.crds()[0]));
    assert!(crd::text(&Operator::new()).unwrap_err().to_string().contains("with_crd"));
}
