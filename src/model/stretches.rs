//! Sets of sequences as the stretches that they are made of.
//!
//! Stretches ascend, hold something each, and do not overlap; sequences ascend, too.

use std::ops::Range;

use crate::model::event::Sequence;

/// `stretches` without `sequences`; those that are not in it change nothing.
#[must_use]
pub fn without(stretches: &[Range<Sequence>], sequences: &[Sequence]) -> Vec<Range<Sequence>> {
    let mut left = Vec::with_capacity(stretches.len() + 1);
    let mut sequences = sequences.iter().copied().peekable();
    for stretch in stretches {
        let mut from = stretch.start;
        while let Some(sequence) = sequences.next_if(|sequence| *sequence < stretch.end) {
            push(&mut left, from..sequence);
            from = from.max(sequence + 1);
        }
        push(&mut left, from..stretch.end);
    }
    left
}

/// `stretches` and `sequences` together. Stretches that touch become one.
#[must_use]
pub fn with(stretches: &[Range<Sequence>], sequences: &[Sequence]) -> Vec<Range<Sequence>> {
    let mut all: Vec<Range<Sequence>> = stretches.to_vec();
    all.extend(sequences.iter().map(|sequence| *sequence..sequence + 1));
    all.sort_unstable_by_key(|stretch| stretch.start);
    let mut joined: Vec<Range<Sequence>> = Vec::with_capacity(stretches.len() + 1);
    for stretch in all {
        match joined.last_mut() {
            Some(last) if stretch.start <= last.end => last.end = last.end.max(stretch.end),
            _ => joined.push(stretch),
        }
    }
    joined
}

fn push(stretches: &mut Vec<Range<Sequence>>, stretch: Range<Sequence>) {
    if !stretch.is_empty() {
        stretches.push(stretch);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(stretches: &[Range<Sequence>]) -> BTreeSet<Sequence> {
        stretches.iter().cloned().flatten().collect()
    }

    fn is_sound(stretches: &[Range<Sequence>]) -> bool {
        stretches.iter().all(|stretch| !stretch.is_empty())
            && stretches.windows(2).all(|pair| pair[0].end <= pair[1].start)
    }

    type Bounds<'a> = &'a [[Sequence; 2]];

    fn ranges(bounds: Bounds<'_>) -> Vec<Range<Sequence>> {
        bounds.iter().map(|[from, until]| *from..*until).collect()
    }

    #[test]
    fn what_is_taken_out_splits_a_stretch_and_what_is_added_closes_it() {
        let taken: [(Bounds<'_>, &[Sequence], Bounds<'_>); 7] = [
            (&[[1, 10]], &[], &[[1, 10]]),
            (&[[1, 10]], &[1, 2, 3], &[[4, 10]]),
            (&[[1, 10]], &[9], &[[1, 9]]),
            (&[[1, 10]], &[4, 6], &[[1, 4], [5, 6], [7, 10]]),
            (&[[1, 4], [6, 8]], &[0, 3, 4, 5, 6, 9], &[[1, 3], [7, 8]]),
            (&[[1, 3]], &[1, 2], &[]),
            (&[], &[5], &[]),
        ];
        for (stretches, sequences, expected) in taken {
            assert_eq!(without(&ranges(stretches), sequences), ranges(expected));
        }
        let added: [(Bounds<'_>, &[Sequence], Bounds<'_>); 4] = [
            (&[], &[5, 6, 8], &[[5, 7], [8, 9]]),
            (&[[1, 4], [5, 8]], &[4], &[[1, 8]]),
            (&[[1, 4]], &[2, 4], &[[1, 5]]),
            (&[[3, 4]], &[1, 2, 9], &[[1, 4], [9, 10]]),
        ];
        for (stretches, sequences, expected) in added {
            assert_eq!(with(&ranges(stretches), sequences), ranges(expected));
        }
    }

    proptest! {
        #[test]
        fn stretches_are_the_sets_that_they_stand_for(
            owed in prop::collection::btree_set(0i64..60, 0..40),
            other in prop::collection::btree_set(0i64..60, 0..40),
        ) {
            let (owed_list, list): (Vec<_>, Vec<_>) =
                (owed.iter().copied().collect(), other.iter().copied().collect());
            let stretches = with(&[], &owed_list);
            prop_assert_eq!(set(&stretches), owed.clone());
            let (less, more) = (without(&stretches, &list), with(&stretches, &list));
            prop_assert!(is_sound(&stretches) && is_sound(&less) && is_sound(&more));
            prop_assert_eq!(set(&less), &owed - &other);
            prop_assert_eq!(set(&more), &owed | &other);
        }
    }
}
