//! Values of options, as people write them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::simulator::traffic::{Burst, Late};

pub(in crate::cli) fn parse_rate(text: &str) -> Result<f64, String> {
    let fault = || "write a number and a unit, such as 2/s, 30/m or 5/h".to_owned();
    let (number, unit) = text.split_once('/').ok_or_else(fault)?;
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(fault()),
    };
    let number: f64 = number.trim().parse().map_err(|_| fault())?;
    let rate = number / seconds;
    if (0.0..=100_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("a rate is 0/s to 100000/s".to_owned())
    }
}

pub(super) fn parse_burst(text: &str) -> Result<Burst, String> {
    let fault = || "write a number and a duration, such as 500:1m".to_owned();
    let (size, every) = text.split_once(':').ok_or_else(fault)?;
    let size = size.parse().map_err(|_| fault())?;
    let every = humantime::parse_duration(every).map_err(|_| fault())?;
    if every < Duration::from_millis(100) {
        return Err("bursts are at least 100ms apart".to_owned());
    }
    Ok(Burst { size, every })
}

pub(super) fn parse_late(text: &str) -> Result<Late, String> {
    let fault = || "write a share and a duration, such as 5%:10s".to_owned();
    let (share, delay) = text.split_once("%:").ok_or_else(fault)?;
    let share: f64 = share.parse().map_err(|_| fault())?;
    let delay = humantime::parse_duration(delay).map_err(|_| fault())?;
    if !(0.0..=100.0).contains(&share) {
        return Err("a share is 0% to 100%".to_owned());
    }
    Ok(Late { fraction: share / 100.0, delay })
}

/// A value that is no JSON is a text.
pub(super) fn parse_knob(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write a knob and a value, such as shape=b")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
    Ok((name.trim().to_owned(), value))
}

pub(super) fn parse_life(text: &str) -> Result<Duration, String> {
    let life = humantime::parse_duration(text).map_err(|fault| fault.to_string())?;
    if life < Duration::from_secs(1) {
        return Err("a token lives at least 1s".to_owned());
    }
    Ok(life)
}
