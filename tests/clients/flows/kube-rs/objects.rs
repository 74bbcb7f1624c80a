//! kube for Rust: the requests of `contract/recordings/kube-rs-5.0.0.json`, but those of watches and of its `Controller`.

mod support;

use futures_util::{TryStreamExt, pin_mut};
use k8s_openapi::api::{
    apps::v1::Deployment,
    authentication::v1::TokenRequest,
    core::v1::{ConfigMap, Event, ObjectReference, Pod, ServiceAccount},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{
        ApiResource, DeleteParams, DynamicObject, EvictParams, ListParams, LogParams, Patch, PatchParams,
        PostParams, Preconditions, ValidationDirective, WatchEvent, WatchParams,
    },
    core::GroupVersionKind,
    discovery::Discovery,
    runtime::{
        events::{Event as Told, EventType, Recorder, Reporter},
        wait::{await_condition, conditions},
    },
};
use serde_json::json;
use support::{
    GROUP, KopfExample, NAMESPACE, Outcome, clean_up, create_definition, create_namespace, show, step, until,
};

#[tokio::main]
async fn main() -> Outcome {
    let client = Client::try_default().await?;
    step("create namespace", async {
        show(&create_namespace(&client).await?);
        Ok(())
    })
    .await;
    step("create definition", async {
        let name = create_definition(&client).await?.name_any();
        let definitions = Api::all(client.clone());
        let established = await_condition(definitions, &name, conditions::is_crd_established()).await?;
        println!("{:?}", established.map(|definition| definition.name_any()));
        Ok(())
    })
    .await;
    customs(&client).await;
    built_ins(&client).await;
    others(&client).await;
    step("discovery", discovery(Discovery::new(client.clone()).run().await)).await;
    step("discovery, aggregated", discovery(Discovery::new(client.clone()).run_aggregated().await)).await;
    step("delete definition and namespace", clean_up(&client)).await;
    Ok(())
}

