//! `tailwater simulate`: a GreenLake cloud on this machine.

mod values;

use std::io::{Write, stderr, stdout};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::cli::simulate::values::{parse_burst, parse_knob, parse_late, parse_life};
use crate::config::Secret;
use crate::simulator::cloud::Cloud;
use crate::simulator::knobs::Knobs;
use crate::simulator::notice::Notice;
use crate::simulator::traffic::{Burst, Late};
use crate::simulator::{Settings, Simulator, TokenForm, Traffic, UNLIMITED, Workspace};

pub(super) use crate::cli::simulate::values::parse_rate;

/// Run a GreenLake cloud on this machine: token endpoint, audit log, webhooks, faults on demand
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where to listen; loopback only, port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8490")]
    listen: SocketAddr,
    /// New entries, such as 2/s, 30/m or 5/h; 0/s for none
    #[arg(long, default_value = "1/s", value_parser = parse_rate)]
    rate: f64,
    /// Crowds of entries on top of it: how many, and how often (500:1m)
    #[arg(long, value_name = "SIZE:EVERY", value_parser = parse_burst)]
    burst: Option<Burst>,
    /// Entries that become visible late: how many of them, and how late (5%:10s)
    #[arg(long, value_name = "SHARE:DELAY", value_parser = parse_late)]
    late: Option<Late>,
    /// Entries to make before the start, spread over --over
    #[arg(long, value_name = "N", default_value_t = 0)]
    backfill: u64,
    /// How far --backfill goes back
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = humantime::parse_duration)]
    over: Duration,
    /// The same seed makes the same entries
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long a token lives, at least 1s
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = parse_life)]
    token_life: Duration,
    /// Give tokens that tell nothing instead of JWTs
    #[arg(long)]
    opaque_tokens: bool,
    /// Requests to the audit log in a minute; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = 100)]
    rate_limit: u32,
    /// Register a webhook there and push each new entry to it: http on this machine alone,
    /// while HPE asks for HTTPS at a public address
    #[arg(long, value_name = "URL")]
    push: Option<String>,
    /// The webhook's secret, 4 to 100 characters; source.push.secret takes 8 and more
    #[arg(
        long,
        value_name = "SECRET",
        env = "TAILWATER_SIMULATE_PUSH_SECRET",
        hide_env_values = true,
        value_parser = super::sink::parse_secret
    )]
    push_secret: Option<Secret>,
    /// Send this API key with each push
    #[arg(
        long,
        value_name = "KEY",
        env = "TAILWATER_SIMULATE_PUSH_KEY",
        hide_env_values = true,
        value_parser = super::sink::parse_secret
    )]
    push_key: Option<Secret>,
    /// Push ten entries at once, or those of a minute
    #[arg(long)]
    push_batches: bool,
    /// How pushes are made, such as `shape=b`, `delay_seconds=2`, `drop_fraction=0.1` or
    /// `time_scale=3600` (12 hours of retries in 12 seconds); may be repeated
    #[arg(long, value_name = "KNOB=VALUE", value_parser = parse_knob)]
    push_knob: Vec<(String, Value)>,
    /// Workspace id, 32 hex digits
    #[arg(long, value_name = "ID")]
    workspace_id: Option<String>,
    /// OAuth2 client id
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// OAuth2 client secret
    #[arg(
        long,
        value_name = "SECRET",
        env = "TAILWATER_SIMULATE_SECRET",
        hide_env_values = true,
        value_parser = super::sink::parse_secret
    )]
    client_secret: Option<Secret>,
    /// Print the configuration and nothing else
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the cloud until `stop`: a `[[source]]` for it goes to standard output, what
/// happens to standard error.
///
/// # Errors
/// When the address cannot be used or standard output is closed.
pub async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<()> {
    let settings = settings(&args)?;
    let simulator = Simulator::bind(settings.clone()).await.context("the simulated cloud")?;
    let cloud = simulator.cloud();
    let now = cloud.clock().now();
    let made = cloud.generate(args.backfill, now.minus(args.over), now).len();
    if let Some(form) = webhook(&args) {
        cloud.register(&form).map_err(|why| anyhow!("--push: {why}"))?;
    }
    introduce(&args, &settings, &simulator.base_url(), made)?;
    let notices = (!args.quiet).then(|| cloud.notices());
    // When either ends, standard error being closed included, so does the other.
    let halt = stop.child_token();
    let (served, told) = tokio::join!(
        async {
            let _stop_the_other = halt.clone().drop_guard();
            simulator.run(halt.clone()).await
        },
        async {
            let Some(notices) = notices else { return Ok(()) };
            let _stop_the_other = halt.clone().drop_guard();
            tell(&cloud, notices, &halt).await
        },
    );
    served.context("the simulated cloud")?;
    told.context("standard error")?;
    Ok(())
}

