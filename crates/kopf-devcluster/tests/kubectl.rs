//! The real `kubectl` against the cluster (DEC-27).
//!
//! It is built from its Go module into a cache outside the project. Where there is no Go, these tests say so on stderr
//! and check nothing.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use kopf_devcluster::{DevCluster, ListenOptions, Listener};
use tempfile::TempDir;
use tokio::process::Command;

const VERSION: &str = "1.37.2";
const MODULE: &str = "k8s.io/kubectl@v0.37.2";

/// A cluster, and a kubectl that knows it.
struct Setup {
    cluster: DevCluster,
    _listener: Listener,
    directory: TempDir,
    kubectl: PathBuf,
}

impl Setup {
    async fn start(tls: bool) -> Option<Self> {
        let kubectl = kubectl()?.to_owned();
        let cluster = DevCluster::start().await.unwrap();
        let listener = cluster.listen(ListenOptions { tls, ..ListenOptions::default() }).await.unwrap();
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("config"), listener.kubeconfig()).unwrap();
        Some(Self { cluster, _listener: listener, directory, kubectl })
    }

    /// Runs kubectl; gives its exit status as success, and what it printed.
    async fn try_run(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let file = self.directory.path().join("input.yaml");
        std::fs::write(&file, input).unwrap();
        let output = Command::new(&self.kubectl)
            .args(
                arguments
                    .iter()
                    .map(|argument| if *argument == "INPUT" { file.to_str().unwrap() } else { argument }),
            )
            .env("KUBECONFIG", self.directory.path().join("config"))
            .env("KUBECACHEDIR", self.directory.path().join("cache"))
            .env("HOME", self.directory.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }

    /// Runs kubectl, which must succeed and print each of `expected`.
    async fn run(&self, arguments: &str, expected: &[&str]) -> String {
        self.run_with(arguments, "", expected).await
    }

    /// As [`Setup::run`], with a manifest in the place of `INPUT`.
    async fn run_with(&self, arguments: &str, input: &str, expected: &[&str]) -> String {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let (success, text) = self.try_run(&arguments, input).await;
        assert!(success, "kubectl {} failed:\n{text}", arguments.join(" "));
        for expected in expected {
            assert!(
                text.contains(expected),
                "kubectl {} printed no {expected:?}:\n{text}",
                arguments.join(" ")
            );
        }
        text
    }
}

/// The path of kubectl, built the first time.
fn kubectl() -> Option<&'static Path> {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    PATH.get_or_init(|| {
        let home = std::env::var_os("HOME")?;
        let path = Path::new(&home).join(format!(".cache/kopf-rs/kubectl-{VERSION}"));
        if !path.is_file() && !build(&path) {
            eprintln!(
                "NOT RUN: the tests with kubectl, since it is not at {} and Go cannot build it",
                path.display()
            );
            return None;
        }
        Some(path)
    })
    .as_deref()
}

fn build(path: &Path) -> bool {
    let Some(cache) = path.parent() else { return false };
    let Ok(directory) = std::fs::create_dir_all(cache).and_then(|()| TempDir::new_in(cache)) else {
        return false;
    };
    let main = "package main\n\nimport (\n\t\"os\"\n\n\t\"k8s.io/component-base/cli\"\n\t\"k8s.io/kubectl/pkg/cmd\"\n)\n\n\
                func main() {\n\tif err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {\n\t\tos.Exit(1)\n\t}\n}\n";
    let go = |arguments: &[&str]| {
        std::process::Command::new("go")
            .args(arguments)
            .current_dir(directory.path())
            .status()
            .is_ok_and(|s| s.success())
    };
    let flags = format!("-ldflags=-X k8s.io/component-base/version.gitVersion=v{VERSION}");
    std::fs::write(directory.path().join("main.go"), main).is_ok()
        && go(&["mod", "init", "kubectl"])
        && go(&["get", MODULE])
        && go(&["mod", "tidy"])
        && go(&["build", &flags, "-o", "kubectl", "."])
        && std::fs::rename(directory.path().join("kubectl"), path).is_ok()
}

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.dev}
spec:
  group: test.dev
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer, description: How big it is.}}}
          status: {type: object, properties: {phase: {type: string}}}
";
const WIDGET: &str = "{apiVersion: test.dev/v1, kind: Widget, metadata: {name: a}, spec: {size: 7}}";

