//! Stands in for systemd: hears what a process tells it.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::{Home, Setup};

/// What came to the socket so far, one message a datagram.
pub(crate) fn heard(socket: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0_u8; 4096];
    let mut all = Vec::new();
    while let Ok(count) = socket.recv(&mut buffer) {
        all.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
    }
    all
}

/// A home whose processes tell systemd on the socket.
pub(crate) fn home_with_socket(setup: &Setup, watchdog: Option<Duration>) -> (Home, UnixDatagram) {
    let mut home = Home::new(setup);
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_nonblocking(true).expect("a socket");
    home.set_variable("NOTIFY_SOCKET", path.to_str().expect("our names are plain"));
    if let Some(limit) = watchdog {
        home.set_variable("WATCHDOG_USEC", &limit.as_micros().to_string());
    }
    (home, socket)
}
