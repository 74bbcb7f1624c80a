//! The command as its user types it: over sockets and child processes, in real time, waiting for events only.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Output, Stdio},
};

fn kopf(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kopf"));
    command.args(arguments).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(arguments: &[&str]) -> Output {
    kopf(arguments).output().unwrap()
}

/// The answer of the server that a kubeconfig names.
fn get(kubeconfig: &str, path: &str) -> String {
    let server = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("server:")).unwrap();
    let address = server.trim().trim_matches('"').strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_serves_until_it_is_interrupted_and_takes_its_kubeconfig_away() {
    let mut cluster = kopf(&["cluster"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(cluster.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let path = line.trim().strip_prefix("export KUBECONFIG=").unwrap().to_owned();
    let kubeconfig = fs::read_to_string(&path).unwrap();
    assert!(get(&kubeconfig, "/version").starts_with("HTTP/1.1 200"));
    assert!(Command::new("kill").args(["-INT", &cluster.id().to_string()]).status().unwrap().success());
    assert!(cluster.wait().unwrap().success());
    assert!(!fs::exists(&path).unwrap());
}

#[test]
fn with_control_it_can_be_broken_and_its_clock_moved() {
    for (arguments, status) in [(&["cluster", "--control", "--seed", "7"][..], 200), (&["cluster"][..], 404)]
    {
        let mut cluster = kopf(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(cluster.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let kubeconfig = fs::read_to_string(line.trim().strip_prefix("export KUBECONFIG=").unwrap()).unwrap();
        let answer = get(&kubeconfig, "/_dev/clock");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(Command::new("kill").args(["-INT", &cluster.id().to_string()]).status().unwrap().success());
        assert!(cluster.wait().unwrap().success());
    }
}

#[test]
fn a_command_gets_the_kubeconfig_and_gives_its_exit_code() {
    let output = run(&["cluster", "--", "sh", "-c", "grep server: \"$KUBECONFIG\"; exit 7"]);
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("http://127.0.0.1:"));
}

#[test]
fn with_tls_the_kubeconfig_has_the_authority() {
    let output = run(&["cluster", "--tls", "--", "sh", "-c", "cat \"$KUBECONFIG\""]);
    let kubeconfig = text(&output.stdout);
    assert!(
        kubeconfig.contains("https://127.0.0.1:") && kubeconfig.contains("certificate-authority-data"),
        "{kubeconfig}"
    );
}

#[test]
fn a_named_kubeconfig_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my config");
    let output =
        run(&["cluster", "--kubeconfig", path.to_str().unwrap(), "--", "sh", "-c", "echo \"$KUBECONFIG\""]);
    assert_eq!(text(&output.stdout).trim(), fs::canonicalize(&path).unwrap().to_str().unwrap());
}

#[test]
fn manifests_are_there_when_the_command_starts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    fs::write(&file, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\n").unwrap();
    let output = run(&["cluster", "--apply", file.to_str().unwrap(), "--", "cat"]);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let missing = run(&["cluster", "--apply", "/nowhere.yaml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("/nowhere.yaml"), "{}", text(&missing.stderr));
}

#[test]
fn a_command_that_is_not_there_is_told() {
    let output = run(&["cluster", "--", "/no/such/command"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot run /no/such/command"));
}
