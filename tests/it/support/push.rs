//! GreenLake's side of a webhook: signs and posts.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tailwater::model::signature::sign_greenlake;

use super::{Process, SOON, eventually};

/// The secret of every webhook in these tests.
pub(crate) const SECRET: &str = "the-secret-of-the-webhook";

/// What a sender hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: reqwest::header::HeaderMap,
}

/// Sends to one webhook.
#[derive(Clone, Debug)]
pub(crate) struct Pusher {
    client: Client,
    pub(crate) address: String,
    pub(crate) url: String,
}

impl Pusher {
    /// Sends to the receiver of `daemon`, once it says where it is.
    pub(crate) async fn to(daemon: &Process) -> Self {
        let address = address(daemon).await;
        // A connection that waits for its next request is the first to be cut where many do.
        let client = Client::builder()
            .no_proxy()
            .timeout(SOON)
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client");
        Self { client, url: format!("http://{address}/hook"), address }
    }

    /// The same over HTTPS, trusting `authority` (PEM) for `localhost`.
    pub(crate) async fn secure(daemon: &Process, authority: &str) -> Self {
        let address = address(daemon).await;
        let port = address.rsplit(':').next().expect("a port");
        let authority = reqwest::Certificate::from_pem(authority.as_bytes()).expect("PEM");
        let client = Client::builder()
            .no_proxy()
            .timeout(SOON)
            .tls_certs_only([authority])
            .pool_idle_timeout(Duration::ZERO)
            .build()
            .expect("a client");
        Self { client, url: format!("https://localhost:{port}/hook"), address }
    }

    /// Any request to the webhook.
    pub(crate) fn request(&self, method: Method) -> RequestBuilder {
        self.client.request(method, &self.url)
    }

    /// A POST as GreenLake makes it, signed with `secret`.
    pub(crate) fn signed(&self, secret: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
        let body = body.into();
        self.request(Method::POST)
            .header("content-type", "application/json")
            .header("HPE-Webhook-Signature", sign_greenlake(secret.as_bytes(), &body))
            .body(body)
    }

    /// Posts `event`, signed as it should be.
    pub(crate) async fn push(&self, event: &Value) -> u16 {
        send(self.signed(SECRET, event.to_string())).await.status
    }
}

/// Sends a request and hears the answer.
pub(crate) async fn send(request: RequestBuilder) -> Heard {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Heard { status, headers, body: response.text().await.expect("a text") }
}

/// Where the receiver of `daemon` listens.
async fn address(daemon: &Process) -> String {
    eventually("the receiver listens", SOON, async || {
        let said = daemon.stderr();
        let (_, rest) = said.split_once("receiving address=")?;
        Some(rest.split_whitespace().next()?.to_owned())
    })
    .await
}

/// An audit entry as GreenLake pushes it.
pub(crate) fn entry(id: &str) -> Value {
    let workspace = tailwater::simulator::Settings::default().workspace.id;
    let now = tailwater::model::clock::Clock::system().now();
    json!({
        "specversion": "1.0", "id": id, "source": "//global.api.greenlake.hpe.com/audit-log",
        "type": "com.hpe.greenlake.audit-log.v1.logs.created",
        "datacontenttype": "application/json", "time": now.to_rfc3339_millis(),
        "data": {
            "id": id, "user": {"username": "jane@example.com"},
            "workspace": {"id": workspace, "workspace_name": null, "workspace_type": null},
            "application": {"id": "00000000-0000-0000-0000-000000000000"},
            "category": "user_management", "description": "Logged in",
            "created_at": now.millis(), "updated_at": now.millis(),
            "additional_info": {"ip_address": "203.0.113.7"}, "has_details": false,
        },
    })
}
