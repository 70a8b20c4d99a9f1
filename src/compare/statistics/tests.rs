use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::*;
use crate::compare::vectors::{integers, statistics};

fn near(ours: f64, theirs: f64, within: f64) {
    assert!((ours - theirs).abs() <= within, "{ours}, by scipy {theirs}");
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn shares_have_the_intervals_that_scipy_gives() {
    for case in statistics()["wilson"].as_array().unwrap() {
        let found = share(case["count"].as_u64().unwrap(), case["of"].as_u64().unwrap());
        let interval = found.interval.unwrap();
        near(interval.low, number(&case["low"]), 1e-12);
        near(interval.high, number(&case["high"]), 1e-12);
    }
}

#[test]
fn the_normal_and_students_distribution_are_scipys() {
    let vectors = statistics();
    for pair in vectors["student"].as_array().unwrap() {
        let freedom = usize::try_from(pair[0].as_u64().unwrap()).unwrap();
        near(student(freedom), number(&pair[1]), 3e-4);
    }
    for pair in vectors["normal_above"].as_array().unwrap() {
        near(normal_above(number(&pair[0])), number(&pair[1]), 1e-7);
    }
}

#[test]
fn a_percentile_takes_as_many_entries_as_scipy_says() {
    for case in statistics()["needed"].as_array().unwrap() {
        let per_mille = u32::try_from(case["per_mille"].as_u64().unwrap()).unwrap();
        assert_eq!(needed(per_mille), case["needed"].as_u64().unwrap());
    }
}

#[test]
fn quantiles_and_curves_are_those_of_numpy_and_scipy() {
    for case in statistics()["samples"].as_array().unwrap() {
        let mut values = integers(&case["values"]);
        let middle = median(&mut values.clone());
        values.sort_unstable();
        for quantile in case["quantiles"].as_array().unwrap() {
            let per_mille = u32::try_from(quantile["per_mille"].as_u64().unwrap()).unwrap();
            let value = values[rank(values.len(), per_mille)];
            assert_eq!(Some(value), quantile["value"].as_i64(), "{per_mille}");
        }
        assert_eq!(middle, case["quantiles"][0]["value"].as_i64());
        let curve = ecdf(&values);
        assert!(curve.len() <= 200 && curve.is_sorted_by(|a, b| a.share < b.share));
        let ends = [curve.first().unwrap().latency_us, curve.last().unwrap().latency_us];
        assert_eq!(ends, [values[0], values[values.len() - 1]]);
        near(curve.last().unwrap().share, 1.0, 0.0);
        for point in case["ecdf"].as_array().unwrap() {
            let before = curve.iter().rfind(|step| step.latency_us <= point[0].as_i64().unwrap());
            let share = before.map_or(0.0, |step| step.share);
            // A thinned curve lags by a step at most.
            let theirs = number(&point[1]);
            assert!(
                (theirs - 1.0 / 199.0 - 1e-9..=theirs + 1e-9).contains(&share),
                "{share} {theirs}"
            );
        }
    }
    assert_eq!((ecdf(&[]).len(), median(&mut [])), (0, None));
}

#[test]
fn histograms_count_what_numpy_counts_in_round_bins() {
    for case in statistics()["histograms"].as_array().unwrap() {
        let values = integers(&case["values"]);
        let found = histogram(&values);
        assert_eq!(Some(found.width_us), case["width"].as_i64());
        assert_eq!(found.from_us % found.width_us, 0, "zero is an end of a bin");
        let theirs = case["counts"].as_array().unwrap();
        let counted = |from: i64| {
            let bin = theirs.iter().find(|bin| bin[0].as_i64() == Some(from));
            bin.map_or(0, |bin| bin[1].as_u64().unwrap())
        };
        for (bin, count) in (0_i64..).zip(&found.counts) {
            assert_eq!(*count, counted(found.from_us + bin * found.width_us));
        }
        let all = found.counts.iter().sum::<u64>() + found.below + found.above;
        assert_eq!(all, values.len() as u64);
        assert!(found.below <= 30 && found.above <= 30, "{found:?}");
    }
}

#[test]
fn histograms_have_few_bins_and_no_empty_ends() {
    for values in [vec![5], vec![-7, -7], vec![0, 1], vec![i64::MIN / 4, i64::MAX / 4]] {
        let found = histogram(&values);
        assert!(found.counts.len() <= 64, "{found:?}");
        assert!(found.counts.first() > Some(&0) && found.counts.last() > Some(&0), "{found:?}");
        assert_eq!(found.counts.iter().sum::<u64>(), values.len() as u64, "{found:?}");
    }
    assert_eq!(histogram(&[]).counts, Vec::<u64>::new());
}

#[test]
fn nothing_seen_is_told_as_less_than_three_in_n() {
    let found = share(0, 1_200);
    assert_eq!(found.interval, Some(Interval { low: 0.0, high: 0.0025 }));
    assert_eq!(share(1_200, 1_200).interval, Some(Interval { low: 0.9975, high: 1.0 }));
    assert_eq!(share(0, 2).interval, Some(Interval { low: 0.0, high: 1.0 }));
    assert_eq!(share(0, 0).interval, None);
}

#[test]
fn a_percentile_is_told_only_where_the_entries_carry_it() {
    for (count, told) in [(4, 0), (5, 1), (28, 1), (29, 2), (59, 3), (298, 3), (299, 4)] {
        let values: Vec<i64> = (0..count).collect();
        let found = latency(&values, &values, 0);
        let carried = found.percentiles.iter().filter(|found| found.latency_us.is_some());
        assert_eq!((found.percentiles.len(), carried.count()), (4, told), "{count}");
    }
    let none = latency(&[], &[], 0);
    assert_eq!((none.percentiles.len(), none.max_us), (0, None));
}

#[test]
fn clusters_widen_the_interval_as_numpy_says() {
    for case in statistics()["clustered"].as_array().unwrap() {
        let (values, blocks) = (integers(&case["values"]), integers(&case["block"]));
        let mut clusters = vec![(0, 0); usize::try_from(blocks[blocks.len() - 1] + 1).unwrap()];
        for (value, block) in values.iter().zip(&blocks) {
            let (of, count) = &mut clusters[usize::try_from(*block).unwrap()];
            *of += 1;
            *count += u64::from(*value > 0);
        }
        let found = clustering(&clusters);
        assert_eq!(found.clusters, clusters.len());
        near(found.design_effect, number(&case["design_effect"]), 1e-9);
        let count = case["above_zero"].as_u64().unwrap();
        let of = values.len() as u64;
        let wide = clustered_share(count, of, Some(found)).interval.unwrap();
        let narrow = share(count, of).interval.unwrap();
        assert!(wide.low < narrow.low && wide.high > narrow.high);
    }
}

/// Entries of `clusters` answers, of which one in `alike` share one fate; the interval of
/// their share holds the true one in how many of a thousand such samples?
fn covered(clusters: usize, size: usize, alike: f64, p: f64) -> usize {
    let mut chance = StdRng::seed_from_u64(7);
    let mut covered = 0;
    for _ in 0..1_000 {
        let mut counts = Vec::new();
        for _ in 0..clusters {
            let size = chance.random_range(1..=size);
            let fate = chance.random_bool(p);
            let is_alike = chance.random_bool(alike);
            let entry = |_: &usize| if is_alike { fate } else { chance.random_bool(p) };
            let count = (0..size).filter(entry).count() as u64;
            counts.push((size as u64, count));
        }
        let (of, count) = counts.iter().fold((0, 0), |(n, k), (of, c)| (n + of, k + c));
        let interval = clustered_share(count, of, Some(clustering(&counts))).interval.unwrap();
        covered += usize::from((interval.low..=interval.high).contains(&p));
    }
    covered
}

#[test]
fn the_interval_of_a_share_holds_the_true_one_in_95_of_100_cases() {
    for (clusters, size, alike, p) in [
        (60, 1, 0.0, 0.5),
        (300, 4, 0.0, 0.8),
        (60, 8, 0.5, 0.5),
        (200, 12, 0.9, 0.8),
        (40, 6, 1.0, 0.6),
    ] {
        let found = covered(clusters, size, alike, p);
        let case = format!("{clusters} answers of up to {size}, {alike} alike, {p}");
        assert!((930..=975).contains(&found), "{found} of 1000: {case}");
    }
}
