//! The built binary against a simulated cloud and sinks, over real sockets. One file a
//! behaviour.

mod bad_input;
mod bad_network;
mod check_online;
mod crash;
mod dead_targets;
mod full_disk;
mod hostile_http2;
mod hostile_targets;
mod hostile_tls;
mod known_failures;
mod life;
mod main_job;
mod manual;
mod numbered;
mod operator;
mod own_events;
mod reading_along;
mod rebinding;
mod reload;
mod replays;
mod secrets;
mod services;
mod statuses;
mod support;
mod upstream_faults;