/// D-041, D-042, D-050, D-052, D-200, DEC-25.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_works_on_custom_resources() {
    let Some(kubectl) = Setup::start(false).await else { return };
    kubectl.run("version", &["v1.37.2"]).await;
    kubectl.run_with("apply -f INPUT", DEFINITION, &["created"]).await;
    kubectl.run("wait --for=condition=Established crd/widgets.test.dev", &["condition met"]).await;
    kubectl.run("api-resources --api-group=test.dev", &["widgets", "wd"]).await;
    kubectl.run_with("apply -f INPUT", WIDGET, &["widget.test.dev/a created"]).await;
    kubectl.run_with("apply -f INPUT", WIDGET, &["widget.test.dev/a unchanged"]).await;
    kubectl.run_with("apply -f INPUT", &WIDGET.replace('7', "8"), &["widget.test.dev/a configured"]).await;
    kubectl.run("get wd", &["NAME", "SIZE", "a      8"]).await;
    kubectl.run("get wd a -o jsonpath={.spec.size}", &["8"]).await;
    kubectl.run("explain widget.spec", &["size", "How big it is."]).await;
    kubectl.run("label wd a x=y", &["labeled"]).await;
    kubectl.run("annotate wd a x=y", &["annotated"]).await;
    kubectl.run("patch wd a --type=merge -p {\"spec\":{\"size\":9}}", &["patched"]).await;
    kubectl
        .run("patch wd a --subresource=status --type=merge -p {\"status\":{\"phase\":\"Ok\"}}", &["patched"])
        .await;
    kubectl.run("wait --for=jsonpath={.status.phase}=Ok wd/a", &["condition met"]).await;
    kubectl.run("describe wd a", &["Size:", "Phase:"]).await;
    let strict = WIDGET.replace("size", "sise");
    let (success, text) = kubectl.try_run(&["apply", "-f", "INPUT"], &strict).await;
    assert!(!success && text.contains("unknown field \"spec.sise\""), "{text}");
    kubectl.run("get all", &["widget.test.dev/a"]).await;
    kubectl.run("delete wd a", &["deleted"]).await;
    kubectl.run("delete crd widgets.test.dev", &["deleted"]).await;
    let (success, text) = kubectl.try_run(&["get", "wd"], "").await;
    assert!(!success, "{text}");
}

/// D-055: kubectl validates kinds that it does not find in OpenAPI v3 by OpenAPI v2, so that it says what it says on a
/// real cluster about a definition and an object of it in one file.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_a_definition_and_its_objects_in_two_rounds() {
    let Some(kubectl) = Setup::start(false).await else { return };
    let both = format!("{DEFINITION}---\n{WIDGET}\n");
    let (success, text) = kubectl.try_run(&["apply", "-f", "INPUT"], &both).await;
    assert!(!success && text.contains("ensure CRDs are installed first"), "{text}");
    kubectl
        .run_with("apply -f INPUT", &both, &["widgets.test.dev unchanged", "widget.test.dev/a created"])
        .await;
}

/// D-158, D-160: server-side apply, alone and after client-side apply.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_server_side() {
    let Some(kubectl) = Setup::start(false).await else { return };
    kubectl.run_with("apply -f INPUT", DEFINITION, &["created"]).await;
    kubectl.run_with("apply --server-side -f INPUT", WIDGET, &["serverside-applied"]).await;
    kubectl.run("get wd a --show-managed-fields -o yaml", &["operation: Apply", "manager: kubectl"]).await;
    kubectl.run("patch wd a --type=merge -p {\"spec\":{\"size\":1}}", &["patched"]).await;
    let (success, text) = kubectl.try_run(&["apply", "--server-side", "-f", "INPUT"], WIDGET).await;
    assert!(!success && text.contains("conflict with \"kubectl-patch\""), "{text}");
    kubectl.run_with("apply --server-side --force-conflicts -f INPUT", WIDGET, &["serverside-applied"]).await;
    let config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {k: v}}";
    kubectl.run_with("apply -f INPUT", config, &["created"]).await;
    kubectl
        .run_with("apply --server-side -f INPUT", &config.replace("k: v", "k: w"), &["serverside-applied"])
        .await;
    kubectl.run("get cm c -o jsonpath={.data.k}", &["w"]).await;
}

/// DEC-25: kubectl merges by its own types, so a second container keeps the first.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_works_on_built_in_types() {
    let Some(kubectl) = Setup::start(false).await else { return };
    let deployment = |containers: &str| {
        format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{replicas: 1, selector: \
             {{matchLabels: {{a: d}}}}, template: {{metadata: {{labels: {{a: d}}}}, spec: {{containers: \
             [{containers}]}}}}}}}}"
        )
    };
    kubectl.run_with("apply -f INPUT", &deployment("{name: one, image: i}"), &["created"]).await;
    let second = "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"two\",\"image\":\"i\"}]}}}}";
    kubectl.run(&format!("patch deploy d -p {second}"), &["patched"]).await;
    kubectl.run_with("apply -f INPUT", &deployment("{name: one, image: new}"), &["configured"]).await;
    let images = kubectl
        .run("get deploy d -o jsonpath={.spec.template.spec.containers[*].image}", &["new", "i"])
        .await;
    assert_eq!(images.split_whitespace().count(), 2, "{images}");
    kubectl.run("scale deploy d --replicas=3", &["scaled"]).await;
    kubectl.run("get deploy d -o jsonpath={.spec.replicas}", &["3"]).await;
    kubectl.run("set image deploy/d one=newer", &["image updated"]).await;
    kubectl
        .run("get deploy,cm,sa,ns", &["deployment.apps/d", "configmap/kube-root-ca.crt", "namespace/default"])
        .await;
    kubectl.run("get ns default", &["Active"]).await;
    kubectl.run("get --raw /readyz", &["ok"]).await;
    kubectl.run("delete deploy d", &["deleted"]).await;
    kubectl.cluster.get("/apis/apps/v1/namespaces/default/deployments/d").await.unwrap_err();
}

/// D-191, D-192: with TLS, HTTP/2 and another user.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_works_over_tls() {
    let Some(kubectl) = Setup::start(true).await else { return };
    kubectl.run("get ns", &["default"]).await;
    kubectl.run("get cm --as=somebody --as-group=some", &["kube-root-ca.crt"]).await;
    let watch = kubectl.try_run(&["get", "cm", "--watch", "--request-timeout=2s"], "").await;
    assert!(watch.1.contains("kube-root-ca.crt"), "{}", watch.1);
}
