//! A GreenLake cloud on this machine, and a sink that stands in for a target.
//!
//! Floor 3, for the demo, the tests and whoever tries Tailwater out. Written from the
//! vendor's documents and not from our client, so that the two check each other; guesses
//! are marked as guesses where they are made. It keeps all its entries in memory, and a
//! list of everything it ever made for an honest count.
//!
//! The way of a request: [`mod@loopback`] → routes → token, quota and [`faults`] →
//! [`filter`] → [`selection`] → [`store`] → page. The way of a push: [`store`] → [`mod@push`].

pub mod cloud;
pub mod entry;
pub mod faults;
pub mod filter;
pub mod invent;
pub mod knobs;
pub mod loopback;
pub mod notice;
pub mod push;
pub mod refusal;
pub mod selection;
pub mod sink;
pub mod store;
pub mod traffic;

mod control;
mod logs;
mod quota;
mod render;
mod request;
mod spoil;
mod token_endpoint;
mod tokens;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response_with_state;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Secret;
use crate::model::clock::Clock;
use crate::simulator::push::knobs::PushKnobs;
use crate::simulator::refusal::http_date;

pub use cloud::Cloud;
pub use entry::Workspace;
pub use loopback::BindError;
pub use tokens::TokenForm;
pub use traffic::Traffic;

/// `requests_per_minute` for those who want no limit.
pub const UNLIMITED: u32 = 1_000_000_000;

/// How the simulated cloud is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The cloud's time.
    pub clock: Clock,
    /// Its only workspace.
    pub workspace: Workspace,
    /// The only API client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// How long a token lives, at least a second.
    pub token_life: Duration,
    /// What a token looks like.
    pub token_form: TokenForm,
    /// Requests to the audit log in a minute; [`UNLIMITED`] for no limit.
    pub requests_per_minute: u32,
    /// Says `remainingRecords: true` also where nothing remains, as the official sample does.
    pub is_contradictory: bool,
    /// How busy the workspace is.
    pub traffic: Traffic,
    /// How its webhooks are pushed to.
    pub push: PushKnobs,
    /// The same seed makes the same entries.
    pub seed: u64,
}

impl Default for Settings {
    /// A quiet workspace with the documented limits, on a free port.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            clock: Clock::system(),
            workspace: Workspace {
                id: "51a7ed0c10d051a7ed0c10d051a7ed0c".to_owned(),
                name: "Simulated workspace".to_owned(),
                kind: "STANDALONE".to_owned(),
            },
            client_id: "b1c5d0a2-7f7e-4f4e-9c1d-2a6d1f0e8b33".to_owned(),
            client_secret: Secret::new("simulated-client-secret"),
            token_life: Duration::from_mins(15),
            token_form: TokenForm::Jwt,
            requests_per_minute: 100,
            is_contradictory: false,
            traffic: Traffic::default(),
            push: PushKnobs::default(),
            seed: 1,
        }
    }
}

/// A simulated cloud that listens but does not answer before [`Simulator::run`].
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    address: SocketAddr,
    cloud: Cloud,
}

impl Simulator {
    /// Listens; returns once the address is taken.
    ///
    /// # Errors
    /// When the address is not of this machine, or is taken.
    pub async fn bind(settings: Settings) -> Result<Self, BindError> {
        let (listener, address) = loopback::bind(settings.listen).await?;
        Ok(Self { listener, address, cloud: Cloud::new(settings) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to write as `base_url`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The handle to its entries and faults, good also while it runs and afterwards.
    #[must_use]
    pub fn cloud(&self) -> Cloud {
        self.cloud.clone()
    }

    /// Answers requests, makes entries and pushes them until `stop`; ends within seconds of
    /// it.
    ///
    /// # Errors
    /// When the listening socket fails.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let traffic = self.cloud.0.settings.traffic;
        let router = logs::routes()
            .merge(token_endpoint::routes())
            .merge(push::api::routes())
            .merge(control::routes())
            .layer(map_response_with_state(self.cloud.clone(), stamp))
            .with_state(self.cloud.clone());
        let making = async {
            tokio::select! {
                () = traffic::run(&self.cloud, traffic, &stop) => {}
                () = self.cloud.0.calm.cancelled() => {}
            }
        };
        let serving = loopback::serve(self.listener, router, stop.clone());
        let (served, (), ()) =
            tokio::join!(serving, making, push::courier::run(&self.cloud, &stop));
        served
    }
}

/// Writes the cloud's own time into `Date`: it may be another than the machine's.
async fn stamp(State(cloud): State<Cloud>, mut response: Response) -> Response {
    let date = HeaderValue::try_from(http_date(cloud.clock().now())).expect("letters and digits");
    response.headers_mut().insert(header::DATE, date);
    response
}

#[cfg(test)]
mod tests;
