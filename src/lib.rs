//! Tailwater carries HPE GreenLake's audit log to webhooks: polled, kept once, delivered.
//!
//! Floors, top to bottom; imports only go down (`tests/architecture.rs` says so):
//!
//! | floor | modules |
//! | --- | --- |
//! | 5 | [`cli`] |
//! | 4 | [`app`] |
//! | 3 | [`poll`], [`receive`], [`dispatch`], [`compare`], [`simulator`], [`admin`] |
//! | 2 | [`storage`], [`greenlake`] |
//! | 1 | [`config`], [`telemetry`], [`transport`] |
//! | 0 | [`model`] |
//!
//! Read it as the way of an event: [`poll`] asks [`greenlake`], or [`receive`] is sent it, [`storage`] keeps the
//! event once and schedules its deliveries, [`dispatch`] carries it to every target, [`compare`] judges both ways in.

pub mod admin;
pub mod app;
pub mod cli;
pub mod compare;
pub mod config;
pub mod dispatch;
pub mod greenlake;
pub mod model;
pub mod poll;
pub mod receive;
pub mod simulator;
pub mod storage;
pub mod telemetry;
pub mod transport;
