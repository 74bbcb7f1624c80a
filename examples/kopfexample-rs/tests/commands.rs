//! The commands of the program as its user types them: over sockets and child processes, in real time, waiting for lines
//! only.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStderr, Command, Stdio},
};

use kopf_devcluster::{DevCluster, ListenOptions};
use serde_json::{Value, json};

const OBJECTS: &str = "/apis/zalando.org/v1/namespaces/default/kopfexamples";

fn example() -> Value {
    json!({
        "apiVersion": "zalando.org/v1",
        "kind": "KopfExample",
        "metadata": {"name": "example-1"},
        "spec": {"duration": "1m", "items": ["bread", "butter"]},
    })
}

/// The program, with its log lines.
struct Program(Child, BufReader<ChildStderr>);

impl Program {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kopfexample"));
        command.args(arguments).envs(environment.iter().copied()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self(child, lines)
    }

    /// Reads until a line with the text, and gives it.
    fn line(&mut self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let from = all.len();
            assert_ne!(self.1.read_line(&mut all).unwrap(), 0, "no line with {text:?} in:\n{all}");
            if all[from..].contains(text) {
                return all[from..].trim_end().to_owned();
            }
        }
    }

    /// Sends a signal, and gives the exit code and the rest of the lines.
    fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.end()
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.1.read_to_string(&mut rest).unwrap();
        (self.0.wait().unwrap().code(), rest)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.0.kill();
    }
}

/// Sends a request to the server that a kubeconfig names.
fn request(kubeconfig: &str, method: &str, path: &str, body: &str) -> String {
    let server = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("server:")).unwrap();
    let address = server.trim().trim_matches('"').strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn dev_brings_a_cluster_with_the_definition_and_says_what_to_type() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let mut program = Program::start(&["dev", "--kubeconfig", path.to_str().unwrap()], &[]);
    let exported = program.line("export KUBECONFIG=");
    assert!(exported.contains(path.file_name().unwrap().to_str().unwrap()), "{exported}");
    assert!(program.line("kubectl get").contains("kubectl get kopfexamples"));

    let kubeconfig = fs::read_to_string(&path).unwrap();
    let created = request(&kubeconfig, "POST", OBJECTS, &example().to_string());
    assert!(created.starts_with("HTTP/1.1 201"), "{created}");
    let line = program.line("And here we are!");
    assert!(line.contains("[INFO    ] [default/example-1] And here we are! Creating: "), "{line}");
    program.line("Creation is processed: 2 succeeded; 0 failed.");

    let (code, rest) = program.stop("-INT");
    assert_eq!(code, Some(0));
    assert!(rest.contains("Signal SIGINT is received. Operator is stopping."), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_serves_the_cluster_of_the_kubeconfig() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let cluster = DevCluster::start().await.unwrap();
    cluster.apply_manifest_file(std::path::Path::new("../kopfexample/crd.yaml")).await.unwrap();
    let listener = cluster.listen(ListenOptions::default().with_tls()).await.unwrap();
    fs::write(&path, listener.kubeconfig()).unwrap();
    let environment = [("KUBECONFIG", path.to_str().unwrap()), ("KOPF_RUN_LOG_FORMAT", "json")];
    let mut program = Program::start(&["run", "--namespace", "default"], &environment);

    cluster.create(OBJECTS, &example()).await.unwrap();
    let (program, line) = tokio::task::spawn_blocking(move || {
        let line = program.line("Creation is processed: 2 succeeded; 0 failed.");
        (program, line)
    })
    .await
    .unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["severity"], "info");
    assert_eq!(line["object"]["name"], "example-1");
    assert_eq!(line["object"]["apiVersion"], "zalando.org/v1");

    let (code, rest) = tokio::task::spawn_blocking(move || program.stop("-TERM")).await.unwrap();
    assert_eq!(code, Some(0));
    assert!(rest.contains("Signal SIGTERM is received. Operator is stopping."), "{rest}");
}

#[tokio::test]
async fn crd_prints_what_a_cluster_takes() {
    let output = Command::new(env!("CARGO_BIN_EXE_kopfexample")).arg("crd").output().unwrap();
    assert!(output.status.success());
    let cluster = DevCluster::start().await.unwrap();
    cluster.apply_manifest(&String::from_utf8(output.stdout).unwrap()).await.unwrap();
    cluster.create(OBJECTS, &example()).await.unwrap();
}

#[test]
fn an_operator_that_cannot_log_in_ends_with_1_and_a_wrong_command_line_with_2() {
    // A-CLI-007.
    let mut program = Program::start(&["run", "-A"], &[("KUBECONFIG", "/no/such/kubeconfig")]);
    let (code, lines) = program.end();
    assert_eq!(code, Some(1));
    assert!(lines.contains("/no/such/kubeconfig"), "{lines}");
    assert_eq!(Program::start(&["run", "-A", "-n", "x"], &[]).end().0, Some(2));
    assert_eq!(Program::start(&[], &[]).end().0, Some(2));
}