fn settings(args: &Args) -> anyhow::Result<Settings> {
    let defaults = Settings::default();
    let mut settings = Settings {
        listen: args.listen,
        workspace: Workspace {
            id: args.workspace_id.clone().unwrap_or(defaults.workspace.id),
            ..defaults.workspace
        },
        client_id: args.client_id.clone().unwrap_or(defaults.client_id),
        client_secret: args.client_secret.clone().unwrap_or(defaults.client_secret),
        token_life: args.token_life,
        token_form: if args.opaque_tokens { TokenForm::Opaque } else { TokenForm::Jwt },
        requests_per_minute: if args.rate_limit == 0 { UNLIMITED } else { args.rate_limit },
        traffic: Traffic {
            rate: args.rate,
            burst: args.burst,
            late: args.late.unwrap_or_default(),
        },
        seed: args.seed,
        ..defaults
    };
    let turned: Map<String, Value> = args.push_knob.iter().cloned().collect();
    let knobs = Knobs::new(&settings).turned(json!({ "push": turned }));
    settings.push = knobs.context("--push-knob")?.push;
    Ok(settings)
}

/// What `--push` registers.
fn webhook(args: &Args) -> Option<Value> {
    let mut form = json!({ "name": "simulated", "destination": args.push.as_ref()?,
        "secret": push_secret(args).expose(), "batching": args.push_batches });
    if let Some(key) = &args.push_key {
        form["authType"] = json!("APIKey");
        form["apiKey"] = json!(key.expose());
    }
    Some(form)
}

fn push_secret(args: &Args) -> Secret {
    args.push_secret.clone().unwrap_or_else(|| Secret::new("simulated-webhook-secret"))
}

/// Prints what to put into `config.toml`, and how to make trouble.
fn introduce(args: &Args, settings: &Settings, url: &str, made: usize) -> std::io::Result<()> {
    let Settings { workspace, client_id, client_secret, .. } = settings;
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut out = stdout().lock();
    writeln!(out, "# A simulated GreenLake cloud, {made} entries so far. For config.toml:")?;
    let destination = args.push.as_ref().and_then(|text| Url::parse(text).ok());
    if let Some(at) = &destination {
        writeln!(out, "[receiver]")?;
        let port = at.port_or_known_default().unwrap_or(80);
        writeln!(out, "listen = {}", quoted(&format!("127.0.0.1:{port}")))?;
    }
    writeln!(out, "[[source]]")?;
    writeln!(out, "name = \"simulated\"")?;
    writeln!(out, "workspace_id = {}", quoted(&workspace.id))?;
    writeln!(out, "client_id = {}", quoted(client_id))?;
    writeln!(out, "client_secret = {}", quoted(client_secret.expose()))?;
    writeln!(out, "base_url = {}", quoted(url))?;
    writeln!(out, "[source.poll]")?;
    writeln!(out, "interval = \"5s\"")?;
    if made > 0 {
        writeln!(out, "start = \"{}s\"", args.over.as_secs() + 1)?;
    }
    if let Some(at) = &destination {
        writeln!(out, "[source.push]")?;
        writeln!(out, "path = {}", quoted(at.path()))?;
        writeln!(out, "secret = {}", quoted(push_secret(args).expose()))?;
        if let Some(key) = &args.push_key {
            writeln!(out, "api_key = {}", quoted(key.expose()))?;
        }
        writeln!(out, "# How the webhook stands: curl {url}/simulator/webhooks")?;
    }
    writeln!(out, "# Trouble, until `-d '[]'`:")?;
    writeln!(out, "# curl -X PUT {url}/simulator/faults -H 'content-type: application/json' \\")?;
    writeln!(
        out,
        "#   -d '[{{\"kind\": \"too-many-requests\", \"hint\": \"retry-after\", \"seconds\": 10}}]'"
    )?;
    writeln!(out, "# How it behaves all the time (a GET lists the knobs):")?;
    writeln!(out, "# curl -X PATCH {url}/simulator/knobs -H 'content-type: application/json' \\")?;
    writeln!(
        out,
        "#   -d '{{\"late_fraction\": 0.2, \"late_seconds\": 60, \"late_spread\": \"tail\"}}'"
    )?;
    out.flush()
}

