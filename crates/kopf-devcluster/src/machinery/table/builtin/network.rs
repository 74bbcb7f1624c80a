//! Services and what belongs to them.

use serde_json::Value;

use super::{AGE, Cell, Column, NAME, string, text, wide};

pub(super) fn columns(group: &str, plural: &str) -> Option<&'static [Column]> {
    const SERVICES: &[Column] = &[
        NAME,
        string("Type", Cell::Text("/spec/type", "")),
        string("Cluster-IP", Cell::Derived(cluster_ip)),
        string("External-IP", Cell::Derived(external_ip)),
        string("Port(s)", Cell::Derived(service_ports)),
        AGE,
        wide(string("Selector", Cell::Derived(|object| text::labels(object, "/spec/selector").into()))),
    ];
    const INGRESSES: &[Column] = &[
        NAME,
        string("Class", Cell::Derived(ingress_class)),
        string("Hosts", Cell::Derived(hosts)),
        string("Address", Cell::Derived(|object| balancer_addresses(object).into())),
        string("Ports", Cell::Derived(ingress_ports)),
        AGE,
    ];
    const CLASSES: &[Column] = &[
        NAME,
        string("Controller", Cell::Text("/spec/controller", "")),
        string("Parameters", Cell::Derived(parameters)),
        AGE,
    ];
    const POLICIES: &[Column] = &[NAME, string("Pod-Selector", Cell::Derived(pod_selector)), AGE];
    const ENDPOINTS: &[Column] = &[NAME, string("Endpoints", Cell::Derived(endpoints)), AGE];
    const SLICES: &[Column] = &[
        NAME,
        string("AddressType", Cell::Text("/addressType", "")),
        string("Ports", Cell::Derived(slice_ports)),
        string("Endpoints", Cell::Derived(slice_endpoints)),
        AGE,
    ];
    const ADDRESSES: &[Column] = &[NAME, string("ParentRef", Cell::Derived(parent))];
    const RANGES: &[Column] = &[
        NAME,
        string("CIDRs", Cell::Derived(|object| text::joined_or(object, "/spec/cidrs", ",", "").into())),
        AGE,
    ];
    match (group, plural) {
        ("", "services") => Some(SERVICES),
        ("", "endpoints") => Some(ENDPOINTS),
        ("discovery.k8s.io", "endpointslices") => Some(SLICES),
        ("networking.k8s.io", "ingresses") => Some(INGRESSES),
        ("networking.k8s.io", "ingressclasses") => Some(CLASSES),
        ("networking.k8s.io", "networkpolicies") => Some(POLICIES),
        ("networking.k8s.io", "ipaddresses") => Some(ADDRESSES),
        ("networking.k8s.io", "servicecidrs") => Some(RANGES),
        _ => None,
    }
}

fn cluster_ip(service: &Value) -> Value {
    text::or(service, "/spec/clusterIPs/0", &text::or(service, "/spec/clusterIP", "<none>")).into()
}

fn external_ip(service: &Value) -> Value {
    let external = text::joined_or(service, "/spec/externalIPs", ",", "");
    match service["spec"]["type"].as_str().unwrap_or("ClusterIP") {
        "ExternalName" => text::or(service, "/spec/externalName", "").into(),
        "LoadBalancer" => {
            let addresses: Vec<_> =
                [balancer_addresses(service), external].into_iter().filter(|text| !text.is_empty()).collect();
            if addresses.is_empty() { "<pending>".into() } else { addresses.join(",").into() }
        }
        "ClusterIP" | "NodePort" if external.is_empty() => "<none>".into(),
        "ClusterIP" | "NodePort" => external.into(),
        _ => "<unknown>".into(),
    }
}

/// The addresses of the load balancer of a service or an ingress.
fn balancer_addresses(object: &Value) -> String {
    let address = |ingress: &Value| text::or(ingress, "/ip", &text::or(ingress, "/hostname", ""));
    let addresses: Vec<_> = text::items(object, "/status/loadBalancer/ingress").map(address).collect();
    addresses.join(",")
}

fn service_ports(service: &Value) -> Value {
    let port = |port: &Value| {
        let number = text::integer(port, "/port");
        let protocol = text::or(port, "/protocol", "TCP");
        match text::integer(port, "/nodePort") {
            0 => format!("{number}/{protocol}"),
            node_port => format!("{number}:{node_port}/{protocol}"),
        }
    };
    let ports: Vec<_> = text::items(service, "/spec/ports").map(port).collect();
    if ports.is_empty() { "<none>".into() } else { ports.join(",").into() }
}

