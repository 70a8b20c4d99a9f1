//! What becomes of an entry on its way to one webhook. Pure: chances come from outside.

use std::time::Duration;

use crate::simulator::push::knobs::{PushKnobs, wait};

/// How far apart a push and its repeat are at most, seconds.
const REPEAT_WITHIN: f64 = 1.0;

/// Draws that decide it, each from 0 up to and without 1.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chances {
    pub(super) drop: f64,
    pub(super) delay: f64,
    pub(super) hold: f64,
    pub(super) hold_by: f64,
    pub(super) repeat: f64,
    pub(super) repeat_by: f64,
}

/// When it is sent, counted from its creation: never, once or twice.
pub(super) fn draw(knobs: &PushKnobs, chances: Chances) -> Vec<Duration> {
    if chances.drop < knobs.drop_fraction {
        return Vec::new();
    }
    let mut first = wait(knobs.delay_seconds * knobs.delay_spread.share(chances.delay));
    if chances.hold < knobs.held_fraction {
        // Never by nothing: that would be no holding back.
        first += wait(knobs.held_seconds * (1.0 - chances.hold_by));
    }
    let again = (chances.repeat < knobs.duplicate_fraction)
        .then(|| first + wait(REPEAT_WITHIN * chances.repeat_by));
    std::iter::once(first).chain(again).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::knobs::Spread;

    fn millis(knobs: PushKnobs, chances: Chances) -> Vec<u128> {
        draw(&knobs, chances).into_iter().map(|wait| wait.as_millis()).collect()
    }

    #[test]
    fn each_knob_does_what_it_says_and_nothing_else() {
        let plain = PushKnobs::default();
        let half =
            Chances { drop: 0.5, delay: 0.5, hold: 0.5, hold_by: 0.5, repeat: 0.5, repeat_by: 0.5 };
        let delayed = PushKnobs { delay_seconds: 2.0, ..plain };
        for (what, knobs, chances, expected) in [
            ("nothing", plain, Chances::default(), vec![0]),
            ("a drop", PushKnobs { drop_fraction: 0.6, ..plain }, half, vec![]),
            ("no drop", PushKnobs { drop_fraction: 0.5, ..plain }, half, vec![0]),
            ("all are dropped", PushKnobs { drop_fraction: 1.0, ..plain }, half, vec![]),
            ("a delay", delayed, half, vec![2_000]),
            ("even", PushKnobs { delay_spread: Spread::Even, ..delayed }, half, vec![1_000]),
            ("a tail", PushKnobs { delay_spread: Spread::Tail, ..delayed }, half, vec![2_000]),
            ("held", PushKnobs { held_fraction: 1.0, ..delayed }, half, vec![2_500]),
            ("not held", PushKnobs { held_fraction: 0.5, ..delayed }, half, vec![2_000]),
            ("twice", PushKnobs { duplicate_fraction: 1.0, ..delayed }, half, vec![2_000, 2_500]),
        ] {
            assert_eq!(millis(knobs, chances), expected, "{what}");
        }
        let tail = PushKnobs { delay_spread: Spread::Tail, ..delayed };
        let last = Chances { delay: 0.999_999_999, ..half };
        assert!(draw(&tail, last)[0] > Duration::from_hours(24), "a tail is long");
    }
}
