//! Metrics of one name: declared with their help, filled with samples at each scrape.

use std::time::Duration;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// A metric's name, help and kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
}

/// What a metric's values do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// They only grow, but for a restart.
    Counter,
    /// They go up and down.
    Gauge,
}

/// Declares metrics: the doc comment is the help text, the prefix is added, and `ALL` has
/// every one of them.
macro_rules! families {
    ($($(#[doc = $help:literal])+ $constant:ident: $kind:ident = $name:literal;)+) => {
        $(
            $(#[doc = $help])+
            const $constant: Family = Family {
                name: concat!("tailwater_", $name),
                help: concat!($($help),+),
                kind: Kind::$kind,
            };
        )+

        /// Every metric that is declared here.
        #[cfg(test)]
        pub(super) const ALL: &[Family] = &[$($constant),+];
    };
}
pub(super) use families;

impl Family {
    /// The family with one sample without labels.
    pub(super) fn single(self, value: f64) -> MetricFamily {
        self.of([self.sample([], value)])
    }

    /// The family with these samples.
    pub(super) fn of(self, samples: impl IntoIterator<Item = Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.trim().to_owned());
        family.set_field_type(match self.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
        });
        family.set_metric(samples.into_iter().collect());
        family
    }

    /// One sample of it.
    pub(super) fn sample<const N: usize>(
        self,
        labels: [(&'static str, &str); N],
        value: f64,
    ) -> Metric {
        let pair = |(name, value): (&str, &str)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        };
        let mut metric = Metric::default();
        metric.set_label(labels.into_iter().map(pair).collect());
        match self.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        metric
    }
}

/// A count as Prometheus has it.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, which no count of ours reaches")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

/// 1 for a fact, 0 for none.
pub(super) fn fact(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

/// A length of time in seconds; not a number where it is not known, so that the label is
/// there and no comparison holds.
pub(super) fn seconds(time: Option<Duration>) -> f64 {
    time.map_or(f64::NAN, |time| time.as_secs_f64())
}