async fn customs(client: &Client) {
    let examples: Api<KopfExample> = Api::namespaced(client.clone(), &NAMESPACE);
    let post = PostParams::default();
    let by_me = PatchParams::apply("me");
    step("create", async {
        show(&examples.create(&post, &KopfExample::new("k1", "a")).await?);
        Ok(())
    })
    .await;
    step("create again", async {
        examples.create(&post, &KopfExample::new("k1", "a")).await?;
        Ok(())
    })
    .await;
    step("create, invalid", async {
        examples.create(&post, &KopfExample::new("k2", "longer")).await?;
        Ok(())
    })
    .await;
    step("create, dry run", async {
        let dry = PostParams { dry_run: true, field_manager: Some("me".to_owned()) };
        show(&examples.create(&dry, &KopfExample::new("dry", "a")).await?);
        println!("{}", examples.get_opt("dry").await?.is_none());
        Ok(())
    })
    .await;
    step("get_opt of a missing one", async {
        println!("{}", examples.get_opt("nope").await?.is_none());
        Ok(())
    })
    .await;
    step("get of a missing one", async {
        examples.get("nope").await?;
        Ok(())
    })
    .await;
    step("replace, and again with the old version", async {
        let mut example = examples.get("k1").await?;
        example.spec.field = "b".to_owned();
        show(&examples.replace("k1", &post, &example).await?);
        examples.replace("k1", &post, &example).await?;
        Ok(())
    })
    .await;
    step("replace without a version", async {
        examples.replace("k1", &post, &KopfExample::new("k1", "c")).await?;
        Ok(())
    })
    .await;
    step("apply, conflict", async {
        examples.patch("k1", &by_me, &Patch::Apply(KopfExample::new("k1", "a"))).await?;
        Ok(())
    })
    .await;
    step("apply, forced", async {
        show(
            &examples.patch("k1", &by_me.clone().force(), &Patch::Apply(KopfExample::new("k1", "a"))).await?,
        );
        Ok(())
    })
    .await;
    step("apply with an unknown field, strictly", async {
        let strictly =
            PatchParams { field_validation: Some(ValidationDirective::Strict), ..by_me.clone().force() };
        let mut body = serde_json::to_value(KopfExample::new("k1", "a"))?;
        body["spec"]["unknown"] = 1.into();
        examples.patch("k1", &strictly, &Patch::Apply(body)).await?;
        Ok(())
    })
    .await;
    step("merge patch", async {
        let patch = Patch::Merge(json!({"spec": {"field": "m"}}));
        show(&examples.patch("k1", &PatchParams::default(), &patch).await?);
        Ok(())
    })
    .await;
    step("strategic patch of a custom resource", async {
        let patch = Patch::Strategic(json!({"spec": {"field": "s"}}));
        examples.patch("k1", &PatchParams::default(), &patch).await?;
        Ok(())
    })
    .await;
    step("patch of the status", async {
        let patch = Patch::Merge(json!({"status": {"a": 1}, "spec": {"field": "no"}}));
        show(&examples.patch_status("k1", &PatchParams::default(), &patch).await?);
        Ok(())
    })
    .await;
    step("replace of the status", async {
        let mut example = examples.get_status("k1").await?;
        example.status = Some(json!({"a": 2}));
        show(&examples.replace_status("k1", &post, &example).await?.status);
        Ok(())
    })
    .await;
    step("list", async {
        let labelled = ListParams::default().labels("a=b").limit(5);
        println!("{}", examples.list(&labelled).await?.items.len());
        show(&examples.list(&ListParams::default()).await?.types);
        Ok(())
    })
    .await;
    step("metadata", async {
        let list = examples.list_metadata(&ListParams::default()).await?;
        show(&list.types);
        show(&list.items);
        show(&examples.get_metadata("k1").await?.metadata.generation);
        let patch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
        let patched = examples.patch_metadata("k1", &PatchParams::default(), &patch).await?;
        show(&patched.types);
        show(&patched.metadata.labels);
        Ok(())
    })
    .await;
    step("watch", async {
        let version =
            examples.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
        let events = examples.watch(&WatchParams::default().labels("a=b").timeout(20), &version).await?;
        pin_mut!(events);
        let unlabelled = Patch::Merge(json!({"metadata": {"labels": null}}));
        examples.patch("k1", &PatchParams::default(), &unlabelled).await?;
        let Some(WatchEvent::Deleted(gone)) = events.try_next().await? else { return Err("no event".into()) };
        println!("DELETED {} {:?}", gone.name_any(), gone.labels());
        Ok(())
    })
    .await;
    step("delete", async {
        let deleted = examples.delete("k1", &DeleteParams::background()).await?;
        deleted.map_left(|example| show(&example)).map_right(|status| show(&status));
        Ok(())
    })
    .await;
    step("delete again", async {
        examples.delete("k1", &DeleteParams::background()).await?;
        Ok(())
    })
    .await;
    step("delete_collection", async {
        examples.create(&post, &KopfExample::new("k3", "a")).await?;
        let deleted = examples.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        deleted
            .map_left(|list| {
                println!("{:?}", list.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>())
            })
            .map_right(|status| show(&status));
        Ok(())
    })
    .await;
    step("a dynamic object, and one without its type", async {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(&GROUP, "v1", "KopfExample"));
        let dynamics: Api<DynamicObject> = Api::namespaced_with(client.clone(), &NAMESPACE, &resource);
        let mut example = DynamicObject::new("dynamic", &resource).data(json!({"spec": {"field": "a"}}));
        show(&dynamics.create(&post, &example).await?.data);
        example.types = None;
        dynamics.create(&post, &example).await?;
        Ok(())
    })
    .await;
}

