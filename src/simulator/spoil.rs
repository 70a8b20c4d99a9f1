//! Answers that are broken on purpose.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use futures_util::{StreamExt, stream};

/// Time for the first half of a cut body to leave before the connection closes.
const HALF_WAY: Duration = Duration::from_millis(20);

/// Half of `body` under the `Content-Length` of the whole; then the connection closes.
pub(super) fn cut(body: &[u8]) -> Response {
    let half = Bytes::copy_from_slice(&body[..body.len() / 2]);
    let parts = stream::once(async { Ok(half) }).chain(stream::once(async {
        tokio::time::sleep(HALF_WAY).await;
        Err(io::Error::other("cut on demand"))
    }));
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A page of HTML where JSON is expected, as proxies on the way give it.
pub(super) fn garbage() -> Response {
    Html("<html><body><h1>Please sign in</h1></body></html>").into_response()
}

/// No answer at all: the connection closes before the first byte.
pub(super) fn hang_up() -> Response {
    let refused: Result<Bytes, _> = Err(io::Error::other("dropped on demand"));
    // The server asks for the body before it sends the head, and gives up on its error.
    Response::new(Body::from_stream(stream::iter([refused])))
}
