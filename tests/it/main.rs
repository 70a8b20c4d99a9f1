//! The built binary against a simulated cloud and sinks, over real sockets. One file a
//! behaviour.

mod check_online;
mod main_job;
mod support;
