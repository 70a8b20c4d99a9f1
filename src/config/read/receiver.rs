//! `[receiver]`.

use std::net::SocketAddr;

use crate::config::field::{Field, quoted};
use crate::config::inbound::{ReceiverConfig, TlsFiles};
use crate::config::reader::Section;

const LISTEN: &str = "127.0.0.1:8480";
const TLS: &str = "tls = { cert = \"…\", key = \"…\" }";

/// Reads where pushes are received; `None` when the section is left out, or when a fault
/// has been told.
pub(super) fn receiver(mut section: Section<'_>, is_there: bool) -> Option<ReceiverConfig> {
    let listen = section.find("listen").map(|field| listen(&field, LISTEN));
    let (files, has_tls) = section.optional_section("tls", TLS);
    let tls = tls(files, has_tls);
    let behind_proxy = section.flag("behind_proxy", false);
    if !is_there {
        return None;
    }
    let listen = match listen {
        Some(read) => read,
        None => LISTEN.parse().ok(),
    };
    if let Some(listen) = listen
        && !listen.ip().is_loopback()
        && !has_tls
        && !behind_proxy
    {
        section.fault(
            "tls",
            format!("is missing, and {listen} can be reached from other machines"),
            "write tls = { cert = \"…\", key = \"…\" }, or behind_proxy = true where a proxy speaks TLS",
        );
    }
    section.finish();
    Some(ReceiverConfig {
        listen: listen?,
        tls: if has_tls { Some(tls?) } else { None },
        behind_proxy,
    })
}

/// Where a socket of ours listens.
pub(super) fn listen(field: &Field<'_>, example: &str) -> Option<SocketAddr> {
    let text = field.filled(&format!("{example:?}"))?;
    let port = example.rsplit(':').next().unwrap_or_default();
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => field.fault(
            format!("{} is no address with a port", quoted(text)),
            format!("write for example {example:?}, or \"[::]:{port}\" for every address"),
        ),
    }
}

fn tls(mut section: Section<'_>, is_there: bool) -> Option<TlsFiles> {
    let mut file = |key: &'static str, example: &str| {
        let field = if is_there { section.require(key, example) } else { section.find(key) };
        field.and_then(|field| field.path(example))
    };
    let cert = file("cert", "\"/etc/tailwater/cert.pem\"");
    let key = file("key", "\"/etc/tailwater/key.pem\"");
    section.finish();
    Some(TlsFiles { cert: cert?, key: key? })
}