async fn built_ins(client: &Client) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &NAMESPACE);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &NAMESPACE);
    let post = PostParams::default();
    step("create config maps by a generated name, and list them in pages", async {
        let body = json!({"metadata": {"generateName": "page-", "labels": {"page": "yes"}}});
        for _ in 0..3 {
            let created = maps.create(&post, &serde_json::from_value(body.clone())?).await?;
            println!("{}", created.name_any().starts_with("page-"));
        }
        let page = maps.list(&ListParams::default().labels("page in (yes)").limit(2)).await?;
        show(&page.metadata.remaining_item_count);
        let token = page.metadata.continue_.unwrap_or_default();
        let rest =
            maps.list(&ListParams::default().labels("page in (yes)").limit(2).continue_token(&token)).await?;
        println!("{} and {}", page.items.len(), rest.items.len());
        Ok(())
    })
    .await;
    step("json patch that fails", async {
        let body = serde_json::from_value(json!({"metadata": {"name": "a"}, "data": {"a": "1"}}))?;
        maps.create(&post, &body).await?;
        let patch = serde_json::from_value(json!([{"op": "remove", "path": "/data/none"}]))?;
        maps.patch("a", &PatchParams::default(), &Patch::Json::<()>(patch)).await?;
        Ok(())
    })
    .await;
    step("delete with a precondition", async {
        let uid = Some("another".to_owned());
        let other = DeleteParams::default().preconditions(Preconditions { uid, resource_version: None });
        maps.delete("a", &other).await?;
        Ok(())
    })
    .await;
    step("delete, dry run", async {
        maps.delete("a", &DeleteParams::default().dry_run()).await?;
        println!("{}", maps.get_opt("a").await?.is_some());
        Ok(())
    })
    .await;
    step("deployment and its scale", async {
        let template = json!({"metadata": {"labels": {"app": "d1"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        // Paused, so that nothing is rolled out.
        let spec = json!({"paused": true, "selector": {"matchLabels": {"app": "d1"}}, "template": template});
        let body = serde_json::from_value(json!({"metadata": {"name": "d1"}, "spec": spec}))?;
        show(&deployments.create(&post, &body).await?.spec);
        show(&deployments.get_scale("d1").await?.spec);
        let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
        show(&deployments.patch_scale("d1", &PatchParams::default(), &patch).await?.spec);
        Ok(())
    })
    .await;
    step("strategic patch of a deployment", async {
        let extra =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side"}]}}}});
        let patched = deployments.patch("d1", &PatchParams::default(), &Patch::Strategic(extra)).await?;
        let containers = patched.spec.template.spec.map(|spec| spec.containers);
        println!(
            "{:?}",
            containers.unwrap_or_default().iter().map(|container| &container.name).collect::<Vec<_>>()
        );
        Ok(())
    })
    .await;
}

async fn others(client: &Client) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &NAMESPACE);
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &NAMESPACE);
    step("logs of a missing pod", async {
        pods.logs("nope", &LogParams::default()).await?;
        Ok(())
    })
    .await;
    step("eviction of a missing pod", async {
        pods.evict("nope", &EvictParams::default()).await?;
        Ok(())
    })
    .await;
    step("a token of an account", async {
        until(async || Ok(accounts.get_opt("default").await?.is_some())).await;
        let request: TokenRequest =
            serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 600}}))?;
        let answer = accounts.create_token_request("default", &PostParams::default(), &request).await?;
        show(&answer.spec.and_then(|spec| spec.expiration_seconds));
        println!("{}", answer.status.is_some_and(|status| status.token.is_some()));
        Ok(())
    })
    .await;
    step("an event, told twice", async {
        let reporter = Reporter { controller: "flow".to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        let reference = ObjectReference {
            api_version: Some(KopfExample::api_version(&()).into_owned()),
            kind: Some("KopfExample".to_owned()),
            name: Some("dynamic".to_owned()),
            namespace: Some(NAMESPACE.clone()),
            ..ObjectReference::default()
        };
        let told = Told {
            type_: EventType::Normal,
            reason: "Tested".to_owned(),
            note: Some("as it should be".to_owned()),
            action: "Testing".to_owned(),
            secondary: None,
        };
        recorder.publish(&told, &reference).await?;
        recorder.publish(&told, &reference).await?;
        let events: Api<Event> = Api::namespaced(client.clone(), &NAMESPACE);
        for event in events.list(&ListParams::default().fields("reason=Tested")).await? {
            show(&json!({"message": event.message, "type": event.type_, "action": event.action, "about": event.involved_object}));
            println!("{:?}", event.series.and_then(|series| series.count));
        }
        Ok(())
    })
    .await;
    step("version", async {
        println!("{}", client.apiserver_version().await?.git_version);
        Ok(())
    })
    .await;
}

/// What is served of the groups that both ways of discovery must find.
async fn discovery(found: kube::Result<Discovery>) -> Outcome {
    let found = found?;
    for group in ["", "apps", "events.k8s.io", GROUP.as_str()] {
        let group = found.get(group).ok_or("a group is missing")?;
        println!("{}: {}", group.name(), group.preferred_version_or_latest());
        for (resource, capabilities) in group.recommended_resources() {
            let mut verbs = capabilities.operations.clone();
            verbs.sort();
            let mut subresources: Vec<_> =
                capabilities.subresources.iter().map(|(part, _)| &*part.plural).collect();
            subresources.sort_unstable();
            println!(
                "  {} {} {:?} {} {}",
                resource.plural,
                resource.kind,
                capabilities.scope,
                verbs.join(","),
                subresources.join(",")
            );
        }
    }
    Ok(())
}