async fn tell(
    cloud: &Cloud,
    mut notices: Receiver<Notice>,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    loop {
        let notice = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            notice = notices.recv() => notice,
        };
        let at = cloud.clock().now().to_rfc3339_secs();
        match notice {
            Ok(notice) => writeln!(stderr(), "{at}  {notice}")?,
            Err(RecvError::Lagged(count)) => writeln!(stderr(), "{at}  … {count} lines left out")?,
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::simulator::push::Shape;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Settings, String> {
        Command::try_parse_from(line.split(' '))
            .map_err(|error| error.to_string())
            .and_then(|command| settings(&command.args).map_err(|error| format!("{error:#}")))
    }

    #[test]
    fn options_become_settings() {
        let settings = parse(
            "simulate --rate 30/m --burst 500:1m --late 5%:10s --rate-limit 0 --token-life 899s",
        )
        .unwrap();
        let traffic = Traffic {
            rate: 0.5,
            burst: Some(Burst { size: 500, every: Duration::from_mins(1) }),
            late: Late { fraction: 0.05, delay: Duration::from_secs(10) },
        };
        assert_eq!(settings.traffic, traffic);
        assert_eq!(settings.requests_per_minute, UNLIMITED);
        assert_eq!(settings.token_life, Duration::from_secs(899));
        let plain = parse("simulate").unwrap();
        assert_eq!((plain.listen.port(), plain.requests_per_minute), (8490, 100));
    }

    #[test]
    fn options_of_pushes_become_a_webhook_and_its_knobs() {
        let line = "simulate --push http://127.0.0.1:8480/hook --push-secret abcd --push-key key \
                    --push-batches --push-knob shape=b --push-knob drop_fraction=0.5";
        let args = Command::try_parse_from(line.split_whitespace()).unwrap().args;
        let push = settings(&args).unwrap().push;
        assert_eq!((push.shape, push.drop_fraction), (Shape::B, 0.5));
        let expected = json!({ "name": "simulated", "destination": "http://127.0.0.1:8480/hook",
            "secret": "abcd", "batching": true, "authType": "APIKey", "apiKey": "key" });
        assert_eq!(webhook(&args), Some(expected));
        let none = Command::try_parse_from(["simulate"]).unwrap().args;
        assert_eq!(webhook(&none), None);
    }

    #[test]
    fn bad_values_say_what_to_write_instead() {
        for (line, hint) in [
            ("simulate --rate fast", "2/s"),
            ("simulate --rate -1/s", "0/s"),
            ("simulate --rate NaN/s", "0/s"),
            ("simulate --burst 500", "500:1m"),
            ("simulate --burst 5:1ms", "100ms"),
            ("simulate --late 5:10s", "5%:10s"),
            ("simulate --late 500%:10s", "100%"),
            ("simulate --token-life 1ms", "1s"),
            ("simulate --push-knob shape", "shape=b"),
            ("simulate --push-knob shape=d", "unknown variant"),
            ("simulate --push-knob shap=b", "unknown field"),
        ] {
            let line = line.replace("--rate -1/s", "--rate=-1/s");
            let fault = parse(&line).expect_err(&line);
            assert!(fault.contains(hint), "{line}: {fault}");
        }
    }
}
