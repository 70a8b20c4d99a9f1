use super::*;
use crate::compare::statistics::rank;
use crate::compare::vectors::{integers, statistics};

#[test]
fn the_interval_is_that_of_medians_over_redrawn_answers() {
    for case in statistics()["clustered"].as_array().unwrap() {
        let blocks: Vec<u16> =
            integers(&case["block"]).into_iter().map(|at| u16::try_from(at).unwrap()).collect();
        let mut leads: Vec<(i64, u16)> =
            integers(&case["values"]).into_iter().zip(blocks.iter().copied()).collect();
        leads.sort_unstable();
        let count = usize::from(blocks[blocks.len() - 1]) + 1;
        assert_eq!(Some(leads[rank(leads.len(), 500)].0), case["median"].as_i64());
        let found = median_interval(&leads, count).unwrap();
        for (ours, theirs) in [(found.low, &case["low"]), (found.high, &case["high"])] {
            // Both are drawn: theirs is where between six and sixteen medians lie of ten
            // that should lie outside.
            let [from, until] = [0, 1].map(|at| theirs[at].as_i64().unwrap());
            assert!((from..=until).contains(&ours), "{ours}, by numpy {theirs}");
        }
        assert_eq!(median_interval(&leads, count), Some(found), "the same data");
    }
}

/// The middle by taking each entry as often as its block was drawn.
fn plain(sorted: &[(i64, u16)], weights: &[u32]) -> (i64, i64) {
    let drawn = |(value, block): &(i64, u16)| {
        std::iter::repeat_n(*value, weights[usize::from(*block)] as usize)
    };
    let repeated: Vec<i64> = sorted.iter().flat_map(drawn).collect();
    (repeated[(repeated.len() - 1) / 2], repeated[repeated.len() / 2])
}

#[test]
fn the_table_finds_what_a_plain_count_finds() {
    let mut chance = StdRng::seed_from_u64(1);
    for count in [1_usize, 2, 255, 256, 257, 1_000, 5_000] {
        let blocks = count.min(40);
        let mut sorted: Vec<(i64, u16)> = (0..count)
            .map(|at| (chance.random_range(-50..50), u16::try_from(at % blocks).unwrap()))
            .collect();
        sorted.sort_unstable();
        let table = Table::new(&sorted, blocks);
        for _ in 0..20 {
            let mut weights = vec![0; blocks];
            (0..blocks).for_each(|_| weights[chance.random_range(0..blocks)] += 1);
            assert_eq!(table.middle(&weights), Some(plain(&sorted, &weights)), "{count}");
        }
    }
}

#[test]
fn neighbouring_answers_share_a_block_where_there_are_many() {
    let few = Blocks::of(vec![30, 10, 20, 10]);
    assert_eq!((few.answers(), few.count()), (3, 3));
    assert_eq!([10, 20, 30].map(|time| few.find(time)), [0, 1, 2]);
    let many = Blocks::of((0..10_000).collect());
    assert_eq!((many.answers(), many.count()), (10_000, BLOCKS_MAX));
    let blocks: Vec<u16> = (0..10_000).map(|time| many.find(time)).collect();
    assert!(blocks.is_sorted());
    let mut each = blocks.clone();
    each.dedup();
    assert_eq!(each.len(), BLOCKS_MAX);
    assert_eq!(Blocks::default().count(), 0);
}

#[test]
fn too_few_answers_give_no_interval() {
    let leads: Vec<(i64, u16)> = (0..900).map(|at| (at, u16::try_from(at % 9).unwrap())).collect();
    assert_eq!(median_interval(&leads, 9), None);
    assert_eq!(median_interval(&[], 20), None);
}

/// A number from about −6 to 6 with mean 0 and variance 1, nearly normal.
fn normal(chance: &mut StdRng) -> f64 {
    (0..12).map(|_| chance.random::<f64>()).sum::<f64>() - 6.0
}

/// In how many of a thousand samples the interval of the median holds the true one, which
/// is 0: leads of up to `size` entries an answer that have `shared` of their spread in common.
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
fn covered(answers: usize, size: usize, shared: f64, shape: fn(f64) -> f64) -> usize {
    let mut chance = StdRng::seed_from_u64(3);
    let mut covered = 0;
    for _ in 0..1_000 {
        let mut leads = Vec::new();
        for answer in 0..answers {
            let common = normal(&mut chance) * shared.sqrt();
            for _ in 0..chance.random_range(1..=size) {
                let own = normal(&mut chance) * (1.0 - shared).sqrt();
                let lead = (shape(common + own) * 1e6) as i64;
                leads.push((lead, u16::try_from(answer).unwrap()));
            }
        }
        leads.sort_unstable();
        let found = interval_of(&leads, answers, 200).unwrap();
        covered += usize::from((found.low..=found.high).contains(&0));
    }
    covered
}

/// A skewed distribution with median 0.
fn skewed(value: f64) -> f64 {
    value.exp() - 1.0
}

fn assert_covered(answers: usize, size: usize, shared: f64, shape: fn(f64) -> f64) {
    let found = covered(answers, size, shared, shape);
    let case = format!("{answers} answers of up to {size}, {shared} shared");
    assert!((930..=975).contains(&found), "{found} of 1000: {case}");
}

#[test]
fn the_interval_of_the_median_holds_the_true_one_in_95_of_100_cases() {
    assert_covered(50, 1, 0.0, skewed);
    assert_covered(30, 6, 0.5, std::convert::identity);
}

#[test]
fn the_interval_holds_the_true_median_where_answers_are_few_or_all_alike() {
    assert_covered(24, 5, 0.9, skewed);
    assert_covered(14, 6, 0.3, std::convert::identity);
}