fn ingress_class(ingress: &Value) -> Value {
    let annotation = text::or(ingress, "/metadata/annotations/kubernetes.io~1ingress.class", "<none>");
    text::or(ingress, "/spec/ingressClassName", &annotation).into()
}

fn hosts(ingress: &Value) -> Value {
    let hosts: Vec<_> = text::items(ingress, "/spec/rules")
        .filter_map(|rule| rule["host"].as_str())
        .filter(|host| !host.is_empty())
        .collect();
    at_most(&hosts, 3, "*").into()
}

fn ingress_ports(ingress: &Value) -> Value {
    if text::count(ingress, "/spec/tls") > 0 { "80, 443".into() } else { "80".into() }
}

fn parameters(class: &Value) -> Value {
    let parameters = &class["spec"]["parameters"];
    if !parameters.is_object() {
        return "<none>".into();
    }
    let group = text::or(parameters, "/apiGroup", "");
    let dot = if group.is_empty() { "" } else { "." };
    format!("{}{dot}{group}/{}", text::or(parameters, "/kind", ""), text::or(parameters, "/name", "")).into()
}

fn pod_selector(policy: &Value) -> Value {
    text::selector(policy, "/spec/podSelector", "<none>").into()
}

fn endpoints(object: &Value) -> Value {
    let mut addresses = Vec::new();
    for subset in text::items(object, "/subsets") {
        let ports: Vec<_> = text::items(subset, "/ports").map(|port| text::integer(port, "/port")).collect();
        for address in text::items(subset, "/addresses") {
            let ip = text::or(address, "/ip", "");
            match ports.is_empty() {
                true => addresses.push(ip),
                false => addresses.extend(ports.iter().map(|port| format!("{ip}:{port}"))),
            }
        }
    }
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    at_most(&addresses, 3, "<none>").into()
}

fn slice_ports(slice: &Value) -> Value {
    let ports: Vec<_> = text::items(slice, "/ports").map(|port| text::or(port, "/port", "*")).collect();
    let ports: Vec<_> = ports.iter().map(String::as_str).collect();
    at_most(&ports, 3, "<unset>").into()
}

fn slice_endpoints(slice: &Value) -> Value {
    let addresses: Vec<_> = text::items(slice, "/endpoints")
        .flat_map(|endpoint| text::items(endpoint, "/addresses").filter_map(Value::as_str))
        .collect();
    at_most(&addresses, 3, "<unset>").into()
}

fn parent(address: &Value) -> Value {
    let part = |name: &str| address["spec"]["parentRef"][name].as_str().unwrap_or_default();
    let path: Vec<_> = [part("resource"), part("namespace"), part("name")]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    path.join("/").into()
}

/// Texts joined, but no more than some of them.
pub(super) fn at_most(texts: &[&str], most: usize, none: &str) -> String {
    match texts.len() {
        0 => none.to_owned(),
        count if count > most => format!("{} + {} more...", texts[..most].join(","), count - most),
        _ => texts.join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Appendix C.
    #[test]
    fn services_show_addresses_and_ports() {
        let check = |spec: Value, expected: [&str; 3]| {
            let service = json!({ "spec": spec });
            let cells = [cluster_ip(&service), external_ip(&service), service_ports(&service)];
            assert_eq!(cells.each_ref().map(|cell| cell.as_str().unwrap()), expected);
        };
        let ports =
            json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "nodePort": 30053}]);
        check(
            json!({"clusterIP": "10.0.0.1", "ports": ports}),
            ["10.0.0.1", "<none>", "80/TCP,53:30053/UDP"],
        );
        check(json!({"type": "LoadBalancer", "clusterIP": "None"}), ["None", "<pending>", "<none>"]);
        check(json!({"type": "ExternalName", "externalName": "a.b"}), ["<none>", "a.b", "<none>"]);
    }

    #[test]
    fn long_lists_are_cut() {
        let ingress =
            json!({"spec": {"rules": [{"host": "a"}, {"host": "b"}, {"host": "c"}, {"host": "d"}]}});
        assert_eq!(hosts(&ingress), "a,b,c + 1 more...");
        assert_eq!(hosts(&json!({})), "*");
    }
}
